//! Bytes into events. Everything here is a function of its arguments: the time, the key and the limits are passed in.

pub(crate) mod draft;
mod explain;
mod json;
pub mod otlp;
mod pieces;
mod size;
pub mod tabular;
pub mod trec;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use tidemark_schema::{FingerprintKeys, Label, OutputEvent, RetrievalEvent, Timestamp};

pub use crate::redact::TextPolicy;
pub use draft::EventDraft;
pub use json::{Kind, decode, draft as read_json};
pub use pieces::{Piece, PieceError, Pieces};

use crate::policy::Policy;

/// An event of either kind. It is never changed once it is accepted, and is shared by those who need it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What a retriever returned.
    Retrieval(Arc<RetrievalEvent>),
    /// What a model answered.
    Output(Arc<OutputEvent>),
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Retrieval(event) => event.as_ref().serialize(serializer),
            Self::Output(event) => event.as_ref().serialize(serializer),
        }
    }
}

impl From<RetrievalEvent> for Event {
    fn from(event: RetrievalEvent) -> Self {
        Self::Retrieval(Arc::new(event))
    }
}

impl From<OutputEvent> for Event {
    fn from(event: OutputEvent) -> Self {
        Self::Output(Arc::new(event))
    }
}

impl Event {
    /// Which kind it is of.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Retrieval(_) => Kind::Retrieval,
            Self::Output(_) => Kind::Output,
        }
    }

    /// Its idempotency key.
    pub fn event_id(&self) -> tidemark_schema::EventId {
        match self {
            Self::Retrieval(event) => event.event_id,
            Self::Output(event) => event.event_id,
        }
    }

    /// When it happened.
    pub fn occurred_at(&self) -> Timestamp {
        match self {
            Self::Retrieval(event) => event.occurred_at,
            Self::Output(event) => event.occurred_at,
        }
    }

    /// Who asked.
    pub fn principal(&self) -> Option<&Label> {
        match self {
            Self::Retrieval(event) => event.principal.as_ref(),
            Self::Output(event) => event.principal.as_ref(),
        }
    }

    /// The service that asked.
    pub fn service(&self) -> Option<&Label> {
        match self {
            Self::Retrieval(event) => event.service.as_ref(),
            Self::Output(event) => event.service.as_ref(),
        }
    }

    /// What was noticed about it or done to it, such as `bound.results` or `redacted.email`.
    pub fn marks(&self) -> &BTreeSet<Label> {
        match self {
            Self::Retrieval(event) => &event.marks,
            Self::Output(event) => &event.marks,
        }
    }

    /// The bytes that it takes in memory, which is what queues are bounded by: its own fields, its texts, and the values within
    /// what senders may structure as they like.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Retrieval(event) => size::of_retrieval(event),
            Self::Output(event) => size::of_output(event),
        }
    }

    /// How many results were left out because there were more than are kept.
    pub fn truncated_results(&self) -> u32 {
        match self {
            Self::Retrieval(event) => {
                let kept = u32::try_from(event.results.len()).unwrap_or(u32::MAX);
                event.results_total.map_or(0, |total| total.saturating_sub(kept))
            }
            Self::Output(_) => 0,
        }
    }
}

/// The JSON values within the attributes and the retriever's parameters of an event.
pub(crate) fn values_of(event: &RetrievalEvent) -> u64 {
    event.attributes.values().chain(event.retriever.params.values()).map(values).sum()
}

fn values(value: &serde_json::Value) -> u64 {
    match value {
        serde_json::Value::Array(array) => 1 + array.iter().map(values).sum::<u64>(),
        serde_json::Value::Object(object) => 1 + object.values().map(values).sum::<u64>(),
        _ => 1,
    }
}

/// Why an event was not taken. The others of its batch are not affected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Which field, such as `results[3].score`; none when the event as a whole cannot be read.
    pub field: Option<String>,
    /// What is wrong, and what would be right.
    pub reason: String,
    /// Whether it is no JSON at all, as against JSON with a field that is wrong.
    pub malformed: bool,
}

impl Rejection {
    pub(crate) fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: Some(field.into()), reason: reason.into(), malformed: false }
    }
}

/// What an event may be at most. Beyond [`Limits::event_bytes`] it is refused, beyond [`Limits::results`] it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one event.
    pub event_bytes: usize,
    /// Results of one retrieval that are kept.
    pub results: usize,
    /// Values within the attributes and the retriever's parameters of one event.
    pub values: u64,
    /// Seconds that an event may lie in the future of our clock.
    pub ahead_s: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { event_bytes: 4 * 1024 * 1024, results: 1_000, values: 100_000, ahead_s: 3_600 }
    }
}

/// All that decoding depends on besides the bytes.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Our clock; none for a recording, whose times are its own.
    pub now: Option<Timestamp>,
    /// What makes fingerprints.
    pub keys: &'a FingerprintKeys,
    /// What may be kept of the event.
    pub policy: &'a Policy,
    /// What an event may be at most.
    pub limits: Limits,
}

#[cfg(test)]
mod tests;
