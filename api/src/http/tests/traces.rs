use insta::{assert_json_snapshot, assert_snapshot};

use super::*;

#[tokio::test]
async fn a_trace_is_shown_as_it_was_sent_with_its_outputs() {
    let server = server().await;
    server.post("/v1/retrievals", [retrieval(1), retrieval(2)].join("\n")).await;
    let outputs = [
        r#"{"event_id":"o1","occurred_at":"2026-11-18T09:30:02Z","operation_id":"op-1","model":"m","citations":["a"]}"#,
        r#"{"event_id":"o2","occurred_at":"2026-11-18T09:30:01Z","trace_id":"trace-1","feedback":1}"#,
        r#"{"event_id":"o3","occurred_at":"2026-11-18T09:30:01Z","operation_id":"op-2"}"#,
    ];
    assert_eq!(server.post("/v1/outputs", outputs.join("\n")).await.json()["accepted"], 3);

    let early = server.get("/v1/traces/trace-1").await;
    assert_snapshot!(early.refusal(), @"");
    assert_snapshot!(early.json()["hint"].as_str().unwrap(), @"");

    server.flush().await;
    let trace = server.get("/v1/traces/trace-1").await.json();
    assert_json_snapshot!(trace, @"");
    let mut by_operation = server.get("/v1/traces/op-1").await.json();
    assert_eq!(by_operation["trace_id"], "op-1");
    by_operation["trace_id"] = "trace-1".into();
    assert_eq!(by_operation, trace);
}

#[tokio::test]
async fn a_trace_that_is_not_there_is_not_found() {
    let server = server().await;
    assert_snapshot!(server.get("/v1/traces/none").await.refusal(), @"");
    assert_snapshot!(server.get("/v1/traces/none/diff").await.refusal(), @"");
    assert_snapshot!(server.get(&format!("/v1/traces/{}", "x".repeat(300))).await.refusal(), @"");
}

#[tokio::test]
async fn a_trace_is_compared_with_another_one_or_with_what_its_query_got_before() {
    let server = server().await;
    let later = retrieval(2).replace("09:30:00", "09:40:00").replace(r#""doc_id":"b""#, r#""doc_id":"c""#);
    server.post("/v1/retrievals", format!("{}\n{later}", retrieval(1))).await;
    server.flush().await;
    let before = server.get("/v1/traces/trace-2/diff").await.json();
    let changes: Vec<_> =
        before["documents"].as_array().unwrap().iter().map(|d| (&d["doc_id"], &d["change"])).collect();
    assert_json_snapshot!(changes, @"");
    let other = server.get("/v1/traces/trace-2/diff?other=trace-1").await.json();
    assert_eq!(other["documents"], before["documents"]);
    assert_eq!(server.get("/v1/traces/trace-2/diff?reference=last:1d").await.status, 200);
    assert_snapshot!(server.get("/v1/traces/trace-2/diff?reference=yesterday").await.refusal(), @"");
    assert_snapshot!(server.get("/v1/traces/trace-2/diff?other=trace-1&reference=last:1d").await.refusal(), @"");
}

#[tokio::test]
async fn of_a_long_trace_only_so_much_is_shown() {
    let options =
        Options { limits: crate::http::Limits { trace_events: 2, ..Default::default() }, ..Default::default() };
    let server = server_with(options).await;
    let events: Vec<_> = (1..=3).map(|n| retrieval(n).replace(&format!("trace-{n}"), "long")).collect();
    server.post("/v1/retrievals", events.join("\n")).await;
    server.flush().await;
    let trace = server.get("/v1/traces/long").await.json();
    assert_eq!((trace["retrievals"].as_array().unwrap().len(), &trace["truncated"]), (2, &true.into()));
}
