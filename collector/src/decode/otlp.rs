//! Spans of OpenTelemetry into events.
//!
//! Two conventions are read: `OpenInference` ([`openinference`]) and OpenTelemetry's own for generative AI ([`genai`]). Neither
//! says which version of a corpus was asked; for that there are attributes of our own, of the span or of its resource, and
//! [`Sources`] says where else to look. `SOURCES.md` beside the sources of this crate lists all of them.
//!
//! A span becomes a draft and goes the way of every other event: its texts are redacted and its bounds are checked in one
//! place. What a span does not say is left out; nothing is guessed without a mark that says so.
//!
//! Spans are events once: the id of a retrieval is made of trace and span, that of an output of its trace, its operation, the
//! attempt and the text, because frameworks give one call of a model two spans, one inside the other.

mod attributes;
mod documents;
mod embeddings;
mod genai;
mod ids;
mod json;
mod names;
mod openinference;
mod results;
mod size;
mod sources;
mod span;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::{Map, Value, json};
use tidemark_schema::{CorpusName, CorpusVersion, Label, ScoreKind, Timestamp};

pub use embeddings::Embeddings;
pub use sources::{Sources, SourcesError};

use self::attributes::{Attributes, Named, by_name};
use self::documents::Listing;
use self::embeddings::Embedded;
use self::ids::{hex, id};
use self::results::Listed;
use self::span::{About, Answered, Retrieved, about};
use super::draft::EventDraft;
use super::{Context, Event, Kind, Rejection, explain};
use crate::accept::accept;

/// No attribute names the corpus: the name of the service stands for it.
pub const CORPUS_ASSUMED: &str = "corpus.assumed";
/// Nothing names the version: it is the one that was registered last when the retrieval happened.
pub const VERSION_ASSUMED: &str = "corpus_version.assumed";
/// The sender dropped attributes of the span, so documents may be missing at the end of the list.
pub const ATTRIBUTES_DROPPED: &str = "truncated.attributes";

/// All marks of spans.
pub const MARKS: [&str; 6] = [
    CORPUS_ASSUMED,
    VERSION_ASSUMED,
    ATTRIBUTES_DROPPED,
    results::ID_OF_OUTPUT,
    results::ID_OF_METADATA,
    results::ID_OF_CONTENT,
];

/// Bytes of the events that the spans of one request become. What a resource says is part of each of them, so a small
/// request could become a large one.
const EVENTS_BYTES: usize = 32 * 1024 * 1024;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Protobuf.
    Protobuf,
    /// OTLP's JSON: ids in hexadecimal digits, 64-bit integers as texts.
    Json,
}

/// The bytes are no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body is no ExportTraceServiceRequest in {}: {reason}", match encoding { Encoding::Protobuf => "protobuf", Encoding::Json => "JSON" })]
pub struct Malformed {
    /// In what it should be written.
    pub encoding: Encoding,
    /// What is wrong.
    pub reason: String,
}

/// Reads a request. Nothing of one that cannot be read to its end is taken.
pub fn parse(bytes: &[u8], encoding: Encoding) -> Result<ExportTraceServiceRequest, Malformed> {
    let malformed = |reason: String| Malformed { encoding, reason };
    match encoding {
        Encoding::Protobuf => ExportTraceServiceRequest::decode(bytes).map_err(|error| malformed(error.to_string())),
        Encoding::Json => json::read(bytes).map_err(|error| malformed(error.to_string())),
    }
}

/// About how many bytes a request takes when it is read, so that it can be refused before.
pub fn size(bytes: &[u8], encoding: Encoding) -> Result<usize, Malformed> {
    match encoding {
        Encoding::Protobuf => {
            size::of_protobuf(bytes).map_err(|error| Malformed { encoding, reason: error.to_string() })
        }
        Encoding::Json => Ok(size::of_json(bytes)),
    }
}

/// How many spans a request has.
pub fn count(request: &ExportTraceServiceRequest) -> usize {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.map(|scope| scope.spans.len()).sum()
}

/// What became of the spans of a request.
#[derive(Debug, Default)]
pub struct Spans {
    /// Those that are events.
    pub events: Vec<Event>,
    /// Those that should be events and cannot be: the id of the span, and why.
    pub rejections: Vec<(String, Rejection)>,
    /// Spans about something else.
    pub other: u64,
    /// Spans of embeddings; they are not events, but part of the retrieval of their trace.
    pub embeddings: u64,
    /// Retrievals that do not say which documents they returned, and model calls that do not say what was answered.
    pub without_content: u64,
    /// Retrievals and model calls that failed.
    pub failed: u64,
    /// Attributes of events that are not read.
    pub ignored_attributes: u64,
}

/// The version of a corpus that was in use at a time.
pub type VersionAt<'a> = dyn Fn(&CorpusName, Timestamp) -> Option<CorpusVersion> + 'a;

/// Turns the spans of a request into events. `embeddings` are those of the requests before; the new ones are added.
pub fn decode_spans(
    request: &ExportTraceServiceRequest,
    sources: &Sources,
    versions: &VersionAt<'_>,
    embeddings: &Embeddings,
    context: &Context<'_>,
) -> Spans {
    let mut spans = Spans::default();
    let resources: Vec<_> = request.resource_spans.iter().map(|spans| Emitter::new(spans.resource.as_ref())).collect();
    let mut found = Vec::new();
    let mut embedded: HashMap<&[u8], Vec<Embedded>> = HashMap::new();
    for (resource_spans, resource) in request.resource_spans.iter().zip(&resources) {
        for span in resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans) {
            let named = by_name(&span.attributes);
            match about(&Attributes { span: &named, resource: &resource.named }) {
                About::Other => spans.other += 1,
                About::Embedding(of_span) => {
                    spans.embeddings += 1;
                    embedded.entry(&span.trace_id).or_default().extend(of_span);
                }
                about => found.push((span, named, resource, about)),
            }
        }
    }
    let embedding = |trace: &[u8], text: &str| {
        let here = embedded.get(trace).into_iter().flatten().filter(|embedded| embedded.text == text);
        here.max_by_key(|embedded| embedded.vector.is_some()).cloned().or_else(|| embeddings.of(trace, text))
    };
    let mut room = EVENTS_BYTES;
    for (span, named, emitter, about) in found {
        let reader =
            Reader { span, attributes: Attributes { span: &named, resource: &emitter.named }, emitter, sources };
        let failed = span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32);
        let event = match about {
            About::Retrieval(Retrieved { documents: Listing::Untold, .. })
            | About::Output(Answered { text: None, .. }) => {
                *if failed { &mut spans.failed } else { &mut spans.without_content } += 1;
                continue;
            }
            _ if room == 0 => Err(no_room()),
            About::Retrieval(retrieved) => reader.retrieval(retrieved, versions, &embedding),
            About::Output(answered) => reader.output(answered),
            About::Embedding(_) | About::Other => continue,
        };
        spans.ignored_attributes += ignored(&named, sources);
        match event.and_then(|event| event.read(&mut room, context)) {
            Ok(event) => spans.events.push(event),
            Err(rejection) => spans.rejections.push((hex(&span.span_id), rejection)),
        }
    }
    for (trace, of_trace) in embedded {
        for one in of_trace {
            embeddings.remember(trace, one);
        }
    }
    spans
}

fn no_room() -> Rejection {
    let reason = format!(
        "does not fit: the events of one request have at most {EVENTS_BYTES} bytes, and what the resource says is in each of \
         them; send fewer spans at a time, or fewer attributes of the resource"
    );
    Rejection { field: None, reason, malformed: false }
}

/// The embedding of a text in a trace.
type EmbeddingOf<'a> = dyn Fn(&[u8], &str) -> Option<Embedded> + 'a;

/// What emitted spans, read once for all of them.
struct Emitter<'a> {
    named: Named<'a>,
    segment: Map<String, Value>,
}

impl<'a> Emitter<'a> {
    fn new(resource: Option<&'a Resource>) -> Self {
        let named = by_name(resource.map_or(&[][..], |resource| &resource.attributes));
        let segment = segment(&named);
        Self { named, segment }
    }
}

/// The attributes of our own that tell traffic apart.
fn segment(named: &Named<'_>) -> Map<String, Value> {
    let own = named.iter().filter_map(|(name, value)| {
        Some((name.strip_prefix("rag.segment.")?.to_owned(), json!(attributes::text(value)?)))
    });
    own.collect()
}

fn ignored(named: &Named<'_>, sources: &Sources) -> u64 {
    let own = |name: &str| name.strip_prefix("rag.segment.").is_some();
    named.keys().filter(|name| !names::is_known(name) && !own(name) && !sources.reads(name)).count() as u64
}

/// One span on its way to an event.
struct Reader<'a> {
    span: &'a Span,
    attributes: Attributes<'a>,
    emitter: &'a Emitter<'a>,
    sources: &'a Sources,
}

/// The fields of an event, on their way to a draft.
struct EventFields {
    fields: Map<String, Value>,
    kind: Kind,
}

impl Reader<'_> {
    fn retrieval(
        &self,
        retrieved: Retrieved,
        versions: &VersionAt<'_>,
        embedding: &EmbeddingOf<'_>,
    ) -> Result<EventFields, Rejection> {
        let (documents, cut) = match retrieved.documents {
            Listing::Told { documents, cut: true } if documents.is_empty() => {
                let reason = "have lost the first of them with the attributes that the sender dropped, hence all ranks; raise \
                    OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT there";
                return Err(Rejection::field(retrieved.name, reason));
            }
            Listing::Told { documents, cut } => (documents, cut),
            Listing::Unreadable(reason) => return Err(Rejection::field(retrieved.name, reason)),
            Listing::Untold => (Vec::new(), false),
        };
        let (name, in_output, keys) = (retrieved.name, retrieved.in_output, &self.sources.document_id);
        let truncated = cut || self.span.dropped_attributes_count > 0;
        let (results, id_marks) = Listed { name, documents, in_output, truncated, keys }.results()?;
        let mut marks: BTreeSet<&str> = id_marks;
        let mut event = self.event(&mut marks)?;
        event.insert("event_id".to_owned(), json!(format!("otlp/{}/{}", self.trace()?, hex(&self.span.span_id))));
        let corpus = self.corpus(retrieved.source.as_deref(), &mut marks)?;
        let occurred_at = self.occurred_at()?;
        insert(&mut event, "corpus_version", self.version(&corpus, occurred_at, versions, &mut marks));
        event.insert("corpus".to_owned(), json!(corpus));
        let fingerprint = self.attributes.text("rag.query.fingerprint");
        if retrieved.query.is_none() && fingerprint.is_none() {
            let reason = "is missing: the span does not say what was asked; turn on the capture of content at its sender, or \
                set rag.query.fingerprint";
            return Err(Rejection::field("query", reason));
        }
        let embedded = retrieved.query.as_ref().and_then(|query| embedding(&self.span.trace_id, query));
        let (vector, model) = embedded.map(|embedded| (embedded.vector, embedded.model)).unwrap_or_default();
        let mut asked = Map::new();
        insert(&mut asked, "embedding", vector.as_deref());
        insert(&mut asked, "fingerprint", fingerprint);
        insert(&mut asked, "text", retrieved.query);
        event.insert("query".to_owned(), Value::Object(asked));
        let embedder = self.attributes.text("rag.embedder").map(Into::into);
        let embedder = embedder.or(retrieved.embedder).or(model);
        event.insert(
            "retriever".to_owned(),
            self.retriever(retrieved.kind, retrieved.score_kind, embedder, retrieved.params)?,
        );
        // Some ask for all by the largest number there is, which is no number of documents.
        if let Some(top_k) = retrieved.top_k.and_then(|top_k| u32::try_from(top_k).ok()) {
            event.insert("requested".to_owned(), json!({ "top_k": top_k }));
        }
        let evaluations = openinference::evaluations(&self.attributes);
        let candidates = results::ids(&retrieved.candidates, keys);
        let mut kept = self.kept();
        insert(&mut kept, "evaluations", Some(evaluations).filter(|evaluations| !evaluations.is_empty()));
        insert(&mut kept, "candidates", Some(candidates).filter(|candidates| !candidates.is_empty()));
        if !kept.is_empty() {
            event.insert("attributes".to_owned(), Value::Object(kept));
        }
        if cut {
            marks.insert(ATTRIBUTES_DROPPED);
        }
        event.insert("results".to_owned(), Value::Array(results));
        event.insert("marks".to_owned(), json!(marks));
        Ok(EventFields { fields: event, kind: Kind::Retrieval })
    }

    fn output(&self, answered: Answered) -> Result<EventFields, Rejection> {
        let mut marks = BTreeSet::new();
        let mut event = self.event(&mut marks)?;
        event.remove("environment");
        event.remove("segment");
        event.remove("span_id");
        let text = answered.text.unwrap_or_default();
        let same = json!([event.get("operation_id"), event.get("attempt"), text]);
        let hash = blake3::hash(same.to_string().as_bytes()).to_hex();
        event.insert("event_id".to_owned(), json!(format!("otlp/{}/output/{hash}", self.trace()?)));
        let mut said = Map::from_iter([("text".to_owned(), json!(text))]);
        insert(&mut said, "tokens", answered.tokens.and_then(|tokens| u32::try_from(tokens).ok()));
        event.insert("output".to_owned(), Value::Object(said));
        insert(&mut event, "model", answered.model);
        insert(&mut event, "prompt_version", answered.prompt_version);
        insert(&mut event, "refusal", answered.refusal.then_some(true));
        insert(&mut event, "cost_usd", answered.cost_usd.filter(|cost| cost.is_finite()));
        insert(&mut event, "scores", Some(answered.scores).filter(|scores| !scores.is_empty()));
        event.insert("marks".to_owned(), json!(marks));
        Ok(EventFields { fields: event, kind: Kind::Output })
    }

    /// What both kinds of events have.
    fn event(&self, marks: &mut BTreeSet<&str>) -> Result<Map<String, Value>, Rejection> {
        let trace = self.trace()?;
        let mut event = Map::new();
        let operation = self.attributes.text("rag.operation.id").unwrap_or(trace.as_str().into());
        event.insert("operation_id".to_owned(), json!(operation));
        event.insert("occurred_at".to_owned(), json!(self.occurred_at()?));
        event.insert("trace_id".to_owned(), json!(trace));
        event.insert("span_id".to_owned(), json!(id("span_id", &self.span.span_id, 8)?));
        insert(&mut event, "attempt", self.attributes.count("rag.attempt"));
        insert(&mut event, "principal", self.attributes.first_text(&["user.id", "enduser.id"]));
        insert(&mut event, "service", self.attributes.text("service.name"));
        let environment = self.attributes.first_text(&["deployment.environment.name", "deployment.environment"]);
        insert(&mut event, "environment", environment);
        let segment = self.segment();
        insert(&mut event, "segment", Some(segment).filter(|segment| !segment.is_empty()));
        let (start, end) = (self.span.start_time_unix_nano, self.span.end_time_unix_nano);
        #[expect(clippy::cast_precision_loss, reason = "a duration of 100 days is still exact to the microsecond")]
        let took = end.checked_sub(start).filter(|_| end > 0).map(|nanoseconds| nanoseconds as f64 / 1e6);
        insert(&mut event, "latency_ms", took);
        if self.span.dropped_attributes_count > 0 {
            marks.insert(ATTRIBUTES_DROPPED);
        }
        Ok(event)
    }

    fn trace(&self) -> Result<String, Rejection> {
        id("trace_id", &self.span.trace_id, 16)
    }

    fn occurred_at(&self) -> Result<Timestamp, Rejection> {
        let micros = i64::try_from(self.span.start_time_unix_nano / 1_000).unwrap_or(i64::MAX);
        Timestamp::from_micros(micros).map_err(|error| Rejection::field("start_time_unix_nano", error.to_string()))
    }

    fn corpus(&self, source: Option<&str>, marks: &mut BTreeSet<&str>) -> Result<CorpusName, Rejection> {
        let configured = &self.sources.corpus;
        let said = self.attributes.text("rag.corpus.name");
        let said = said.or_else(|| configured.attributes.iter().find_map(|name| self.attributes.text(name)));
        let said = said.or(source.map(Into::into)).or_else(|| self.attributes.text("gen_ai.data_source.id"));
        if let Some(name) = &said {
            if let Some(corpus) = configured.names.get(name.as_ref()) {
                return Ok(corpus.clone());
            }
            return name.parse().map_err(|error| {
                let reason = format!("{error}; give it a name in `corpus.names` of the sources");
                Rejection::field("rag.corpus.name", reason)
            });
        }
        if let Some(corpus) = &configured.default {
            return Ok(corpus.clone());
        }
        let service = self.attributes.text("service.name").and_then(|name| name.parse().ok()).ok_or_else(|| {
            let reason =
                "is missing, and so is service.name; set one of them as an attribute of the span or the resource";
            Rejection::field("rag.corpus.name", reason)
        })?;
        marks.insert(CORPUS_ASSUMED);
        Ok(service)
    }

    fn version(
        &self,
        corpus: &CorpusName,
        at: Timestamp,
        versions: &VersionAt<'_>,
        marks: &mut BTreeSet<&str>,
    ) -> Option<String> {
        let configured = &self.sources.corpus_version;
        let said = self.attributes.text("rag.corpus.version");
        let said = said.or_else(|| configured.attributes.iter().find_map(|name| self.attributes.text(name)));
        if let Some(version) = said {
            return Some(version.into());
        }
        let registered = configured.registered.then(|| versions(corpus, at)).flatten()?;
        marks.insert(VERSION_ASSUMED);
        Some(registered.as_str().to_owned())
    }

    fn retriever(
        &self,
        kind: Option<&str>,
        score_kind: Option<&str>,
        embedder: Option<String>,
        params: Map<String, Value>,
    ) -> Result<Value, Rejection> {
        let mut retriever = Map::new();
        let name = self.attributes.text("rag.retriever.name");
        let of_span = || self.span.name.parse::<Label>().is_ok().then(|| self.span.name.as_str().into());
        let name = name.or_else(of_span);
        insert(&mut retriever, "name", name);
        insert(&mut retriever, "kind", kind);
        insert(&mut retriever, "version", self.attributes.text("rag.retriever.version"));
        insert(&mut retriever, "index", self.attributes.text("rag.index.id"));
        insert(&mut retriever, "embedder", embedder);
        let said = self.attributes.text("rag.score.kind");
        if let Some(score_kind) = said.as_deref().or(score_kind) {
            let parsed: ScoreKind = score_kind.parse().map_err(|_| {
                let known = "cosine, dot, distance, bm25, rrf, rerank, other";
                Rejection::field("rag.score.kind", format!("is {score_kind:?}, which is none of {known}"))
            })?;
            retriever.insert("score_kind".to_owned(), json!(parsed));
        }
        if !params.is_empty() {
            retriever.insert("params".to_owned(), Value::Object(params));
        }
        Ok(Value::Object(retriever))
    }

    fn segment(&self) -> Map<String, Value> {
        let mut all = self.emitter.segment.clone();
        all.extend(segment(self.attributes.span));
        let configured = self.sources.segment.iter();
        all.extend(configured.filter_map(|(key, name)| Some((key.to_string(), json!(self.attributes.text(name)?)))));
        all
    }

    /// What is kept beside the fields of an event: who talked, and what the application noted.
    fn kept(&self) -> Map<String, Value> {
        let mut kept = Map::new();
        insert(&mut kept, "session", self.attributes.first_text(&["session.id", "gen_ai.conversation.id"]));
        insert(&mut kept, "metadata", self.attributes.value("metadata").map(attributes::json));
        insert(&mut kept, "tags", self.attributes.value("tag.tags").map(attributes::json));
        kept
    }
}

fn insert(fields: &mut Map<String, Value>, name: &str, value: Option<impl serde::Serialize>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), json!(value));
    }
}

impl EventFields {
    /// The draft, with the limit of every other event and that of the request.
    fn read(self, room: &mut usize, context: &Context<'_>) -> Result<Event, Rejection> {
        let Self { fields, kind } = self;
        let whole = |reason: String| Rejection { field: None, reason, malformed: false };
        let fields = Value::Object(fields);
        let bytes = ids::json_bytes(&fields);
        if bytes > context.limits.event_bytes {
            return Err(whole(format!("has {bytes} bytes, the limit is {}", context.limits.event_bytes)));
        }
        let Some(left) = room.checked_sub(bytes) else {
            *room = 0;
            return Err(no_room());
        };
        *room = left;
        let draft = EventDraft::deserialize(kind, &fields).map_err(|_| explain::why(kind, &fields))?;
        accept(draft, context)
    }
}
