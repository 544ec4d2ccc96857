//! Policies, quotas, storage, the audit log and erasure over HTTP.

use insta::assert_snapshot;
use serde_json::json;
use tidemark_collector::policy::Policy;

use super::{Server, server, server_under};
use crate::http::Options;

async fn under(policy: &str) -> Server {
    server_under(Policy::parse(policy).unwrap(), Options::default()).await
}

fn event(number: u32, principal: &str) -> String {
    json!({
        "event_id": format!("e{number}"), "occurred_at": "2026-11-18T09:59:00Z", "principal": principal, "corpus": "c",
        "query": {"text": "call +49 30 901820"}, "results": [{"doc_id": "a"}, {"doc_id": "b"}],
    })
    .to_string()
}

#[tokio::test]
async fn beyond_the_quota_of_a_principal_its_events_are_refused_and_those_of_others_taken() {
    let server = under("bounds: {events_per_second: 1, burst: 2}").await;
    let batch = [event(1, "a"), event(2, "a"), event(3, "a"), event(4, "b")].join("\n");
    let answer = server.post("/v1/retrievals", batch).await;
    assert_eq!(answer.status, 202);
    let body: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!((&body["accepted"], &body["rejected"]), (&json!(3), &json!(1)));
    assert_eq!((&body["events"][2]["field"], &body["events"][2]["retry_after_s"]), (&json!("principal"), &json!(1)));
    let refused = server.post("/v1/retrievals", event(5, "a")).await;
    assert_eq!(refused.header("retry-after"), "1");
    assert_snapshot!(refused.refusal(), @"429 over-quota: the event was rejected: line 1: principal the quota of this principal is used up; send again after 1 s");
}

#[tokio::test]
async fn marks_are_answered_and_counted() {
    let server = under("text: redacted\nbounds: {results: 1}").await;
    let answer = server.post("/v1/retrievals", event(1, "a")).await;
    let body: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(body["events"][0]["marks"], json!(["bound.results", "redacted.phone"]));
    let metrics = server.get("/metrics").await.text;
    for mark in ["bound.results", "redacted.phone"] {
        assert!(metrics.contains(&format!("tidemark_event_marks_total{{mark=\"{mark}\"}} 1")), "{metrics}");
    }
}

#[tokio::test]
async fn the_policy_in_force_can_be_asked_for() {
    let server = under("bounds: {results: 9}\nservices: {s: {bounds: {results: 3}}}").await;
    let shown: serde_json::Value = serde_json::from_str(&server.get("/v1/policies?service=s").await.text).unwrap();
    assert_eq!(shown["bounds"]["results"], 3);
    assert_eq!(server.get("/v1/policies?srevice=s").await.status, 400);
}

#[tokio::test]
async fn storage_the_audit_log_and_an_erasure_are_told() {
    let server = server().await;
    server.post("/v1/retrievals", [event(1, "a"), event(2, "b")].join("\n")).await;
    let erased = server.post("/v1/erasures", r#"{"principal":"a"}"#).await;
    assert_eq!(erased.status, 200, "{}", erased.text);
    let erased: serde_json::Value = serde_json::from_str(&erased.text).unwrap();
    assert_eq!(erased["rows"], 1);
    let storage: serde_json::Value = serde_json::from_str(&server.get("/v1/storage").await.text).unwrap();
    assert_eq!((&storage["tables"][0]["rows"], &storage["corpora"][0]["corpus"]), (&json!(1), &json!("c")));
    let audit: serde_json::Value = serde_json::from_str(&server.get("/v1/audit?action=erasure").await.text).unwrap();
    assert_eq!((&audit["records"][0]["detail"]["rows"], &audit["next"]), (&json!(1), &json!(null)));
    assert_eq!(server.post("/v1/erasures", r#"{"principal":""}"#).await.status, 422);
}
