use arrow_ipc::writer::StreamWriter;
use insta::assert_snapshot;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::json;
use tidemark_collector::decode::otlp::{Encoding, Sources, parse};
use tidemark_schema::columns::retrievals;
use tidemark_schema::{Ingest, Stored};

use super::*;

/// A request with one retriever's span for each query.
fn request(queries: &[(u8, &str, f64)]) -> String {
    let spans: Vec<Value> = queries
        .iter()
        .map(|(number, query, score)| {
            json!({
                "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": format!("{number:016x}"), "name": "retrieve",
                "startTimeUnixNano": "1763458200000000000", "endTimeUnixNano": "1763458200012500000",
                "attributes": [
                    { "key": "openinference.span.kind", "value": { "stringValue": "RETRIEVER" } },
                    { "key": "input.value", "value": { "stringValue": query } },
                    { "key": "retrieval.documents.0.document.id", "value": { "stringValue": "a" } },
                    { "key": "retrieval.documents.0.document.score", "value": { "doubleValue": score } },
                    { "key": "vendor.extra", "value": { "boolValue": true } },
                ],
            })
        })
        .collect();
    let resource = json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "support" } }] });
    json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "spans": spans }] }] }).to_string()
}

async fn send(server: &Server, content_type: &str, body: impl Into<Body>) -> Answer {
    server.send(Request::post("/v1/traces").header(header::CONTENT_TYPE, content_type), body).await
}

pub(super) async fn metric(server: &Server, line: &str) -> String {
    let metrics = server.get("/metrics").await.text;
    let value = metrics.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' '));
    value.unwrap_or("none").to_owned()
}

#[tokio::test]
async fn spans_become_events_once_whichever_encoding_they_come_in() {
    let server = server().await;
    let json = request(&[(1, "q", 0.5), (2, "r", 0.25)]);
    let answer = send(&server, "application/json", json.clone()).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "{}"));
    let protobuf = parse(json.as_bytes(), Encoding::Json).unwrap().encode_to_vec();
    let answer = send(&server, "application/x-protobuf", protobuf).await;
    assert_eq!(
        (answer.status, answer.text.as_str(), answer.header("content-type")),
        (200, "", "application/x-protobuf")
    );
    assert_eq!(metric(&server, r#"tidemark_events_total{kind="retrieval",result="accepted"}"#).await, "2");
    assert_eq!(metric(&server, r#"tidemark_events_total{kind="retrieval",result="duplicate"}"#).await, "2");
    assert_eq!(metric(&server, r#"tidemark_otlp_spans_total{result="event"}"#).await, "4");
    assert_eq!(metric(&server, "tidemark_otlp_attributes_ignored_total").await, "4");
    assert_eq!(metric(&server, r#"tidemark_event_marks_total{mark="corpus.assumed"}"#).await, "2");
    server.flush().await;
    let trace = server.get("/v1/traces/0af7651916cd43dd8448eb211c80319c").await.json();
    assert_eq!(trace["retrievals"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_an_event_is_told_and_the_rest_is_taken() {
    let server = server().await;
    let broken = request(&[(1, "q", 0.5), (2, "r", 0.25)]).replace("0000000000000002", "0000000000000000");
    let answer = send(&server, "application/json", broken).await;
    assert_snapshot!(answer.text, @r#"{"partialSuccess":{"errorMessage":"span 0000000000000000: span_id is missing or all zeros","rejectedSpans":"1"}}"#);
    assert_eq!(metric(&server, r#"tidemark_otlp_spans_total{result="rejected"}"#).await, "1");
    assert_eq!(metric(&server, r#"tidemark_events_total{kind="retrieval",result="accepted"}"#).await, "1");
}

#[tokio::test]
async fn a_request_that_cannot_be_read_stores_nothing_and_is_told_in_its_own_encoding() {
    let server = server().await;
    let answer = send(&server, "application/json", "{\"resourceSpans\":3}").await;
    assert_snapshot!(answer.refusal(), @"400 malformed: the body is no ExportTraceServiceRequest in JSON: invalid type: integer `3`, expected a sequence at line 1 column 18");
    let answer = send(&server, "application/x-protobuf", vec![0xff; 4]).await;
    assert_eq!((answer.status, answer.header("content-type")), (400, "application/x-protobuf"));
    assert!(answer.text.contains("the body is no ExportTraceServiceRequest in protobuf"), "{}", answer.text);
    let answer = send(&server, "text/plain", "x").await;
    assert_snapshot!(answer.refusal(), @r#"415 unsupported-media-type: spans are sent as application/x-protobuf or application/json, and Content-Type says "text/plain""#);
    assert_eq!(metric(&server, r#"tidemark_otlp_spans_total{result="event"}"#).await, "none");
}

#[tokio::test]
async fn a_small_body_that_would_become_large_is_refused_before_it_is_read() {
    let server = server().await;
    let spans = vec!["{}"; 300_000].join(",");
    let bomb = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#);
    let answer = send(&server, "application/json", bomb).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
    // 12 00: an empty span.
    let spans = [0x12, 0].repeat(300_000);
    let length = |bytes: &[u8]| {
        let mut prefix = Vec::new();
        prost::encoding::encode_varint(bytes.len() as u64, &mut prefix);
        prefix
    };
    let scope = [&[0x12][..], &length(&spans), &spans].concat();
    let bomb = [&[0x0a][..], &length(&scope), &scope].concat();
    assert_eq!(send(&server, "application/x-protobuf", bomb).await.status, 413);
}

#[tokio::test]
async fn an_empty_request_is_answered_with_an_empty_success() {
    let server = server().await;
    let answer = send(&server, "application/x-protobuf", Vec::new()).await;
    assert_eq!(
        ExportTraceServiceResponse::decode(answer.text.as_bytes()).unwrap(),
        ExportTraceServiceResponse::default()
    );
}

#[tokio::test]
async fn a_principal_over_quota_is_told_to_come_again() {
    let policy = Policy::parse("bounds: {events_per_second: 1}").unwrap();
    let server = server_under(policy, Options::default()).await;
    let spans: Vec<(u8, &str, f64)> = (1..=40).map(|number| (number, "q", 0.5)).collect();
    let first = send(&server, "application/json", request(&spans)).await;
    assert_eq!(first.status, 200);
    assert!(first.json()["partialSuccess"]["rejectedSpans"].as_str().unwrap() != "0", "{}", first.text);
    let second = send(&server, "application/json", request(&[(99, "q", 0.5)])).await;
    assert_eq!(second.status, 429);
    assert!(second.headers.contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn the_version_that_was_registered_last_can_be_taken_for_the_one_that_was_asked() {
    let sources = Sources::parse("corpus: {default: handbook}\ncorpus_version: {registered: true}").unwrap();
    let server = server_with(Options { sources, ..Options::default() }).await;
    let manifest = r#"{"doc_id":"a","content_hash":"b3:1"}"#;
    let path = "/v1/corpora/handbook/versions/v7";
    let registered = server.post(path, manifest).await;
    assert_eq!(registered.status, 201, "{}", registered.text);
    // The clock stands at NOW, when the version was registered: one retrieval before it, one after.
    let before = request(&[(1, "q", 0.5)]);
    let after = request(&[(2, "q", 0.5)]).replace("1763458200000000000", "1794996060000000000");
    send(&server, "application/json", before).await;
    assert_eq!(send(&server, "application/json", after).await.status, 200);
    server.flush().await;
    let trace = server.get("/v1/traces/0af7651916cd43dd8448eb211c80319c").await.json();
    let versions: Vec<_> =
        trace["retrievals"].as_array().unwrap().iter().map(|event| event["corpus_version"].clone()).collect();
    assert_eq!(versions, [Value::Null, json!("v7")], "{trace}");
}

#[tokio::test]
async fn rows_of_an_arrow_stream_are_events() {
    let server = server().await;
    let keys = tidemark_schema::FingerprintKey::new([7; 32]).into();
    let policy = Policy::verbatim();
    let limits = tidemark_collector::decode::Limits::default();
    let context = tidemark_collector::decode::Context { now: None, keys: &keys, policy: &policy, limits };
    let events: Vec<_> = (0..3)
        .map(|number| {
            let kind = tidemark_collector::decode::Kind::Retrieval;
            match tidemark_collector::decode::decode(retrieval(number).as_bytes(), kind, &context).unwrap() {
                tidemark_collector::decode::Event::Retrieval(event) => {
                    Stored { received_at: NOW.parse().unwrap(), ingest: Ingest::Live, event }
                }
                tidemark_collector::decode::Event::Output(_) => panic!("an output"),
            }
        })
        .collect();
    let batch = retrievals::encode(&events).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let stream = writer.into_inner().unwrap();
    let answer = server.post("/v1/retrievals", stream.clone()).await;
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &3.into()), "{}", answer.text);
    let again = server.post("/v1/retrievals", gzip(&stream)).await.json();
    assert_eq!(again["duplicates"], 3);
    let cut = server.post("/v1/retrievals", stream[..stream.len() - 200].to_vec()).await;
    assert_snapshot!(cut.refusal(), @"400 malformed: the table cannot be read: it ends in the body of a message");
}
