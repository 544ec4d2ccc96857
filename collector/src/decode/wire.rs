//! The events as they are written by senders. Their only way on is through `json.rs`, which checks what types cannot.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use tidemark_schema::{
    ContentHash, CorpusName, CorpusVersion, DocumentId, EventId, Fingerprint, Finite, Label, OperationId, OutputBody,
    Requested, Retriever, SimHash, SpanId, Timestamp, TraceId,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireRetrieval {
    pub(super) event_id: Option<EventId>,
    pub(super) occurred_at: Timestamp,
    pub(super) operation_id: Option<OperationId>,
    pub(super) attempt: Option<u32>,
    pub(super) trace_id: Option<TraceId>,
    pub(super) span_id: Option<SpanId>,
    pub(super) principal: Option<Label>,
    pub(super) service: Option<Label>,
    pub(super) environment: Option<Label>,
    pub(super) segment: Option<BTreeMap<Label, Label>>,
    pub(super) corpus: CorpusName,
    pub(super) corpus_version: Option<CorpusVersion>,
    pub(super) retriever: Option<Retriever>,
    pub(super) query: WireQuery,
    pub(super) requested: Option<Requested>,
    pub(super) results: Vec<WireResult>,
    pub(super) results_total: Option<u32>,
    pub(super) model: Option<Label>,
    pub(super) prompt_version: Option<Label>,
    pub(super) policy_version: Option<Label>,
    pub(super) latency_ms: Option<Finite>,
    pub(super) cost_usd: Option<Finite>,
    pub(super) attributes: Option<BTreeMap<String, Value>>,
    pub(super) marks: Option<BTreeSet<Label>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireQuery {
    pub(super) text: Option<String>,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) previous_fingerprint: Option<Fingerprint>,
    pub(super) simhash: Option<SimHash>,
    pub(super) embedding: Option<Vec<f32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireResult {
    pub(super) doc_id: DocumentId,
    pub(super) rank: Option<u32>,
    pub(super) score: Option<Finite>,
    pub(super) content_hash: Option<ContentHash>,
    pub(super) tokens: Option<u32>,
    pub(super) updated_at: Option<Timestamp>,
    pub(super) scope: Option<Label>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireOutput {
    pub(super) event_id: Option<EventId>,
    pub(super) occurred_at: Timestamp,
    pub(super) operation_id: Option<OperationId>,
    pub(super) attempt: Option<u32>,
    pub(super) trace_id: Option<TraceId>,
    pub(super) principal: Option<Label>,
    pub(super) service: Option<Label>,
    pub(super) model: Option<Label>,
    pub(super) prompt_version: Option<Label>,
    pub(super) policy_version: Option<Label>,
    pub(super) output: Option<OutputBody>,
    pub(super) citations: Option<Vec<DocumentId>>,
    pub(super) refusal: Option<bool>,
    pub(super) scores: Option<BTreeMap<Label, Finite>>,
    pub(super) feedback: Option<Finite>,
    pub(super) latency_ms: Option<Finite>,
    pub(super) cost_usd: Option<Finite>,
    pub(super) marks: Option<BTreeSet<Label>>,
}
