use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{
    ContentHash, CorpusName, CorpusVersion, DocumentId, EventId, Fingerprint, Label, OperationId, SpanId, TraceId,
};
use crate::number::Finite;
use crate::simhash::SimHash;
use crate::time::Timestamp;

/// One answer of one retriever to one query: which documents, in which order, with which scores, from which version of
/// everything that took part.
///
/// Serialises to the wire format that it was decoded from, so that an export can be imported again, and is read back from
/// what was written of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrievalEvent {
    /// Idempotency key.
    pub event_id: EventId,
    /// When the retrieval happened, by the sender's clock.
    pub occurred_at: Timestamp,
    /// The logical operation; retries share it.
    pub operation_id: OperationId,
    /// 1 for the first try, counted up by retries of the same operation.
    pub attempt: u32,
    /// The application's trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// The span of the retrieval in that trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Label>,
    /// The service that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Label>,
    /// `prod`, `staging` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Label>,
    /// Keys by which traffic is told apart, such as locale or tier.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segment: BTreeMap<Label, Label>,
    /// The corpus that was asked.
    pub corpus: CorpusName,
    /// The version of the corpus that the sender believes it asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corpus_version: Option<CorpusVersion>,
    /// What did the retrieval.
    pub retriever: Retriever,
    /// What was asked.
    pub query: Query,
    /// The limits under which it was asked.
    pub requested: Requested,
    /// What came back, best first.
    pub results: Vec<RetrievedDocument>,
    /// How many results came back, when more than are kept here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results_total: Option<u32>,
    /// The model that the results were meant for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Label>,
    /// The version of the prompt that the results were meant for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<Label>,
    /// The version of the policy that bounded the retrieval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<Label>,
    /// Duration of the retrieval in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Finite>,
    /// Cost of the retrieval in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Finite>,
    /// Anything else the sender wants to keep.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
    /// What the collector noticed about the event or did to it, such as `bound.results` or `redacted.email`; sorted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub marks: BTreeSet<Label>,
}

/// Every version of what searched. Two events whose retrievers are equal *declare* the same search.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Retriever {
    /// Its name in the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Label>,
    /// `dense`, `sparse`, `hybrid`, `rerank` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Label>,
    /// The version of its code or configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Label>,
    /// What its scores mean.
    pub score_kind: ScoreKind,
    /// The index that was searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Label>,
    /// The model that embedded the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedder: Option<Label>,
    /// Search parameters, such as `{"hnsw_ef": 128}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
}

/// What a score means; scores of different kinds are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// Cosine similarity.
    Cosine,
    /// Inner product.
    Dot,
    /// A distance: the smallest is the best.
    Distance,
    /// BM25.
    Bm25,
    /// Reciprocal rank fusion.
    Rrf,
    /// The output of a reranking model.
    Rerank,
    /// Unknown.
    #[default]
    Other,
}

impl ScoreKind {
    /// Whether smaller scores are better.
    pub fn ranks_upwards(self) -> bool {
        self == Self::Distance
    }

    /// The name on the wire and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::Distance => "distance",
            Self::Bm25 => "bm25",
            Self::Rrf => "rrf",
            Self::Rerank => "rerank",
            Self::Other => "other",
        }
    }
}

/// What was asked. The text is there only as far as the policy lets it be stored; the fingerprint always.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The text, after redaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What the query is matched by.
    pub fingerprint: Fingerprint,
    /// The fingerprint under the key before, while keys are rotated: it matches the query with its older history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_fingerprint: Option<Fingerprint>,
    /// What it is clustered by when there is no embedding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simhash: Option<SimHash>,
    /// Its embedding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
}

/// The limits under which the retrieval was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Requested {
    /// How many documents at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// How many tokens of context at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_context_tokens: Option<u64>,
    /// How old a document may be, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u64>,
    /// The scopes that were searched; empty when not restricted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<Label>,
    /// The filter, in the words of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// One document of a result. Its rank is its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrievedDocument {
    /// Which document.
    pub doc_id: DocumentId,
    /// Its score; null when the retriever gave none, never zero in its place.
    pub score: Option<Finite>,
    /// The hash of what the document said when it was retrieved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<ContentHash>,
    /// Its length in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
    /// When the document last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// The scope it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Label>,
}

/// How an event reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ingest {
    /// Sent as it happened.
    Live,
    /// Sent so long after it happened that the window of recent ids does not reach back to it.
    Late,
    /// Read again from the log after a crash.
    Replayed,
    /// Read from a file.
    Imported,
}

impl Ingest {
    /// The name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Late => "late",
            Self::Replayed => "replayed",
            Self::Imported => "imported",
        }
    }
}

impl fmt::Display for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ScoreKind {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_value(Value::String(text.to_owned()))
    }
}

impl FromStr for Ingest {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_value(Value::String(text.to_owned()))
    }
}

/// An event as it is kept: with the time and the way it came in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored<E> {
    /// When it was received, by our clock.
    pub received_at: Timestamp,
    /// How it was received.
    pub ingest: Ingest,
    /// The event.
    pub event: E,
}
