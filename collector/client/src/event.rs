use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tidemark_schema::{ScoreKind, Timestamp};

/// One answer of a retriever to one query. What is not known is left as it is by default.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Retrieval {
    /// What makes it one event however often it is sent; made by the recorder if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
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
    /// How many tokens of context at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_context_tokens: Option<u64>,
    /// How old a document may be, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u64>,
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
    /// What makes it one event however often it is sent; made by the recorder if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// When it happened; the time at which it is recorded if `None`.
    pub occurred_at: Option<Timestamp>,
    /// The operation of the retrievals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// 1 for the first try, counted up by retries of the same operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
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
    /// Its embedding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
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
/// What a component of an embedding takes, once it is written as a number with its comma.
const COMPONENT: usize = 14;

impl Event {
    /// About how many bytes it takes in memory. Counted in well under a microsecond.
    pub(crate) fn bytes(&self) -> usize {
        let texts = match self {
            Self::Retrieval(event) => event.bytes(),
            Self::Output(event) => event.bytes(),
        };
        size_of::<Self>() + texts
    }

    /// Leaves out each number that is none, which JSON cannot say: the rest of the event is true without it. Whether
    /// there was one.
    pub(crate) fn leave_out_not_finite(&mut self) -> bool {
        match self {
            Self::Retrieval(event) => {
                let mut left_out = leave_out_embedding(&mut event.query.embedding);
                event.results.iter_mut().for_each(|document| left_out |= leave_out(&mut document.score));
                left_out | leave_out(&mut event.latency_ms) | leave_out(&mut event.cost_usd)
            }
            Self::Output(event) => {
                let scores = event.scores.len();
                event.scores.retain(|_, score| score.is_finite());
                (event.scores.len() < scores)
                    | leave_out_embedding(&mut event.output.embedding)
                    | leave_out(&mut event.feedback)
                    | leave_out(&mut event.latency_ms)
                    | leave_out(&mut event.cost_usd)
            }
        }
    }

    /// What the server knows it by when it is sent again, if it has no id of its own.
    pub(crate) fn identify(&mut self, id: impl FnOnce() -> String) {
        let event_id = match self {
            Self::Retrieval(event) => &mut event.event_id,
            Self::Output(event) => &mut event.event_id,
        };
        event_id.get_or_insert_with(id);
    }

    pub(crate) fn at(&mut self, now: Timestamp) {
        let occurred_at = match self {
            Self::Retrieval(event) => &mut event.occurred_at,
            Self::Output(event) => &mut event.occurred_at,
        };
        occurred_at.get_or_insert(now);
    }
}

impl Retrieval {
    fn bytes(&self) -> usize {
        let known = [&self.event_id, &self.operation_id, &self.trace_id, &self.span_id, &self.principal, &self.service]
            .into_iter()
            .chain([&self.environment, &self.corpus_version, &self.model, &self.prompt_version])
            .chain([&self.query.text, &self.query.fingerprint]);
        let results = self.results.iter().map(|document| {
            VALUE + document.doc_id.len() + text(document.content_hash.as_deref()) + text(document.scope.as_deref())
        });
        self.corpus.len()
            + known.flatten().map(String::len).sum::<usize>()
            + self.retriever.as_ref().map_or(0, Retriever::bytes)
            + self.requested.as_ref().map_or(0, |asked| texts(&asked.scope) + text(asked.filter.as_deref()))
            + results.sum::<usize>()
            + embedding(self.query.embedding.as_deref())
            + self.segment.iter().map(|(key, value)| VALUE + key.len() + value.len()).sum::<usize>()
            + values(&self.attributes)
            + texts(&self.marks)
    }
}

impl Retriever {
    fn bytes(&self) -> usize {
        let known = [&self.name, &self.kind, &self.version, &self.index, &self.embedder];
        known.into_iter().flatten().map(String::len).sum::<usize>() + values(&self.params)
    }
}

impl Output {
    fn bytes(&self) -> usize {
        let known = [&self.event_id, &self.operation_id, &self.trace_id, &self.principal, &self.service, &self.model]
            .into_iter()
            .chain([&self.prompt_version, &self.output.text, &self.output.hash]);
        known.flatten().map(String::len).sum::<usize>()
            + embedding(self.output.embedding.as_deref())
            + texts(&self.citations)
            + self.scores.keys().map(|name| VALUE + name.len()).sum::<usize>()
    }
}

fn text(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

fn texts(texts: &[String]) -> usize {
    texts.iter().map(|text| VALUE + text.len()).sum()
}

fn embedding(embedding: Option<&[f32]>) -> usize {
    embedding.map_or(0, |vector| COMPONENT * vector.len())
}

fn values(values: &BTreeMap<String, Value>) -> usize {
    values.iter().map(|(key, value)| VALUE + key.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(|value| VALUE + value_bytes(value)).sum(),
        Value::Object(entries) => entries.iter().map(|(key, value)| VALUE + key.len() + value_bytes(value)).sum(),
        _ => 0,
    }
}

fn leave_out(number: &mut Option<f64>) -> bool {
    number.take_if(|number| !number.is_finite()).is_some()
}

/// A vector without one of its components is no vector.
fn leave_out_embedding(embedding: &mut Option<Vec<f32>>) -> bool {
    embedding.take_if(|vector| vector.iter().any(|component| !component.is_finite())).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event with a text of this length in each place that takes one.
    fn long(length: usize) -> Retrieval {
        let long = || "x".repeat(length);
        let known = || Some(long());
        Retrieval {
            event_id: known(),
            operation_id: known(),
            trace_id: known(),
            span_id: known(),
            principal: known(),
            service: known(),
            environment: known(),
            segment: BTreeMap::from([(long(), long())]),
            corpus: long(),
            corpus_version: known(),
            retriever: Some(Retriever {
                name: known(),
                kind: known(),
                version: known(),
                index: known(),
                embedder: known(),
                params: BTreeMap::from([(long(), long().into())]),
                ..Retriever::default()
            }),
            query: Query { text: known(), fingerprint: known(), embedding: Some(vec![0.123_456_79; length]) },
            requested: Some(Requested { scope: vec![long()], filter: known(), ..Requested::default() }),
            results: vec![Document { doc_id: long(), content_hash: known(), scope: known(), ..Document::default() }],
            model: known(),
            prompt_version: known(),
            attributes: BTreeMap::from([(long(), serde_json::json!({ long(): [long()] }))]),
            marks: vec![long()],
            ..Retrieval::default()
        }
    }

    #[test]
    fn no_text_of_an_event_escapes_the_count_of_its_bytes() {
        let check = |event: Event| {
            let written = serde_json::to_vec(&event).unwrap().len();
            assert!(event.bytes() >= written, "{} counted, {written} written", event.bytes());
        };
        check(Event::Retrieval(long(10_000)));
        let Retrieval { event_id, operation_id, trace_id, principal, service, model, prompt_version, query, .. } =
            long(10_000);
        check(Event::Output(Output {
            event_id,
            operation_id,
            trace_id,
            principal,
            service,
            model,
            prompt_version,
            output: Answer { text: query.text.clone(), hash: query.text, embedding: query.embedding, tokens: None },
            citations: vec!["x".repeat(10_000)],
            scores: BTreeMap::from([("x".repeat(10_000), 0.5)]),
            ..Output::default()
        }));
    }

    #[test]
    fn what_is_no_number_is_left_out_and_the_rest_stays() {
        let results = vec![Document::scored("a", f64::NAN), Document::scored("b", 0.5)];
        let mut retrieval = Event::Retrieval(Retrieval { results, latency_ms: Some(f64::INFINITY), ..long(1) });
        assert!(retrieval.leave_out_not_finite() && !retrieval.leave_out_not_finite());
        let Event::Retrieval(Retrieval { results, latency_ms, .. }) = retrieval else { panic!() };
        assert_eq!((results[0].score, results[1].score, latency_ms), (None, Some(0.5), None));
        let scores = BTreeMap::from([("bad".to_owned(), f64::NAN), ("good".to_owned(), 1.0)]);
        let embedding = Some(vec![0.5, f32::NAN]);
        let mut output =
            Event::Output(Output { scores, output: Answer { embedding, ..Answer::default() }, ..Output::default() });
        assert!(output.leave_out_not_finite());
        let Event::Output(Output { scores, output: Answer { embedding, .. }, .. }) = output else { panic!() };
        assert_eq!((scores.len(), scores["good"], embedding), (1, 1.0, None));
    }
}
