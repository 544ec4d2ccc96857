//! What became of a batch of events, as its sender reads it.

use serde::Serialize;
use tidemark_collector::decode::Rejection;
use tidemark_collector::decode::tabular::TableError;
use tidemark_collector::intake::{Answer, Answers, Outcome, ReadError};
use tidemark_schema::EventId;
use utoipa::ToSchema;

use super::problem::{INVALID, MALFORMED, OVER_QUOTA, Problem, TOO_LARGE};

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

impl From<Answers> for BatchAnswer {
    fn from(answers: Answers) -> Self {
        let Answers { events, ignored_columns, .. } = answers;
        let count = |wanted: fn(&Outcome) -> bool| events.iter().filter(|event| wanted(&event.outcome)).count() as u64;
        let truncated = events.iter().filter(|event| event.outcome == Outcome::Accepted);
        Self {
            accepted: count(|outcome| *outcome == Outcome::Accepted),
            duplicates: count(|outcome| *outcome == Outcome::Duplicate),
            rejected: count(|outcome| matches!(outcome, Outcome::Rejected(_) | Outcome::OverQuota { .. })),
            truncated_results: truncated.map(|event| u64::from(event.truncated_results)).sum(),
            ignored_columns,
            events: events.into_iter().enumerate().map(|(index, event)| EventAnswer::of(index, event)).collect(),
        }
    }
}

impl EventAnswer {
    fn of(index: usize, answer: Answer) -> Self {
        let Answer { line, event_id, outcome, truncated_results, marks, .. } = answer;
        let (status, field, reason, retry_after_s) = match outcome {
            Outcome::Accepted => (EventStatus::Accepted, None, None, None),
            Outcome::Duplicate => (EventStatus::Duplicate, None, None, None),
            Outcome::Rejected(Rejection { field, reason, .. }) => (EventStatus::Rejected, field, Some(reason), None),
            Outcome::OverQuota { reason, retry_after_s } => {
                (EventStatus::Rejected, Some("principal".to_owned()), Some(reason), retry_after_s)
            }
        };
        Self { index, line, status, event_id, field, reason, truncated_results, marks, retry_after_s }
    }
}

/// The whole answer, and a problem when nothing was taken.
pub(crate) fn settle(answers: Answers) -> Result<BatchAnswer, Problem> {
    let malformed = |event: &Answer| matches!(&event.outcome, Outcome::Rejected(rejection) if rejection.malformed);
    let all_malformed = answers.events.iter().all(malformed);
    let answer = BatchAnswer::from(answers);
    let nothing = answer.accepted + answer.duplicates == 0 && !answer.events.is_empty();
    if nothing { Err(nothing_taken(&answer, all_malformed)) } else { Ok(answer) }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Compression(error) => error.into(),
            ReadError::Full(full) => full.into(),
            ReadError::Spans(malformed) => Self::new(&MALFORMED, malformed.to_string())
                .hint("compare Content-Type with what is sent; nothing was stored"),
            ReadError::Empty => Self::new(&MALFORMED, error.to_string())
                .hint("send one JSON object, an array of them, one per line, or the rows of an Arrow IPC stream"),
            ReadError::TooLarge(_) | ReadError::Table(TableError::TooLarge { .. }) => {
                Self::new(&TOO_LARGE, error.to_string()).hint("send smaller batches")
            }
            ReadError::Table(TableError::Unreadable(_)) => Self::new(&MALFORMED, error.to_string()),
            ReadError::Table(TableError::Type { .. } | TableError::Columns(_) | TableError::Compressed) => {
                Self::new(&INVALID, error.to_string())
            }
        }
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
