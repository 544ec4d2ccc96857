//! Bytes into events. Everything here is a function of its arguments: the time, the key and the limits are passed in.

mod json;
pub mod otlp;
mod pieces;
pub mod tabular;
pub mod trec;
mod wire;

use std::collections::BTreeSet;

use tidemark_schema::{FingerprintKeys, Label, OutputEvent, RetrievalEvent, Timestamp};

pub use crate::redact::TextPolicy;
pub use json::{Kind, decode};
pub use pieces::{Piece, PieceError, Pieces};

use crate::policy::Policy;

/// An event of either kind.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "nearly all events are retrievals, the larger variant")]
pub enum Event {
    /// What a retriever returned.
    Retrieval(RetrievalEvent),
    /// What a model answered.
    Output(OutputEvent),
}

impl Event {
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

    /// What it takes in memory besides its texts, which are in its JSON: its own fields, and the values within what senders
    /// may structure as they like. Without it a queue of a few bytes of JSON each would hold five times its bound.
    pub(crate) fn bytes_beside_json(&self) -> u64 {
        let values = match self {
            Self::Retrieval(event) => values_of(event),
            Self::Output(_) => 0,
        };
        size_of::<Self>() as u64 + values.saturating_mul(VALUE_BYTES)
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

/// What one JSON value takes in memory, besides its text.
const VALUE_BYTES: u64 = size_of::<serde_json::Value>() as u64;

/// The JSON values within the attributes and the retriever's parameters of an event.
fn values_of(event: &RetrievalEvent) -> u64 {
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
