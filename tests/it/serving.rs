//! A server as a process: what comes in over HTTP can be asked for, and the command line sees the same store.

use tidemark_tests::{Server, TemporaryStore, run};

const EVENT: &str = r#"{"occurred_at":"2024-11-18T09:30:00Z","trace_id":"trace-1","corpus":"handbook","corpus_version":"v1","query":{"text":"how do I reset my badge"},"results":[{"doc_id":"a","score":0.9}]}"#;

#[test]
fn an_event_that_was_sent_can_be_asked_for_and_its_text_is_nowhere() {
    let store = TemporaryStore::new();
    let server = Server::start(store.path());
    assert_eq!(server.get("/livez").map(|answer| answer.status), Some(200));
    assert_eq!(server.get("/readyz").map(|answer| answer.status), Some(200));
    let answer = server.post("/v1/retrievals", EVENT.as_bytes()).unwrap();
    assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (202, Some(1)), "{}", answer.body);
    let again = server.post("/v1/retrievals", EVENT.as_bytes()).unwrap();
    assert_eq!((again.status, again.json()["duplicates"].as_u64()), (202, Some(1)), "{}", again.body);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let trace = loop {
        let trace = server.get("/v1/traces/trace-1").unwrap();
        if trace.status == 200 || std::time::Instant::now() > deadline {
            break trace;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    assert_eq!(trace.json()["retrievals"][0]["results"][0]["doc_id"], "a", "{}", trace.body);
    server.stop();
    assert_no_text(store.path(), b"reset my badge");
    let data = store.data();
    let exported = run(&["--data", &data, "export"], b"");
    assert_eq!(exported.stdout.lines().count(), 1);
}

/// INV-06: no text is written before redaction, the log included.
#[test]
fn no_text_reaches_the_disk_when_the_process_is_killed_before_its_first_flush() {
    let store = TemporaryStore::new();
    let mut server = Server::start(store.path());
    assert_eq!(server.post("/v1/retrievals", EVENT.as_bytes()).map(|answer| answer.status), Some(202));
    server.kill();
    assert_no_text(store.path(), b"reset my badge");
}

fn assert_no_text(directory: &std::path::Path, text: &[u8]) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_text(&path, text);
        } else {
            let content = std::fs::read(&path).unwrap();
            let found = content.windows(text.len()).any(|window| window == text);
            assert!(!found, "{} holds the text of a query", path.display());
        }
    }
}

/// INV-05: what is dropped, truncated or redacted is counted and visible.
#[test]
fn what_was_refused_and_cut_is_in_the_metrics() {
    let store = TemporaryStore::new();
    let server = Server::start(store.path());
    let bad = EVENT.replace("0.9", "\"high\"");
    let results: Vec<String> = (0..1_500).map(|i| format!("{{\"doc_id\":\"d{i}\"}}")).collect();
    let long = EVENT.replace(r#"{"doc_id":"a","score":0.9}"#, &results.join(","));
    let answer = server.post("/v1/retrievals", format!("{EVENT}\n{bad}\n{long}\n").as_bytes()).unwrap();
    let json = answer.json();
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!((json["accepted"].as_u64(), json["rejected"].as_u64()), (Some(2), Some(1)), "{}", answer.body);
    let metrics = server.get("/metrics").unwrap().body;
    let value = |line: &str| {
        let found =
            metrics.lines().find(|found| found.starts_with(line)).unwrap_or_else(|| panic!("{line} in {metrics}"));
        found.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok())
    };
    assert_eq!(value("tidemark_results_truncated_total"), Some(500.0));
    assert!(
        metrics.lines().any(|line| line.starts_with("tidemark_events_total{")
            && line.contains("rejected")
            && line.ends_with(" 1")),
        "{metrics}"
    );
}

#[test]
fn a_second_server_on_the_same_store_is_refused() {
    let store = TemporaryStore::new();
    let _first = Server::start(store.path());
    let data = store.data();
    let second = run(&["--data", &data, "serve", "--listen", "127.0.0.1:0"], b"");
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("hint: if another `tidemark serve` uses this directory"), "{}", second.stderr);
}
