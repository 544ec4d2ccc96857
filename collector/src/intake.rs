//! What a sender's bytes become: events, and an answer for each. One way for HTTP, gRPC and whatever comes next.
//!
//! [`Intake::read`] computes and belongs on a thread for that; [`Collector::ingest`] waits for the disk. In between stands
//! [`Read`], which holds the memory that its events take ([`Room`]) until they are answered.

mod memory;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use tidemark_schema::{Clock, EventId, FingerprintKeys, Timestamp};

use crate::collector::{Acknowledgement, Collector};
use crate::compression::{Compression, CompressionError, decompress};
use crate::decode::otlp::{self, Embeddings, Encoding, Malformed, Sources, VersionAt};
use crate::decode::tabular::{self, TableError};
use crate::decode::{Context, Event, Kind, Limits, Piece, PieceError, Pieces, Rejection, decode};
use crate::error::Error;
use crate::policy::Policy;
use crate::quota::{OverQuota, Quotas};

pub use memory::{Full, Memory, Room};
use table::TableRows;

/// How the events are written in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Events of one kind: JSON objects, an array of them, one per line, or the rows of an Arrow IPC stream.
    Events(Kind),
    /// A request of OTLP.
    Spans(Encoding),
}

/// What one request may hold. All limits are hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeLimits {
    /// What one event may be at most.
    pub events: Limits,
    /// Events, or spans.
    pub batch_events: usize,
    /// Bytes after decompression; for spans also what they take in memory.
    pub content_bytes: usize,
}

/// What turns bytes into events, the same for all senders.
pub struct Intake {
    clock: Arc<dyn Clock>,
    keys: Arc<FingerprintKeys>,
    policy: Arc<Policy>,
    sources: Sources,
    limits: IntakeLimits,
    memory: Memory,
    quotas: Mutex<Quotas>,
    /// What spans embedded a moment ago.
    embeddings: Embeddings,
}

/// The bytes of a request as they were sent, and the room that they take.
pub struct Body {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How they are compressed.
    pub compression: Compression,
    /// What they take of [`Memory`]; none where somebody else bounds it.
    pub room: Option<Room>,
}

/// Why nothing of a request was read. None of its events was stored.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// It is no table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// It is no request of OTLP.
    #[error(transparent)]
    Spans(#[from] Malformed),
    /// There is no event in it.
    #[error("the body holds no event")]
    Empty,
    /// There is more in it than may be.
    #[error("{0}")]
    TooLarge(String),
    /// Other requests hold too much memory.
    #[error(transparent)]
    Full(#[from] Full),
}

/// What became of one event of a request, or of a span that should be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The line of the body in which it begins, or its row of a table, from 1.
    pub line: u64,
    /// The id of the span, where it came as one.
    pub span: Option<String>,
    /// What kind of event it is; for a span that is refused, the kind is not known.
    pub kind: Option<Kind>,
    /// Its id, if it has become an event.
    pub event_id: Option<EventId>,
    /// What became of it.
    pub outcome: Outcome,
    /// How many of its results are not kept because there are more than the limit.
    pub truncated_results: u32,
    /// What was noticed about it or done to it.
    pub marks: Vec<String>,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is on disk.
    Accepted,
    /// It was on disk already.
    Duplicate,
    /// It cannot be an event.
    Rejected(Rejection),
    /// Its principal has sent too much.
    OverQuota {
        /// How much, and how much may be sent.
        reason: String,
        /// Seconds until it is taken; none if it never is.
        retry_after_s: Option<u64>,
    },
}

/// What became of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// One for each event or refused span, in their order.
    pub events: Vec<Answer>,
    /// Columns of a table that were passed over because they hold nothing of an event: the index that pandas adds.
    pub ignored_columns: Vec<String>,
    /// The spans that became no event, where spans were sent.
    pub spans: Option<OtherSpans>,
}

/// How many spans became no event, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OtherSpans {
    /// They are about something else.
    pub other: u64,
    /// They are embeddings: part of the retrieval of their trace.
    pub embeddings: u64,
    /// They do not say which documents were returned, or what was answered.
    pub without_content: u64,
    /// What they are about failed.
    pub failed: u64,
    /// Attributes of the spans that did become events which are not read.
    pub ignored_attributes: u64,
}

/// A request that was read, and that [`Collector::ingest`] makes durable.
pub struct Read {
    events: Vec<Event>,
    answers: Answers,
    _room: Room,
}

impl Intake {
    /// One that reads with these keys and sources, under this policy and within these limits.
    pub fn new(
        clock: Arc<dyn Clock>,
        keys: Arc<FingerprintKeys>,
        policy: Arc<Policy>,
        sources: Sources,
        limits: IntakeLimits,
        memory: Memory,
    ) -> Self {
        let quotas = Mutex::new(Quotas::new(Quotas::PRINCIPALS));
        Self { clock, keys, policy, sources, limits, memory, quotas, embeddings: Embeddings::default() }
    }

    /// Whether spans get the version of their corpus from the registry.
    pub fn uses_registry(&self) -> bool {
        self.sources.uses_registry()
    }

    /// Reads a request: decompresses it, cuts it into events, and decides of each whether it is right and allowed. One bad
    /// event does not touch the others. `version_at` says which version of a corpus was in use at a time.
    pub fn read(&self, body: Body, format: Format, version_at: &VersionAt<'_>) -> Result<Read, ReadError> {
        let now = self.clock.now();
        let Body { bytes, compression, room } = body;
        let content = match compression {
            Compression::None if bytes.len() <= self.limits.content_bytes => bytes,
            _ => {
                let content = decompress(&bytes, compression, self.limits.content_bytes)?;
                drop(bytes);
                content
            }
        };
        drop(room);
        match format {
            Format::Events(kind) => self.read_events(&content, kind, now),
            Format::Spans(encoding) => self.read_spans(content, encoding, now, version_at),
        }
    }

    fn context(&self, now: Timestamp) -> Context<'_> {
        Context { now: Some(now), keys: &self.keys, policy: &self.policy, limits: self.limits.events }
    }

    fn too_many(&self) -> ReadError {
        too_large(&format!("the batch has more than {} events", self.limits.batch_events))
    }

    fn read_events(&self, content: &[u8], kind: Kind, now: Timestamp) -> Result<Read, ReadError> {
        let context = self.context(now);
        let mut room = self.memory.reserve(content.len())?;
        let mut sorted = Sorted::new(self);
        if tabular::is_ipc_stream(content) {
            let TableRows { events, ignored_columns } = table::read(self, content, kind, &context, &mut room)?;
            for (row, event) in (1..).zip(events) {
                sorted.push(row, None, Some(kind), event);
            }
            sorted.answers.ignored_columns = ignored_columns;
            // A table without rows is the export of an empty window.
            return Ok(sorted.into_read(room));
        }
        for piece in Pieces::new(content, context.limits.event_bytes) {
            if sorted.answers.events.len() >= self.limits.batch_events {
                return Err(self.too_many());
            }
            let (line, event) = decode_piece(piece, kind, &context);
            sorted.push(line, None, Some(kind), event);
        }
        if sorted.answers.events.is_empty() {
            return Err(ReadError::Empty);
        }
        Ok(sorted.into_read(room))
    }

    fn read_spans(
        &self,
        content: Vec<u8>,
        encoding: Encoding,
        now: Timestamp,
        version_at: &VersionAt<'_>,
    ) -> Result<Read, ReadError> {
        let (size, most) = (otlp::size(&content, encoding)?, self.limits.content_bytes);
        if size > most {
            return Err(too_large(&format!("the spans would take {size} bytes of memory, the limit is {most}")));
        }
        let room = self.memory.reserve(size)?;
        let request = otlp::parse(&content, encoding)?;
        drop(content);
        let (count, most) = (otlp::count(&request), self.limits.batch_events);
        if count > most {
            return Err(too_large(&format!("the request has {count} spans, the limit is {most}")));
        }
        let spans = otlp::decode_spans(&request, &self.sources, version_at, &self.embeddings, &self.context(now));
        let mut sorted = Sorted::new(self);
        for (span, rejection) in spans.rejections {
            sorted.push(0, Some(span), None, Err(rejection));
        }
        for event in spans.events {
            let kind = event.kind();
            sorted.push(0, None, Some(kind), Ok(event));
        }
        let otlp::Spans { other, embeddings, without_content, failed, ignored_attributes, .. } = spans;
        sorted.answers.spans = Some(OtherSpans { other, embeddings, without_content, failed, ignored_attributes });
        Ok(sorted.into_read(room))
    }

    /// Asks the quota of the event's principal, and takes from it.
    fn admit(&self, event: &Event) -> Result<(), OverQuota> {
        let principal = event.principal();
        let bounds = self.policy.bounds_for(event.service(), principal);
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at under the lock: to a quota time never goes back, whichever request is decoded first.
        quotas.take(self.clock.now(), principal, &bounds, 1)
    }
}

fn too_large(reason: &str) -> ReadError {
    ReadError::TooLarge(format!("{reason}; none of them was stored"))
}

/// Events that may be stored, and the answers so far.
struct Sorted<'a> {
    intake: &'a Intake,
    events: Vec<Event>,
    answers: Answers,
}

impl<'a> Sorted<'a> {
    fn new(intake: &'a Intake) -> Self {
        Self { intake, events: Vec::new(), answers: Answers::default() }
    }

    fn push(&mut self, line: u64, span: Option<String>, kind: Option<Kind>, event: Result<Event, Rejection>) {
        let blank = Answer {
            line,
            span,
            kind,
            event_id: None,
            outcome: Outcome::Accepted,
            truncated_results: 0,
            marks: Vec::new(),
        };
        self.answers.events.push(match event {
            Ok(event) => {
                let (event_id, truncated_results) = (Some(event.event_id()), event.truncated_results());
                match self.intake.admit(&event) {
                    Ok(()) => {
                        let marks = event.marks().iter().map(ToString::to_string).collect();
                        self.events.push(event);
                        Answer { event_id, truncated_results, marks, ..blank }
                    }
                    Err(refusal) => {
                        let retry_after_s = match refusal {
                            OverQuota::Wait { seconds } => Some(seconds),
                            OverQuota::TooMany { .. } => None,
                        };
                        let outcome = Outcome::OverQuota { reason: refusal.to_string(), retry_after_s };
                        Answer { event_id, outcome, ..blank }
                    }
                }
            }
            Err(rejection) => Answer { outcome: Outcome::Rejected(rejection), ..blank },
        });
    }

    fn into_read(self, room: Room) -> Read {
        Read { events: self.events, answers: self.answers, _room: room }
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

impl Answers {
    /// Seconds until the request is worth repeating, where nothing of it was stored and quotas alone stand in the way of
    /// some of it.
    pub fn retry_after_s(&self) -> Option<u64> {
        let stored = |answer: &Answer| matches!(answer.outcome, Outcome::Accepted | Outcome::Duplicate);
        if self.events.iter().any(stored) {
            return None;
        }
        let waits = self.events.iter().filter_map(|answer| match answer.outcome {
            Outcome::OverQuota { retry_after_s, .. } => retry_after_s,
            _ => None,
        });
        waits.max()
    }
}

impl Collector {
    /// Makes the events of a request durable, and says what became of each.
    pub async fn ingest(&self, read: Read) -> Result<Answers, Error> {
        let Read { events, mut answers, _room } = read;
        let receipt = if events.is_empty() { Vec::new() } else { self.submit(events).await? };
        let submitted = answers.events.iter_mut().filter(|answer| answer.outcome == Outcome::Accepted);
        for (answer, acknowledgement) in submitted.zip(receipt) {
            if acknowledgement == Acknowledgement::Duplicate {
                answer.outcome = Outcome::Duplicate;
            }
        }
        Ok(answers)
    }
}
