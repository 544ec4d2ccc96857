use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tidemark_schema::{ScoreKind, Timestamp};

/// One answer of a retriever to one query. What is not known is left as it is by default.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Retrieval {
    /// When it happened; the time at which it is recorded if `None`.
    pub occurred_at: Option<Timestamp>,
    /// The logical operation, which retries and the output share; the trace if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// 1 for the first try, counted up by retries of the same operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The application's trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The span in that trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The service that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `prod`, `staging` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Keys by which traffic is told apart.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub segment: BTreeMap<String, String>,
    /// The corpus that was asked.
    pub corpus: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corpus_version: Option<String>,
    /// What did the retrieval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retriever: Option<Retriever>,
    /// What was asked.
    pub query: Query,
    /// The limits under which it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<Requested>,
    /// What came back, best first.
    pub results: Vec<Document>,
    /// The model that the results were meant for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The version of the prompt that the results were meant for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// What it cost, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Anything else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
    /// What was noticed about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<String>,
}

/// What did a retrieval. Two that are equal declare the same search.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Retriever {
    /// Its name in the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `dense`, `sparse`, `hybrid`, `rerank` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The version of its code or configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What its scores mean.
    pub score_kind: ScoreKind,
    /// The index that was searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// The model that embedded the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedder: Option<String>,
    /// Search parameters, such as `{"hnsw_ef": 128}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
}

/// What was asked: a text, or a fingerprint when the text must not leave the service.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Query {
    /// The text. What is stored of it is the server's policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What the query is matched by, if it is not to be made of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Its embedding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
}

/// The limits under which a retrieval was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Requested {
    /// How many documents at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// The scopes that were searched; empty when not restricted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// The filter, in the words of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// One document of a result.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Document {
    /// Which document.
    pub doc_id: String,
    /// Its score; `None` when the retriever gave none, never zero in its place.
    pub score: Option<f64>,
    /// The hash of what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    /// Its length in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// The scope it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl Document {
    /// A document with its score.
    pub fn scored(doc_id: impl Into<String>, score: f64) -> Self {
        Self { doc_id: doc_id.into(), score: Some(score), ..Self::default() }
    }
}

/// What a model answered with the retrieved context. It needs an operation or a trace.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Output {
    /// When it happened; the time at which it is recorded if `None`.
    pub occurred_at: Option<Timestamp>,
    /// The operation of the retrievals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// The application's trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The service that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The version of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<String>,
    /// What was answered.
    pub output: Answer,
    /// The documents that the answer cites.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<String>,
    /// Whether the model refused to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<bool>,
    /// Evaluations by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, f64>,
    /// What the user thought of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback: Option<f64>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// What it cost, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

/// The text of an answer, or what stands for it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Answer {
    /// The text. What is stored of it is the server's policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its hash; made of the text if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Its length in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
}

/// Either kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "nearly all are retrievals, the larger variant")]
pub(crate) enum Event {
    Retrieval(Retrieval),
    Output(Output),
}

/// Where events of a kind are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Retrieval,
    Output,
}

impl Kind {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Retrieval => "/v1/retrievals",
            Self::Output => "/v1/outputs",
        }
    }

    pub(crate) fn of(event: &Event) -> Self {
        match event {
            Event::Retrieval(_) => Self::Retrieval,
            Event::Output(_) => Self::Output,
        }
    }
}

/// What a value takes besides its texts: its fields, their allocations.
const VALUE: usize = 128;

impl Event {
    /// About how many bytes it takes in memory. Counted in well under a microsecond.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Self::Retrieval(event) => {
                let documents: usize = event.results.iter().map(|document| VALUE + document.doc_id.len()).sum();
                let embedding = event.query.embedding.as_ref().map_or(0, |vector| 4 * vector.len());
                let kept: usize = event.attributes.values().map(|value| VALUE + value_bytes(value)).sum();
                size_of::<Self>() + documents + embedding + kept + text(&event.query.text) + VALUE * event.segment.len()
            }
            Self::Output(event) => {
                let cited: usize = event.citations.iter().map(|id| VALUE + id.len()).sum();
                size_of::<Self>() + text(&event.output.text) + cited + VALUE * event.scores.len()
            }
        }
    }

    /// The field that holds a number JSON has not.
    pub(crate) fn not_finite(&self) -> Option<String> {
        let bad = |number: Option<f64>| number.is_some_and(|number| !number.is_finite());
        match self {
            Self::Retrieval(event) => {
                let score = event.results.iter().position(|document| bad(document.score));
                let component = event.query.embedding.iter().flatten().position(|x| !x.is_finite());
                score
                    .map(|place| format!("results[{place}].score"))
                    .or_else(|| component.map(|place| format!("query.embedding[{place}]")))
                    .or_else(|| bad(event.latency_ms).then(|| "latency_ms".to_owned()))
                    .or_else(|| bad(event.cost_usd).then(|| "cost_usd".to_owned()))
            }
            Self::Output(event) => {
                let score = event.scores.iter().find(|(_, score)| !score.is_finite());
                score
                    .map(|(name, _)| format!("scores.{name}"))
                    .or_else(|| bad(event.feedback).then(|| "feedback".to_owned()))
                    .or_else(|| bad(event.latency_ms).then(|| "latency_ms".to_owned()))
                    .or_else(|| bad(event.cost_usd).then(|| "cost_usd".to_owned()))
            }
        }
    }

    pub(crate) fn at(&mut self, now: Timestamp) {
        let occurred_at = match self {
            Self::Retrieval(event) => &mut event.occurred_at,
            Self::Output(event) => &mut event.occurred_at,
        };
        occurred_at.get_or_insert(now);
    }
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(|value| VALUE + value_bytes(value)).sum(),
        Value::Object(entries) => entries.iter().map(|(key, value)| VALUE + key.len() + value_bytes(value)).sum(),
        _ => 0,
    }
}
