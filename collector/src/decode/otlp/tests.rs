mod documents;

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_schema::{FingerprintKey, FingerprintKeys, Label, OutputEvent, RetrievalEvent};

use super::*;
use crate::decode::Limits;
use crate::policy::Policy;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// An attribute in OTLP's JSON.
fn attribute(name: &str, value: &Value) -> Value {
    json!({ "key": name, "value": any(value) })
}

fn any(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(truth) => json!({ "boolValue": truth }),
        Value::Number(number) if number.is_i64() => json!({ "intValue": number.to_string() }),
        Value::Number(number) => json!({ "doubleValue": number }),
        Value::Array(values) => json!({ "arrayValue": { "values": values.iter().map(any).collect::<Vec<_>>() } }),
        Value::Object(entries) => {
            let entries: Vec<_> = entries.iter().map(|(name, value)| attribute(name, value)).collect();
            json!({ "kvlistValue": { "values": entries } })
        }
        Value::Null => json!({}),
    }
}

fn attributes(of: &Value) -> Vec<Value> {
    of.as_object().unwrap().iter().map(|(name, value)| attribute(name, value)).collect()
}

fn span(id: u8, of: &Value) -> Value {
    json!({
        "traceId": TRACE, "spanId": format!("{id:016x}"), "name": "retrieve", "kind": 1,
        "startTimeUnixNano": "1763458200000000000", "endTimeUnixNano": "1763458200012500000",
        "attributes": attributes(of),
    })
}

fn request(resource: &Value, spans: &[Value]) -> ExportTraceServiceRequest {
    let json = json!({ "resourceSpans": [{
        "resource": { "attributes": attributes(resource) }, "scopeSpans": [{ "spans": spans }],
    }] });
    let parsed = parse(json.to_string().as_bytes(), Encoding::Json).unwrap();
    assert_eq!(parse(&parsed.encode_to_vec(), Encoding::Protobuf).unwrap(), parsed, "both encodings say the same");
    parsed
}

fn decoded(request: &ExportTraceServiceRequest, sources: &str, embeddings: &Embeddings) -> Spans {
    let keys: FingerprintKeys = FingerprintKey::new([7; 32]).into();
    let policy = Policy::verbatim();
    let context = Context { now: None, keys: &keys, policy: &policy, limits: Limits::default() };
    let version_at = |corpus: &CorpusName, _| (corpus.as_str() == "handbook").then(|| "v9".parse().unwrap());
    decode_spans(request, &Sources::parse(sources).unwrap(), &version_at, embeddings, &context)
}

fn spans_of(resource: &Value, spans: &[Value]) -> Spans {
    decoded(&request(resource, spans), "", &Embeddings::default())
}

#[track_caller]
fn retrieval_of(resource: &Value, span_attributes: &Value, sources: &str) -> RetrievalEvent {
    let request = request(resource, &[span(1, span_attributes)]);
    let mut spans = decoded(&request, sources, &Embeddings::default());
    match (spans.events.pop(), spans.rejections.as_slice()) {
        (Some(Event::Retrieval(event)), []) => Arc::unwrap_or_clone(event),
        other => panic!("{other:?}"),
    }
}

fn service() -> Value {
    json!({ "service.name": "support" })
}

/// A retriever's span with one document and these attributes besides.
#[track_caller]
fn retriever(more: &Value) -> RetrievalEvent {
    retrieval_of(&service(), &with(&basic(), more), "")
}

fn basic() -> Value {
    json!({ "openinference.span.kind": "RETRIEVER", "input.value": "how do I reset my badge",
        "retrieval.documents.0.document.id": "a", "retrieval.documents.0.document.score": 0.9 })
}

fn with(first: &Value, second: &Value) -> Value {
    let mut all = first.as_object().unwrap().clone();
    all.extend(second.as_object().unwrap().clone());
    Value::Object(all)
}

#[track_caller]
fn output(span_attributes: &Value) -> OutputEvent {
    let mut spans = spans_of(&service(), &[span(2, span_attributes)]);
    match (spans.events.pop(), spans.rejections.as_slice()) {
        (Some(Event::Output(event)), []) => Arc::unwrap_or_clone(event),
        other => panic!("{other:?}"),
    }
}

fn ids(event: &RetrievalEvent) -> Vec<&str> {
    event.results.iter().map(|result| result.doc_id.as_str()).collect()
}

fn scores(event: &RetrievalEvent) -> Vec<Option<f64>> {
    event.results.iter().map(|result| result.score.map(tidemark_schema::Finite::get)).collect()
}

fn marks(event: &RetrievalEvent) -> Vec<&str> {
    event.marks.iter().map(Label::as_str).collect()
}

/// One attribute besides the basic ones, and where it shows in the JSON of the event.
#[track_caller]
fn check(more: &Value, pointer: &str, expected: &Value) {
    let event = serde_json::to_value(retriever(more)).unwrap();
    assert_eq!(event.pointer(pointer).unwrap_or(&Value::Null), expected, "{more}");
}

#[track_caller]
fn check_output(more: &Value, pointer: &str, expected: &Value) {
    let spoken = json!({ "openinference.span.kind": "LLM", "output.value": "four" });
    let event = serde_json::to_value(output(&with(&spoken, more))).unwrap();
    assert_eq!(event.pointer(pointer).unwrap_or(&Value::Null), expected, "{more}");
}

#[test]
fn a_retriever_of_openinference_is_a_retrieval() {
    let more = json!({
        "retrieval.documents.0.document.content": "badges", "retrieval.documents.0.document.metadata": "{\"page\":1}",
        "retrieval.documents.1.document.id": 12,
    });
    let event = retriever(&more);
    assert_eq!(ids(&event), ["a", "12"]);
    assert_eq!(scores(&event), [Some(0.9), None], "a score that is missing is null");
    assert_eq!(event.query.text.as_deref(), Some("how do I reset my badge"));
    assert_eq!(event.results[0].content_hash, Some(tidemark_schema::ContentHash::of_text("badges")));
    assert_eq!(event.trace_id.as_ref().unwrap().as_str(), TRACE);
    assert_eq!(event.operation_id.as_str(), TRACE);
    assert_eq!(event.span_id.as_ref().unwrap().as_str(), "0000000000000001");
    assert_eq!(event.latency_ms, tidemark_schema::Finite::new(12.5).ok());
    assert_eq!(event.occurred_at.to_string(), "2025-11-18T09:30:00Z");
    assert_eq!((event.corpus.as_str(), marks(&event)), ("support", vec![CORPUS_ASSUMED]));
}

#[test]
fn our_attributes_are_read_from_the_span_or_its_resource() {
    let own = json!({ "rag.corpus.name": "handbook", "rag.corpus.version": "v2", "rag.index.id": "i1",
        "rag.score.kind": "cosine", "rag.attempt": 2, "rag.operation.id": "op", "rag.retriever.name": "faq",
        "rag.retriever.version": "7", "rag.embedder": "e5", "rag.segment.locale": "de", "user.id": "u",
        "deployment.environment.name": "prod" });
    let of_span = retrieval_of(&service(), &with(&basic(), &own), "");
    let of_resource = retrieval_of(&with(&service(), &own), &basic(), "");
    assert_eq!(of_span, of_resource);
    let json = serde_json::to_value(&of_span).unwrap();
    let shown = |pointer: &str| json.pointer(pointer).unwrap().clone();
    assert_eq!(shown("/corpus"), "handbook");
    assert_eq!(shown("/corpus_version"), "v2");
    assert_eq!(shown("/attempt"), 2);
    assert_eq!(shown("/operation_id"), "op");
    assert_eq!(shown("/segment"), json!({ "locale": "de" }));
    assert_eq!(shown("/principal"), "u");
    assert_eq!(shown("/environment"), "prod");
    let retriever = json!({ "name": "faq", "version": "7", "score_kind": "cosine", "index": "i1", "embedder": "e5" });
    assert_eq!(shown("/retriever"), retriever);
    assert_eq!(marks(&of_span), Vec::<&str>::new());
}

#[test]
fn each_attribute_of_a_retrieval_shows_in_the_event() {
    check(&json!({ "session.id": "s" }), "/attributes/session", &json!("s"));
    check(&json!({ "gen_ai.conversation.id": "c" }), "/attributes/session", &json!("c"));
    check(&json!({ "metadata": "{\"a\":1}" }), "/attributes/metadata", &json!({ "a": 1 }));
    check(&json!({ "tag.tags": ["x", "y"] }), "/attributes/tags", &json!(["x", "y"]));
    check(&json!({ "enduser.id": "u" }), "/principal", &json!("u"));
    check(&json!({ "deployment.environment": "test" }), "/environment", &json!("test"));
    check(&json!({ "retrieval.top_k": 5 }), "/requested/top_k", &json!(5));
    check(&json!({ "embedding.model_name": "e5" }), "/retriever/embedder", &json!("e5"));
    check(&json!({ "embedding.model_name": "unknown" }), "/retriever/embedder", &Value::Null);
    check(&json!({ "gen_ai.data_source.id": "ds" }), "/corpus", &json!("ds"));
    let quoted = json!({ "input.value": "\"x\"", "input.mime_type": "application/json" });
    check(&quoted, "/query/text", &json!("x"));
    check(&json!({ "input.value": "\"x\"" }), "/query/text", &json!("\"x\""));
    check(&json!({ "retrieval.top_k": i64::MAX }), "/requested/top_k", &Value::Null);
    check(
        &json!({ "input.value": "{\"query\":\"x\"}", "input.mime_type": "application/json" }),
        "/query/text",
        &json!("x"),
    );
    check(&json!({ "input.value": "{\"query_bundle\":{\"query_str\":\"y\"}}" }), "/query/text", &json!("y"));
    let evaluation = json!({ "evaluations.0.evaluation.name": "relevance", "evaluations.0.evaluation.score": 0.5,
        "annotations.0.annotation.name": "grade", "annotations.0.annotation.label": "good" });
    check(&evaluation, "/attributes/evaluations", &json!({ "relevance": 0.5, "grade": "good" }));
    check(&json!({ "rag.query.fingerprint": "f1" }), "/query/fingerprint", &json!("f1"));
}

#[test]
fn what_a_sender_hides_says_nothing() {
    let hidden = json!({ "openinference.span.kind": "RETRIEVER", "input.value": "__REDACTED__",
        "retrieval.documents.0.document.id": "a", "retrieval.documents.0.document.content": "__REDACTED__" });
    check_rejection(&service(), span(1, &hidden), "query");
    let fingerprinted = with(&hidden, &json!({ "rag.query.fingerprint": "f1" }));
    let event = retrieval_of(&service(), &fingerprinted, "");
    assert_eq!(event.results[0].content_hash, None);
    let spans =
        spans_of(&service(), &[span(1, &json!({ "openinference.span.kind": "LLM", "output.value": "__REDACTED__" }))]);
    assert_eq!((spans.events.len(), spans.without_content), (0, 1));
}

#[test]
fn a_reranker_is_a_retrieval_among_candidates() {
    let span = json!({ "openinference.span.kind": "RERANKER", "reranker.query": "q", "reranker.model_name": "ms-marco",
        "reranker.top_k": 1, "reranker.input_documents.0.document.id": "a", "reranker.input_documents.0.document.score": 0.1,
        "reranker.input_documents.1.document.id": "b", "reranker.input_documents.1.document.content": "x",
        "reranker.input_documents.1.document.metadata": "{}",
        "reranker.output_documents.0.document.id": "b", "reranker.output_documents.0.document.score": 7.5,
        "reranker.output_documents.0.document.content": "x", "reranker.output_documents.0.document.metadata": "{}" });
    let event = retrieval_of(&service(), &span, "");
    assert_eq!((ids(&event), scores(&event)), (vec!["b"], vec![Some(7.5)]));
    assert_eq!(event.query.text.as_deref(), Some("q"));
    assert_eq!(event.requested.top_k, Some(1));
    let retriever =
        json!({ "name": "retrieve", "kind": "rerank", "score_kind": "rerank", "params": { "model": "ms-marco" } });
    assert_eq!(serde_json::to_value(&event.retriever).unwrap(), retriever);
    assert_eq!(event.attributes["candidates"], json!(["a", "b"]));
}

#[test]
fn the_embedding_of_a_query_is_part_of_its_retrieval_also_when_it_came_before() {
    let batch = json!({ "openinference.span.kind": "EMBEDDING", "embedding.model_name": "e5",
        "embedding.embeddings.0.embedding.text": "how do I reset my badge", "embedding.embeddings.0.embedding.vector": [0.5, 1] });
    let single = json!({ "openinference.span.kind": "EMBEDDING", "embedding.model_name": "e5",
        "embedding.text": "how do I reset my badge", "embedding.vector": [0.5, 1.0] });
    for form in [batch, single] {
        let embeddings = Embeddings::default();
        let first = decoded(&request(&service(), &[span(8, &form)]), "", &embeddings);
        assert_eq!((first.embeddings, first.events.len()), (1, 0));
        let mut second = decoded(&request(&service(), &[span(1, &basic())]), "", &embeddings);
        let Some(Event::Retrieval(event)) = second.events.pop() else { panic!("{second:?}") };
        assert_eq!(event.query.embedding, Some(vec![0.5, 1.0]));
        assert_eq!(event.retriever.embedder.as_ref().unwrap().as_str(), "e5");
    }
    let redacted = json!({ "openinference.span.kind": "EMBEDDING", "embedding.text": "how do I reset my badge",
        "embedding.vector": "__REDACTED__" });
    let mut spans = spans_of(&service(), &[span(8, &redacted), span(1, &basic())]);
    let Some(Event::Retrieval(event)) = spans.events.pop() else { panic!("{spans:?}") };
    assert_eq!(event.query.embedding, None);
}

#[test]
fn a_model_call_is_an_output_of_the_same_operation() {
    let spoken = json!({ "openinference.span.kind": "LLM", "llm.model_name": "m",
        "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "four" });
    let parts = json!({ "openinference.span.kind": "LLM", "output.value": "{}",
        "llm.output_messages.0.message.contents.1.message_content.text": "r",
        "llm.output_messages.0.message.contents.0.message_content.text": "fou" });
    assert_eq!(output(&parts).output.text.as_deref(), Some("fou\nr"));
    let tool = json!({ "openinference.span.kind": "LLM", "output.value": "{\"id\":\"1\"}",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "t" });
    assert_eq!(spans_of(&service(), &[span(1, &tool)]).without_content, 1, "a call of a tool is no answer");
    let answer = output(&spoken);
    let event = retriever(&json!({}));
    assert_eq!((&answer.operation_id, &answer.trace_id), (&event.operation_id, &event.trace_id));
    assert_eq!(answer.output.text.as_deref(), Some("four"));
    check_output(&json!({}), "/output/text", &json!("four"));
    check_output(&json!({ "output.mime_type": "text/plain" }), "/output/text", &json!("four"));
    check_output(&json!({ "llm.model_name": "m" }), "/model", &json!("m"));
    check_output(&json!({ "llm.request.model_name": "m1" }), "/model", &json!("m1"));
    check_output(&json!({ "llm.response.model_name": "m2", "llm.model_name": "m1" }), "/model", &json!("m2"));
    check_output(&json!({ "prompt.version": "v", "prompt.id": "p" }), "/prompt_version", &json!("v"));
    check_output(&json!({ "llm.token_count.completion": 12 }), "/output/tokens", &json!(12));
    check_output(&json!({ "prompt.id": "p" }), "/prompt_version", &json!("p"));
    check_output(&json!({ "llm.prompt_template.version": "3" }), "/prompt_version", &json!("3"));
    check_output(&json!({ "llm.finish_reason": "content_filter" }), "/refusal", &json!(true));
    check_output(&json!({ "llm.cost.total": 0.25 }), "/cost_usd", &json!(0.25));
    check_output(&json!({ "user.id": "u" }), "/principal", &json!("u"));
    let scored = json!({ "evaluations.0.evaluation.name": "faithful", "evaluations.0.evaluation.score": 1,
        "annotations.0.annotation.name": "tone", "annotations.0.annotation.score": 0.25 });
    check_output(&scored, "/scores", &json!({ "faithful": 1.0, "tone": 0.25 }));
}

#[test]
fn one_answer_in_two_spans_is_one_event() {
    let spoken = json!({ "openinference.span.kind": "LLM", "output.value": "four" });
    let spans = spans_of(&service(), &[span(2, &spoken), span(3, &spoken)]);
    assert_eq!(spans.events[0].event_id(), spans.events[1].event_id());
    let again = with(&spoken, &json!({ "rag.attempt": 2 }));
    let spans = spans_of(&service(), &[span(2, &spoken), span(3, &again)]);
    assert_ne!(spans.events[0].event_id(), spans.events[1].event_id(), "another attempt is another answer");
}

#[test]
fn a_retrieval_of_the_genai_conventions_comes_in_all_their_versions() {
    let structured = json!([{ "id": "a", "score": 0.5 }, { "id": "b", "score": null }, { "content": "c" }]);
    let as_text = json!(structured.to_string());
    for (documents, top_k) in
        [(&structured, json!({ "gen_ai.retrieval.top_k": 3 })), (&as_text, json!({ "gen_ai.request.top_k": 3.0 }))]
    {
        let asked = json!({ "gen_ai.operation.name": "retrieval", "gen_ai.retrieval.query.text": "q",
            "gen_ai.data_source.id": "ds", "gen_ai.request.model": "e5", "gen_ai.retrieval.documents": documents });
        let event = retrieval_of(&service(), &with(&asked, &top_k), "corpus: {names: {ds: handbook}}");
        let hash = tidemark_schema::ContentHash::of_text("c");
        assert_eq!(ids(&event), ["a", "b", hash.as_str()]);
        assert_eq!(scores(&event), [Some(0.5), None, None]);
        assert_eq!((event.corpus.as_str(), event.requested.top_k), ("handbook", Some(3)));
        assert_eq!(event.retriever.embedder.as_ref().unwrap().as_str(), "e5");
    }
}

#[test]
fn a_search_of_memory_is_a_retrieval() {
    let span = json!({ "gen_ai.operation.name": "search_memory", "gen_ai.memory.query.text": "q",
        "gen_ai.memory.store.id": "notes", "gen_ai.retrieval.top_k": 4, "gen_ai.memory.records": [{ "id": "m1", "score": 1.5 }] });
    let event = retrieval_of(&service(), &span, "");
    assert_eq!((event.corpus.as_str(), ids(&event), scores(&event)), ("notes", vec!["m1"], vec![Some(1.5)]));
    assert_eq!((event.requested.top_k, event.retriever.kind.as_ref().map(Label::as_str)), (Some(4), Some("memory")));
}

#[test]
fn an_answer_of_the_genai_conventions_is_an_output() {
    let messages = json!([{ "role": "assistant", "parts": [{ "type": "text", "content": "four" },
        { "type": "tool_call", "content": "no" }], "finish_reason": "stop" }]);
    for messages in [messages.clone(), json!(messages.to_string())] {
        let event = output(&json!({ "gen_ai.operation.name": "chat", "gen_ai.request.model": "m1",
            "gen_ai.response.model": "m2", "gen_ai.output.messages": messages, "gen_ai.prompt.version": "p7",
            "gen_ai.response.finish_reasons": ["content_filter"] }));
        assert_eq!(event.output.text.as_deref(), Some("four"));
        assert_eq!((event.model.unwrap().as_str(), event.prompt_version.unwrap().as_str()), ("m2", "p7"));
        assert_eq!(event.refusal, Some(true));
    }
    for operation in ["text_completion", "generate_content"] {
        let plain = json!([{ "role": "assistant", "content": "five" }]);
        let event = output(&json!({ "gen_ai.operation.name": operation, "gen_ai.output.messages": plain,
            "gen_ai.usage.output_tokens": 3 }));
        assert_eq!((event.output.text.as_deref(), event.output.tokens), (Some("five"), Some(3)));
    }
}

#[test]
fn where_corpus_and_version_come_from_can_be_configured() {
    let sources = "corpus: {attributes: [my.index], names: {idx-7: handbook}, default: wiki}\n\
        corpus_version: {attributes: [my.version], registered: true}\nsegment: {tier: my.tier}";
    let named = json!({ "my.index": "idx-7", "my.tier": "gold" });
    let event = retrieval_of(&service(), &with(&basic(), &named), sources);
    assert_eq!((event.corpus.as_str(), event.corpus_version.as_ref().unwrap().as_str()), ("handbook", "v9"));
    assert_eq!(marks(&event), [VERSION_ASSUMED]);
    assert_eq!(serde_json::to_value(&event.segment).unwrap(), json!({ "tier": "gold" }));
    let versioned = retrieval_of(&with(&service(), &json!({ "my.version": "v3" })), &with(&basic(), &named), sources);
    assert_eq!((versioned.corpus_version.as_ref().unwrap().as_str(), marks(&versioned)), ("v3", vec![]));
    let unnamed = retrieval_of(&service(), &basic(), sources);
    assert_eq!((unnamed.corpus.as_str(), unnamed.corpus_version), ("wiki", None), "no version is made up");
}

#[test]
fn what_a_resource_says_is_in_each_event_only_as_far_as_a_request_has_room() {
    let large = json!({ "service.name": "support", "session.id": "s".repeat(3_000_000) });
    let spans: Vec<Value> = (1..=20).map(|number| span(number, &basic())).collect();
    let spans = spans_of(&large, &spans);
    assert_eq!((spans.events.len(), spans.rejections.len()), (11, 9));
    assert!(spans.rejections[0].1.reason.contains("at most 33554432 bytes"), "{:?}", spans.rejections[0]);
}

#[test]
fn what_is_not_read_is_ignored_and_counted() {
    let more = json!({ "retrieval.documents.0.document.colour": 1, "retrieval.documents.x.document.id": 1,
        "llm.output_messages.0.message.content": "x" });
    assert_eq!(spans_of(&service(), &[span(1, &with(&basic(), &more))]).ignored_attributes, 2);
    let spans = spans_of(&service(), &[span(1, &with(&basic(), &json!({ "vendor.a": 1, "vendor.b": "x" })))]);
    assert_eq!((spans.events.len(), spans.ignored_attributes), (1, 2));
    let http = json!({ "http.request.method": "GET" });
    let chain = json!({ "openinference.span.kind": "CHAIN", "input.value": "q" });
    let spans = spans_of(&service(), &[span(1, &http), span(2, &chain)]);
    assert_eq!((spans.other, spans.events.len(), spans.rejections.len()), (2, 0, 0));
}

#[test]
fn nothing_found_is_an_event_and_nothing_told_is_none() {
    let asked = json!({ "openinference.span.kind": "RETRIEVER", "input.value": "q" });
    for nothing in [json!("{\"documents\":[]}"), json!("[]"), json!([])] {
        let empty = retrieval_of(&service(), &with(&asked, &json!({ "output.value": nothing })), "");
        assert_eq!(empty.results.len(), 0);
    }
    let untold = spans_of(&service(), &[span(1, &asked)]);
    assert_eq!((untold.events.len(), untold.without_content), (0, 1));
    let mut failed = span(1, &asked);
    failed["status"] = json!({ "code": 2 });
    let failed = spans_of(&service(), &[failed]);
    assert_eq!((failed.events.len(), failed.failed), (0, 1));
}

#[track_caller]
fn check_rejection(resource: &Value, span: Value, field: &str) {
    let spans = spans_of(resource, &[span]);
    assert_eq!(spans.events.len(), 0);
    assert_eq!(spans.rejections[0].1.field.as_deref(), Some(field), "{:?}", spans.rejections);
}

#[test]
fn a_span_that_cannot_be_an_event_is_refused_by_its_field() {
    let high = with(&basic(), &json!({ "retrieval.documents.0.document.score": "high" }));
    check_rejection(&service(), span(1, &high), "results[0].score");
    let unnamed = json!({ "openinference.span.kind": "RETRIEVER", "input.value": "q", "retrieval.documents.0.document.score": 1 });
    check_rejection(&service(), span(1, &unnamed), "retrieval.documents.0");
    let unasked = json!({ "openinference.span.kind": "RETRIEVER", "retrieval.documents.0.document.id": "a" });
    check_rejection(&service(), span(1, &unasked), "query");
    check_rejection(&json!({}), span(1, &basic()), "rag.corpus.name");
    check_rejection(&service(), span(1, &with(&basic(), &json!({ "rag.corpus.name": "../x" }))), "rag.corpus.name");
    check_rejection(&service(), span(1, &with(&basic(), &json!({ "rag.score.kind": "warmth" }))), "rag.score.kind");
    check_rejection(&service(), span(1, &with(&basic(), &json!({ "rag.attempt": 0 }))), "attempt");
    let mut untraced = span(1, &basic());
    untraced["traceId"] = json!("");
    check_rejection(&service(), untraced, "trace_id");
    let mut short = span(1, &basic());
    short["traceId"] = json!("0af7");
    check_rejection(&service(), short, "trace_id");
    let mut unspanned = span(1, &basic());
    unspanned["spanId"] = json!("0000000000000000");
    check_rejection(&service(), unspanned, "span_id");
    let mut timeless = span(1, &basic());
    timeless["startTimeUnixNano"] = json!("0");
    check_rejection(&service(), timeless, "start_time_unix_nano");
}

#[test]
fn what_is_no_request_is_malformed() {
    let protobuf = parse(&[0xff, 0xff], Encoding::Protobuf).unwrap_err();
    assert!(protobuf.to_string().starts_with("the body is no ExportTraceServiceRequest in protobuf: "), "{protobuf}");
    let json = parse(b"{\"resourceSpans\":3}", Encoding::Json).unwrap_err();
    assert!(json.to_string().starts_with("the body is no ExportTraceServiceRequest in JSON: "), "{json}");
}
