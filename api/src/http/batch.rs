//! From the bytes of a batch to events and an answer for each, and from the collector's receipt to the whole answer.
//! Nothing here waits, reads a clock or keeps anything.

use serde::Serialize;
use tidemark_collector::decode::tabular::{self, RowLimits, TableError};
use tidemark_collector::decode::{Context, Event, Kind, Piece, PieceError, Pieces, Rejection, decode};
use tidemark_collector::{Verdict, accept};
use tidemark_schema::EventId;
use utoipa::ToSchema;

use super::admission::OverQuota;
use super::problem::{INVALID, MALFORMED, OVER_QUOTA, Problem, TOO_LARGE};

/// What the rows of an Arrow IPC stream may take when they are read, whatever limits there are besides.
const TABLE_BYTES: u64 = 64 * 1024 * 1024;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventStatus {
    /// It is on disk.
    Accepted,
    /// It was on disk already.
    Duplicate,
    /// It was not taken; `field` and `reason` say why.
    Rejected,
}

/// What became of one event of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct EventAnswer {
    /// Its place in the batch, from 0.
    index: usize,
    /// The line of the body in which it begins, or its row of a table, from 1.
    line: u64,
    /// What became of it.
    status: EventStatus,
    /// Its id; one that is no UUID was made into one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    event_id: Option<EventId>,
    /// The field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "results[0].score")]
    field: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How many of its results are not kept because there are more than the limit.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    truncated_results: u32,
    /// What was noticed about it or done to it: `bound.…` for a bound of the policy that it breaks, `redacted.…` for what was
    /// taken out of its texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    marks: Vec<String>,
    /// Seconds until it is taken, when the quota of its principal is used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What became of a batch. Accepted events are on disk and are stored once, however often they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct BatchAnswer {
    /// How many events are new.
    pub(crate) accepted: u64,
    /// How many were stored before.
    pub(crate) duplicates: u64,
    /// How many were not taken.
    pub(crate) rejected: u64,
    /// How many results of the accepted events are not kept because there are more than the limit.
    pub(crate) truncated_results: u64,
    /// Columns of the table that were passed over because they hold nothing of an event: the index that pandas adds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    ignored_columns: Vec<String>,
    /// One answer for each event, in the order of the batch.
    pub(crate) events: Vec<EventAnswer>,
}

impl BatchAnswer {
    /// The marks of the accepted events.
    pub(crate) fn marks(&self) -> impl Iterator<Item = &str> {
        let accepted = self.events.iter().filter(|event| event.status == EventStatus::Accepted);
        accepted.flat_map(|event| &event.marks).map(String::as_str)
    }
}

/// A batch whose events were looked at one by one.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// Those that can be taken, in their order.
    pub(crate) events: Vec<Event>,
    /// Bytes that the rows of a table became.
    pub(crate) written: usize,
    ignored_columns: Vec<String>,
    answers: Vec<EventAnswer>,
    all_malformed: bool,
}

/// Cuts a batch into events and decodes each; one bad event does not touch the others. `admit` says of each that is right
/// whether its principal may send it now. `hold` makes room for the bytes that the rows of a table become.
pub(crate) fn decode_batch(
    content: &[u8],
    kind: Kind,
    context: &Context<'_>,
    events_max: usize,
    mut admit: impl FnMut(&Event) -> Result<(), OverQuota>,
    hold: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Decoded, Problem> {
    let mut batch = Decoded {
        events: Vec::new(),
        written: 0,
        ignored_columns: Vec::new(),
        answers: Vec::new(),
        all_malformed: true,
    };
    if tabular::is_ipc_stream(content) {
        let rows = decode_table(content, kind, context, events_max, hold)?;
        for (row, event) in (1..).zip(rows.events) {
            batch.push(row, event, &mut admit);
        }
        // A table without rows is the export of an empty window.
        return Ok(Decoded { written: rows.written, ignored_columns: rows.ignored_columns, ..batch });
    }
    for piece in Pieces::new(content, context.limits.event_bytes) {
        if batch.answers.len() >= events_max {
            return Err(too_many(events_max));
        }
        let (line, event) = decode_piece(piece, kind, context);
        batch.push(line, event, &mut admit);
    }
    if batch.answers.is_empty() {
        let hint = "send one JSON object, an array of them, one per line, or the rows of an Arrow IPC stream";
        return Err(Problem::new(&MALFORMED, "the body holds no event").hint(hint));
    }
    Ok(batch)
}

fn too_many(events_max: usize) -> Problem {
    let detail = format!("the batch has more than {events_max} events; none of them was stored");
    Problem::new(&TOO_LARGE, detail).hint("send smaller batches")
}

/// What a table holds.
struct TableRows {
    events: Vec<Result<Event, Rejection>>,
    written: usize,
    ignored_columns: Vec<String>,
}

/// The rows of an Arrow IPC stream as events. A stream that breaks off is refused
/// as a whole: unlike lines of text, its rows say nothing before their batch is complete.
fn decode_table(
    content: &[u8],
    kind: Kind,
    context: &Context<'_>,
    events_max: usize,
    mut hold: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<TableRows, Problem> {
    let row = context.limits.event_bytes;
    let mut rows = tabular::ipc_stream(content, 0)?.rows(kind, RowLimits { row, table: TABLE_BYTES })?;
    let (mut events, mut held) = (Vec::new(), 0);
    loop {
        let written = usize::try_from(rows.spent()).unwrap_or(usize::MAX);
        // Room for the largest row there may be, before it is read.
        if written.saturating_add(row) > held {
            hold(row)?;
            held += row;
        }
        let Some(draft) = rows.next().transpose()? else {
            return Ok(TableRows { events, written, ignored_columns: rows.ignored().to_vec() });
        };
        if events.len() >= events_max {
            return Err(too_many(events_max));
        }
        events.push(draft.and_then(|draft| accept(draft, context)));
    }
}

impl From<TableError> for Problem {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Unreadable(_) => Self::new(&MALFORMED, error.to_string()),
            TableError::TooLarge { .. } => Self::new(&TOO_LARGE, error.to_string()).hint("send smaller batches"),
            TableError::Type { .. } | TableError::Columns(_) | TableError::Compressed => {
                Self::new(&INVALID, error.to_string())
            }
        }
    }
}

fn decode_piece(
    piece: Result<Piece, PieceError>,
    kind: Kind,
    context: &Context<'_>,
) -> (u64, Result<Event, Rejection>) {
    match piece {
        Ok(Piece::Event { line, bytes }) => (line, decode(&bytes, kind, context)),
        Ok(Piece::TooLong { line, bytes }) => {
            let reason = format!("has {bytes} bytes, the limit is {}", context.limits.event_bytes);
            (line, Err(Rejection { field: None, reason, malformed: false }))
        }
        // The events before this place are whole, so they are taken; what follows it cannot be told apart any more.
        Err(error) => {
            let (PieceError::Read { line, .. } | PieceError::Syntax { line, .. } | PieceError::Endless { line, .. }) =
                &error;
            let reason = format!("the body cannot be read from here on: {error}");
            (*line, Err(Rejection { field: None, reason, malformed: true }))
        }
    }
}

impl Decoded {
    fn push(
        &mut self,
        line: u64,
        event: Result<Event, Rejection>,
        admit: &mut impl FnMut(&Event) -> Result<(), OverQuota>,
    ) {
        let index = self.answers.len();
        let blank = EventAnswer {
            index,
            line,
            status: EventStatus::Accepted,
            event_id: None,
            field: None,
            reason: None,
            truncated_results: 0,
            marks: Vec::new(),
            retry_after_s: None,
        };
        self.answers.push(match event {
            Ok(event) => {
                self.all_malformed = false;
                let (event_id, truncated_results) = (Some(event.event_id()), event.truncated_results());
                match admit(&event) {
                    Ok(()) => {
                        let marks = event.marks().iter().map(ToString::to_string).collect();
                        self.events.push(event);
                        EventAnswer { event_id, truncated_results, marks, ..blank }
                    }
                    Err(OverQuota { reason, retry_after_s }) => {
                        let field = Some("principal".to_owned());
                        let status = EventStatus::Rejected;
                        EventAnswer { event_id, status, field, reason: Some(reason), retry_after_s, ..blank }
                    }
                }
            }
            Err(Rejection { field, reason, malformed }) => {
                self.all_malformed &= malformed;
                EventAnswer { status: EventStatus::Rejected, field, reason: Some(reason), ..blank }
            }
        });
    }

    /// The whole answer, given a verdict for each of the events that could be taken; and a problem when none was.
    pub(crate) fn settle(self, receipt: &[Verdict]) -> (BatchAnswer, Option<Problem>) {
        let Self { mut answers, ignored_columns, all_malformed, .. } = self;
        let taken = answers.iter_mut().filter(|answer| answer.status == EventStatus::Accepted);
        for (answer, verdict) in taken.zip(receipt) {
            if *verdict == Verdict::Duplicate {
                answer.status = EventStatus::Duplicate;
            }
        }
        let count = |status| answers.iter().filter(|answer| answer.status == status).count() as u64;
        let accepted = answers.iter().filter(|answer| answer.status == EventStatus::Accepted);
        let answer = BatchAnswer {
            accepted: count(EventStatus::Accepted),
            duplicates: count(EventStatus::Duplicate),
            rejected: count(EventStatus::Rejected),
            truncated_results: accepted.map(|answer| u64::from(answer.truncated_results)).sum(),
            ignored_columns,
            events: answers,
        };
        let nothing = answer.accepted + answer.duplicates == 0 && !answer.events.is_empty();
        let problem = nothing.then(|| nothing_taken(&answer, all_malformed));
        (answer, problem)
    }
}

fn nothing_taken(answer: &BatchAnswer, all_malformed: bool) -> Problem {
    let first = answer.events.first().map_or_else(String::new, |first| {
        let field = first.field.as_ref().map(|field| format!("{field} ")).unwrap_or_default();
        format!("line {}: {field}{}", first.line, first.reason.as_deref().unwrap_or_default())
    });
    let detail = match answer.rejected {
        1 => format!("the event was rejected: {first}"),
        n => format!("all {n} events were rejected; the first, {first}"),
    };
    if answer.events.iter().all(|event| event.retry_after_s.is_some()) {
        let longest = answer.events.iter().filter_map(|event| event.retry_after_s).max().unwrap_or(1);
        return Problem::new(&OVER_QUOTA, detail).retry_after(longest).tells(answer);
    }
    let class = if all_malformed { &MALFORMED } else { &INVALID };
    Problem::new(class, detail)
        .hint("`events` names the field and the reason for each; correct them and send the batch again")
        .tells(answer)
}
