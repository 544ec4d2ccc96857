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
    assert_snapshot!(early.refusal(), @"404 not-found: no event of trace trace-1 is stored");
    assert_snapshot!(early.json()["hint"].as_str().unwrap(), @"events become visible a few seconds after the acknowledgement: try again shortly, or check the id");

    server.flush().await;
    let trace = server.get("/v1/traces/trace-1").await.json();
    let mut shown = trace.clone();
    // The key of a store is its own, and so are its fingerprints.
    let fingerprint = shown["retrievals"][0]["query"]["fingerprint"].take();
    assert!(fingerprint.as_str().unwrap().starts_with("fp:"));
    assert_json_snapshot!(shown, @r#"
    {
      "outputs": [
        {
          "attempt": 1,
          "event_id": "f1d603d1-d600-54ad-be49-4cc6eb3911b6",
          "feedback": 1.0,
          "ingest": "live",
          "occurred_at": "2026-11-18T09:30:01Z",
          "operation_id": "trace-1",
          "output": {},
          "received_at": "2026-11-18T10:00:00Z",
          "trace_id": "trace-1"
        },
        {
          "attempt": 1,
          "citations": [
            "a"
          ],
          "event_id": "1c8f12b0-97f5-5593-80f3-8cccc9e44d4e",
          "ingest": "live",
          "model": "m",
          "occurred_at": "2026-11-18T09:30:02Z",
          "operation_id": "op-1",
          "output": {},
          "received_at": "2026-11-18T10:00:00Z"
        }
      ],
      "retrievals": [
        {
          "attempt": 1,
          "corpus": "handbook",
          "event_id": "0356809a-29e7-5c1d-9ecc-9cbe4137ea61",
          "ingest": "live",
          "occurred_at": "2026-11-18T09:30:00Z",
          "operation_id": "op-1",
          "query": {
            "fingerprint": null,
            "simhash": "b0f6b60d2f89b6ba"
          },
          "received_at": "2026-11-18T10:00:00Z",
          "requested": {},
          "results": [
            {
              "doc_id": "a",
              "score": 0.9
            },
            {
              "doc_id": "b",
              "score": 0.8
            }
          ],
          "retriever": {
            "score_kind": "other"
          },
          "trace_id": "trace-1"
        }
      ],
      "trace_id": "trace-1"
    }
    "#);
    let mut by_operation = server.get("/v1/traces/op-1").await.json();
    assert_eq!(by_operation["trace_id"], "op-1");
    by_operation["trace_id"] = "trace-1".into();
    assert_eq!(by_operation, trace);
}

#[tokio::test]
async fn a_trace_that_is_not_there_is_not_found() {
    let server = server().await;
    assert_snapshot!(server.get("/v1/traces/none").await.refusal(), @"404 not-found: no event of trace none is stored");
    assert_snapshot!(server.get("/v1/traces/none/diff").await.refusal(), @"404 not-found: no retrieval of trace none is stored");
    assert_snapshot!(server.get(&format!("/v1/traces/{}", "x".repeat(300))).await.refusal(), @"422 invalid: id has 300 bytes, the limit is 256");
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
    assert_json_snapshot!(changes, @r#"
    [
      [
        "a",
        "same"
      ],
      [
        "c",
        "entered"
      ],
      [
        "b",
        "left"
      ]
    ]
    "#);
    let other = server.get("/v1/traces/trace-2/diff?other=trace-1").await.json();
    assert_eq!(other["documents"], before["documents"]);
    assert_eq!(server.get("/v1/traces/trace-2/diff?reference=last:1d").await.status, 200);
    assert_eq!(server.get("/v1/traces/trace-2/diff?corpus=handbook").await.status, 200);
    assert_snapshot!(server.get("/v1/traces/trace-2/diff?corpus=handbok").await.refusal(), @"422 invalid: the trace asked the corpus handbook, not handbok");
    assert_snapshot!(server.get("/v1/traces/trace-2/diff?reference=yesterday").await.refusal(), @r#"422 invalid: "yesterday" selects no window: it has none of the known forms"#);
    assert_snapshot!(server.get("/v1/traces/trace-2/diff?other=trace-1&reference=last:1d").await.refusal(), @"422 invalid: other names the trace to compare with, so reference has nothing to select");
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

/// INV-11 begins here: an answer of another tenant is neither compared with nor shown, however the question is put.
#[tokio::test]
async fn another_tenants_answer_is_never_compared_with_nor_shown() {
    let server = server().await;
    let of = |number: usize, tenant: &str, minute: &str, document: &str| {
        retrieval(number)
            .replace("09:30:00", &format!("09:{minute}:00"))
            .replace(r#""corpus":"handbook""#, &format!(r#""corpus":"handbook","segment":{{"tenant":"{tenant}"}}"#))
            .replace(r#""doc_id":"b""#, &format!(r#""doc_id":"{document}""#))
    };
    let events =
        [of(1, "acme", "10", "acme-old"), of(2, "globex", "20", "globex-secret"), of(3, "acme", "30", "acme-new")];
    server.post("/v1/retrievals", events.join("\n")).await;
    server.flush().await;
    let diff = server.get("/v1/traces/trace-3/diff").await;
    assert_eq!(diff.json()["reference"]["trace_id"], "trace-1");
    assert!(!diff.text.contains("globex"), "{}", diff.text);
    let other = server.get("/v1/traces/trace-3/diff?other=trace-2").await;
    assert!(!other.text.contains("globex-secret"), "{}", other.text);
    assert_snapshot!(other.refusal(), @"422 invalid: trace trace-2 was answered for another tenant than trace trace-3; answers of two tenants are never compared");
    assert_snapshot!(server.get("/v1/traces/trace-2/diff").await.refusal(), @"404 not-found: the query of trace trace-2 was never asked before, nor anything like it, so there is nothing to compare it with");
}

/// Of a search and its reranker the model saw what the reranker chose, and a search is compared with a search.
#[tokio::test]
async fn of_a_pipeline_the_last_stage_is_compared_with_the_same_stage() {
    let server = server().await;
    let of = |number: usize, operation: usize, stage: &str, minute: &str, document: &str| {
        retrieval(number)
            .replace(&format!("op-{number}"), &format!("op-{operation}"))
            .replace(&format!("trace-{number}"), &format!("trace-{operation}"))
            .replace("09:30:00", &format!("09:{minute}"))
            .replace(
                r#""corpus":"handbook""#,
                &format!(r#""corpus":"handbook","retriever":{{"name":"{stage}","kind":"{stage}"}}"#),
            )
            .replace(r#""doc_id":"b""#, &format!(r#""doc_id":"{document}""#))
    };
    let events = [
        of(1, 1, "dense", "10:00", "found"),
        of(2, 1, "rerank", "10:01", "chosen"),
        of(3, 3, "rerank", "20:00", "chosen-now"),
        of(4, 3, "dense", "20:01", "found-now"),
    ];
    server.post("/v1/retrievals", events.join("\n")).await;
    server.flush().await;
    let diff = server.get("/v1/traces/trace-3/diff").await.json();
    let documents: Vec<_> = diff["documents"].as_array().unwrap().iter().map(|d| d["doc_id"].clone()).collect();
    assert_eq!(documents, ["a", "chosen-now", "chosen"]);
}
