use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{ContentHash, DocumentId, EventId, Label, OperationId, TraceId};
use crate::number::Finite;
use crate::time::Timestamp;

/// What a model answered with the retrieved context. It belongs to the retrievals of its operation, else of its trace.
///
/// Serialises to the wire format that it was decoded from, and is read back from what was written of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputEvent {
    /// Idempotency key.
    pub event_id: EventId,
    /// When the answer was given, by the sender's clock.
    pub occurred_at: Timestamp,
    /// The logical operation.
    pub operation_id: OperationId,
    /// 1 for the first try.
    pub attempt: u32,
    /// The application's trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Label>,
    /// The service that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Label>,
    /// The model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Label>,
    /// The version of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<Label>,
    /// The version of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<Label>,
    /// The answer.
    pub output: OutputBody,
    /// The documents it cites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<DocumentId>,
    /// Whether the model refused to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<bool>,
    /// Evaluation scores, such as faithfulness.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<Label, Finite>,
    /// The user's verdict: positive, zero or negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Finite>,
    /// Duration of the answer in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Finite>,
    /// Cost of the answer in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Finite>,
    /// What the collector noticed about the event or did to it, such as `redacted.email`; sorted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub marks: BTreeSet<Label>,
}

/// The answer, as far as the policy lets it be stored.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputBody {
    /// The text, after redaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<ContentHash>,
    /// Its embedding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
    /// Its length in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
}
