use insta::assert_snapshot;

use super::*;

#[tokio::test]
async fn the_process_is_up_and_ready() {
    let server = server().await;
    assert_eq!(server.get("/livez").await.status, 200);
    server.post("/v1/retrievals", retrieval(1)).await;
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let json = ready.json();
    assert_eq!((&json["state"], &json["pending_events"]), (&"normal".into(), &1.into()));
    assert!(json["log_bytes"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn metrics_count_events_and_requests_and_name_no_query() {
    let server = server().await;
    server.post("/v1/retrievals", format!("{}\n{}\noops", retrieval(1), retrieval(1))).await;
    server.flush().await;
    server.get("/v1/traces/how-do-I-reset-my-badge").await;
    let answer = server.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let unsteady = ["_seconds_bucket", "_seconds_sum", "tidemark_log_bytes "];
    let mut lines: Vec<_> =
        answer.text.lines().filter(|line| !unsteady.iter().any(|part| line.contains(part))).collect();
    lines.sort_unstable();
    assert_snapshot!(lines.join("\n"), @r#"
    # EOF
    # HELP tidemark_events Events that were sent, by what became of them.
    # HELP tidemark_events_flushed Events that were written to the table.
    # HELP tidemark_events_recovered Events that were read from the log at the start.
    # HELP tidemark_events_refused Events that were refused because of the mode or a limit.
    # HELP tidemark_flush_failures Flushes that failed and are tried again.
    # HELP tidemark_http_request_seconds Duration of requests by route.
    # HELP tidemark_http_requests Requests by route and status.
    # HELP tidemark_log_damaged_places Damaged places of the log.
    # HELP tidemark_log_records_unreadable Records of the log that could not be read.
    # HELP tidemark_log_reopened Times that the log was opened again after a failure.
    # HELP tidemark_mode 1 for the mode that the collector is in, 0 for the others.
    # HELP tidemark_mode_transitions How often the mode changed.
    # HELP tidemark_otlp_attributes_ignored Attributes of spans that became events and that are not read.
    # HELP tidemark_pending_bytes Bytes that they take in memory.
    # HELP tidemark_pending_events Events that are on disk and not in the table yet.
    # HELP tidemark_results_truncated Results of accepted events beyond the limit.
    # TYPE tidemark_events counter
    # TYPE tidemark_events_flushed counter
    # TYPE tidemark_events_recovered counter
    # TYPE tidemark_events_refused counter
    # TYPE tidemark_flush_failures counter
    # TYPE tidemark_http_request_seconds histogram
    # TYPE tidemark_http_requests counter
    # TYPE tidemark_log_damaged_places gauge
    # TYPE tidemark_log_records_unreadable counter
    # TYPE tidemark_log_reopened counter
    # TYPE tidemark_mode gauge
    # TYPE tidemark_mode_transitions counter
    # TYPE tidemark_otlp_attributes_ignored counter
    # TYPE tidemark_pending_bytes gauge
    # TYPE tidemark_pending_events gauge
    # TYPE tidemark_results_truncated counter
    # UNIT tidemark_http_request_seconds seconds
    # UNIT tidemark_pending_bytes bytes
    tidemark_events_flushed_total 1
    tidemark_events_recovered_total 0
    tidemark_events_refused_total 0
    tidemark_events_total{kind="retrieval",result="accepted"} 1
    tidemark_events_total{kind="retrieval",result="duplicate"} 1
    tidemark_events_total{kind="retrieval",result="rejected"} 1
    tidemark_flush_failures_total 0
    tidemark_http_request_seconds_count{route="/v1/retrievals"} 1
    tidemark_http_request_seconds_count{route="/v1/traces/{id}"} 1
    tidemark_http_requests_total{route="/v1/retrievals",status="202"} 1
    tidemark_http_requests_total{route="/v1/traces/{id}",status="404"} 1
    tidemark_log_damaged_places 0
    tidemark_log_records_unreadable_total 0
    tidemark_log_reopened_total 0
    tidemark_mode_transitions_total 1
    tidemark_mode{mode="normal"} 1
    tidemark_mode{mode="read_only"} 0
    tidemark_mode{mode="recovering"} 0
    tidemark_mode{mode="shedding"} 0
    tidemark_otlp_attributes_ignored_total 0
    tidemark_pending_bytes 0
    tidemark_pending_events 0
    tidemark_results_truncated_total 0
    "#);
    assert!(answer.text.contains("tidemark_log_bytes "));
}

#[tokio::test]
async fn the_description_of_all_routes_changes_only_on_purpose() {
    let answer = server().await.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_snapshot!("openapi", answer.text);
}
