use insta::assert_snapshot;
use tidemark_collector::policy::Policy;

use super::otlp::metric;
use super::*;

/// Sends one retrieval in which `from` is replaced by `to`, and shows what was wrong with it.
async fn refused(from: &str, to: &str) -> String {
    let event = retrieval(1).replace(from, to);
    assert_ne!(event, retrieval(1), "nothing was replaced");
    let answer = server().await.post("/v1/retrievals", event).await;
    let (status, problem) = answer.problem();
    let event = &problem["events"][0];
    format!("{status} {} | {}", event["field"].as_str().unwrap_or("-"), event["reason"].as_str().unwrap())
}

#[tokio::test]
async fn one_broken_line_of_five_spoils_nothing_but_itself() {
    let server = server().await;
    let lines = [retrieval(1), retrieval(2), r#"{"occurred_at": oops"#.to_owned(), retrieval(4), retrieval(5)];
    let answer = server.post("/v1/retrievals", lines.join("\n")).await;
    assert_eq!(answer.status, 202);
    let json = answer.json();
    assert_eq!((&json["accepted"], &json["duplicates"], &json["rejected"]), (&4.into(), &0.into(), &1.into()));
    let statuses: Vec<_> = json["events"].as_array().unwrap().iter().map(|event| event["status"].as_str()).collect();
    assert_eq!(statuses, ["accepted", "accepted", "rejected", "accepted", "accepted"].map(Some));
    assert_snapshot!(json["events"][2], @r#"{"field":"occurred_at","index":2,"line":3,"reason":"is no JSON: expected value at line 1 column 17","status":"rejected"}"#);
    assert_snapshot!(json["events"][3], @r#"{"event_id":"1cb47ff9-5374-5163-9099-ccdcc8050016","index":3,"line":4,"status":"accepted"}"#);
}

#[tokio::test]
async fn an_event_that_is_sent_again_is_told_as_duplicate() {
    let server = server().await;
    let first = server.post("/v1/retrievals", retrieval(1)).await;
    assert_snapshot!(first.text, @r#"{"accepted":1,"duplicates":0,"rejected":0,"truncated_results":0,"events":[{"index":0,"line":1,"status":"accepted","event_id":"0356809a-29e7-5c1d-9ecc-9cbe4137ea61"}]}"#);
    let again = server.post("/v1/retrievals", retrieval(1)).await;
    assert_eq!(again.status, 202);
    assert_snapshot!(again.text, @r#"{"accepted":0,"duplicates":1,"rejected":0,"truncated_results":0,"events":[{"index":0,"line":1,"status":"duplicate","event_id":"0356809a-29e7-5c1d-9ecc-9cbe4137ea61"}]}"#);
    let twice_in_one = server.post("/v1/retrievals", format!("{}\n{}", retrieval(2), retrieval(2))).await.json();
    assert_eq!((&twice_in_one["accepted"], &twice_in_one["duplicates"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn all_forms_and_compressions_are_understood_whatever_the_headers_say() {
    let server = server().await;
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&retrieval(1)).unwrap()).unwrap();
    let array = format!("[{},\n{}]", retrieval(2), retrieval(3));
    let lines = format!("{}\n\n{}\n", retrieval(4), retrieval(5));
    for (body, expected) in [(pretty, 1), (array, 2), (lines, 2)] {
        let request = Request::post("/v1/retrievals").header("content-type", "image/png");
        assert_eq!(server.send(request, body).await.json()["accepted"], expected);
    }
    let compressed = gzip(retrieval(6).as_bytes());
    assert_eq!(server.post_encoded("/v1/retrievals", "gzip", compressed).await.json()["accepted"], 1);
    let compressed = zstd(retrieval(7).as_bytes());
    assert_eq!(server.post_encoded("/v1/retrievals", "zstd", compressed).await.json()["accepted"], 1);
    let undeclared = gzip(retrieval(8).as_bytes());
    assert_eq!(server.post("/v1/retrievals", undeclared).await.json()["accepted"], 1);
}

#[tokio::test]
async fn an_array_that_breaks_off_keeps_what_was_whole() {
    let answer = server().await.post("/v1/retrievals", format!("[{},\n{{\"occ", retrieval(1))).await;
    assert_eq!(answer.status, 202);
    let json = answer.json();
    assert_eq!((&json["accepted"], &json["rejected"]), (&1.into(), &1.into()));
    assert_snapshot!(json["events"][1], @r#"{"index":1,"line":2,"reason":"the body cannot be read from here on: line 2: the input ends inside of an event","status":"rejected"}"#);
}

/// Sends one retrieval in which `from` is replaced by `to`: it is taken, with these marks.
async fn marked(from: &str, to: &str, marks: &[&str]) {
    let event = retrieval(1).replace(from, to);
    assert_ne!(event, retrieval(1), "nothing was replaced");
    let answer = server().await.post("/v1/retrievals", event).await;
    assert_eq!((answer.status, &answer.json()["events"][0]["marks"]), (202, &marks.into()), "{}", answer.text);
}

#[tokio::test]
async fn what_is_not_known_or_repeated_costs_no_event() {
    for score in ["NaN}", "Infinity}", "-Infinity}"] {
        marked("0.8}", score, &["number.not_finite"]).await;
    }
    marked(r#""doc_id":"b""#, r#""doc_id":"a""#, &["doc_id.repeated"]).await;
    marked("09:30:00Z", "09:30:00", &["time.assumed_utc"]).await;
    let server = server().await;
    server.post("/v1/retrievals", retrieval(1).replace("0.8}", "NaN}")).await;
    assert_eq!(metric(&server, r#"tidemark_event_marks_total{mark="number.not_finite"}"#).await, "1");
}

#[tokio::test]
async fn values_that_cannot_be_are_rejected_with_their_field() {
    assert_snapshot!(refused("0.8}", "1e999}").await, @"422 results[1].score | is a number beyond the range of 64 bits");
    assert_snapshot!(refused("0.8}", "\"high\"}").await, @r#"422 results[1].score | is the text "high"; expected a number"#);
    assert_snapshot!(refused(r#""corpus":"#, r#""corpu":"#).await, @"422 corpu | is not a field of this event (did you mean corpus?); data of your own goes into `attributes`");
    assert_snapshot!(refused("2026-11-18T09:30:00Z", "9999-01-01T00:00:00Z").await, @"422 occurred_at | 9999-01-01T00:00:00Z lies outside of the years 2000 to 2099; check the clock and the unit of the sender");
    assert_snapshot!(refused("2026-11-18T09:30:00Z", "2026-11-19T09:30:00Z").await, @"422 occurred_at | 2026-11-19T09:30:00Z lies more than 60 minutes after our clock, 2026-11-18T10:00:00Z; check the sender's clock");
    assert_snapshot!(refused(r#""handbook""#, r#""../../etc""#).await, @"422 corpus | has a `.`, `..` or empty part between slashes; a name such as team/handbook is fine");
}

#[tokio::test]
async fn of_too_many_results_the_best_are_kept_and_the_others_counted() {
    let server = server().await;
    let results: Vec<_> = (0..10_000).map(|n| format!(r#"{{"doc_id":"d{n}","score":0.5}}"#)).collect();
    let event = retrieval(1).replace(r#"{"doc_id":"a","score":0.9},{"doc_id":"b","score":0.8}"#, &results.join(","));
    let answer = server.post("/v1/retrievals", event).await;
    assert_snapshot!(answer.text, @r#"{"accepted":1,"duplicates":0,"rejected":0,"truncated_results":9000,"events":[{"index":0,"line":1,"status":"accepted","event_id":"0356809a-29e7-5c1d-9ecc-9cbe4137ea61","truncated_results":9000,"marks":["bound.results"]}]}"#);
    server.flush().await;
    let trace = server.get("/v1/traces/trace-1").await.json();
    assert_eq!(trace["retrievals"][0]["results"].as_array().unwrap().len(), 1_000);
    assert_eq!(trace["retrievals"][0]["results_total"], 10_000);
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("tidemark_results_truncated_total 9000\n"), "{metrics}");
}

#[tokio::test]
async fn results_that_a_policy_cuts_are_counted_and_those_of_a_resend_are_not() {
    let policy = Policy::parse("bounds: {results: 1}").unwrap();
    let server = server_under(policy, Options::default()).await;
    for _ in 0..2 {
        server.post("/v1/retrievals", format!("{}\n{}", retrieval(1), retrieval(2))).await;
    }
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("tidemark_results_truncated_total 2\n"), "{metrics}");
}

#[tokio::test]
async fn a_batch_of_which_nothing_is_taken_is_a_problem_that_names_each_event() {
    let server = server().await;
    let malformed = server.post("/v1/retrievals", "{oops\nnope").await;
    assert_snapshot!(serde_json::to_string_pretty(&malformed.problem().1).unwrap(), @r#"
    {
      "accepted": 0,
      "detail": "all 2 events were rejected; the first, line 1: is no JSON: key must be a string at line 1 column 2",
      "duplicates": 0,
      "events": [
        {
          "index": 0,
          "line": 1,
          "reason": "is no JSON: key must be a string at line 1 column 2",
          "status": "rejected"
        },
        {
          "index": 1,
          "line": 2,
          "reason": "is no JSON: expected ident at line 1 column 2",
          "status": "rejected"
        }
      ],
      "hint": "`events` names the field and the reason for each; correct them and send the batch again",
      "rejected": 2,
      "status": 400,
      "title": "The request cannot be read",
      "truncated_results": 0,
      "type": "urn:tidemark:problem:malformed"
    }
    "#);
    let one_is_json = server.post("/v1/retrievals", "{oops\n{}").await;
    assert_eq!(one_is_json.status, 422);
    assert_snapshot!(one_is_json.refusal(), @"422 invalid: all 2 events were rejected; the first, line 1: is no JSON: key must be a string at line 1 column 2");
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("tidemark_events_total{kind=\"retrieval\",result=\"rejected\"} 4\n"), "{metrics}");
}

#[tokio::test]
async fn a_body_without_events_is_malformed() {
    let server = server().await;
    for body in ["", " \n\n", "[]"] {
        let refusal = server.post("/v1/retrievals", body).await.refusal();
        assert_eq!(refusal, "400 malformed: the body holds no event", "{body:?}");
    }
}

#[tokio::test]
async fn an_output_needs_an_operation_or_a_trace() {
    let server = server().await;
    let answer = server.post("/v1/outputs", r#"{"occurred_at":"2026-11-18T09:30:00Z","model":"m"}"#).await;
    assert_snapshot!(answer.refusal(), @"422 invalid: the event was rejected: line 1: operation_id is missing, and so is trace_id: an output belongs to the retrievals of its operation or trace");
    let event = r#"{"occurred_at":"2026-11-18T09:30:00Z","trace_id":"t","model":"m"}"#;
    assert_eq!(server.post("/v1/outputs", event).await.status, 202);
}
