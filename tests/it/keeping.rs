//! What operators do: policies, storage, verification, erasure, rotation of keys, and what the audit log says of it.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tidemark_tests::{Finished, Server, TemporaryStore, run};

fn event(number: u32, principal: &str, text: &str, day: u32) -> String {
    format!(
        r#"{{"event_id":"e{number}","occurred_at":"2024-11-{day:02}T09:30:00Z","operation_id":"op-{number}","principal":"{principal}","service":"support","corpus":"handbook","corpus_version":"v1","query":{{"text":"{text}"}},"results":[{{"doc_id":"a","score":0.9}},{{"doc_id":"b","score":0.8}},{{"doc_id":"c","score":0.7}}]}}"#
    )
}

fn tidemark(store: &TemporaryStore, arguments: &[&str], code: i32) -> Finished {
    let data = store.data();
    let finished = run(&[&["--data", &data], arguments].concat(), b"");
    assert_eq!(finished.code, Some(code), "{arguments:?}: {}{}", finished.stdout, finished.stderr);
    finished
}

fn import(store: &TemporaryStore, events: &[String], more: &[&str]) -> Finished {
    let data = store.data();
    let imported = run(&[&["--data", &data, "import", "-"], more].concat(), events.join("\n").as_bytes());
    assert_eq!(imported.code, Some(0), "{}{}", imported.stdout, imported.stderr);
    imported
}

fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap()
}

fn files(directory: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_flipped_byte_is_found_and_named_and_other_corpora_are_read_on() {
    let store = TemporaryStore::new();
    import(&store, &[event(1, "alice", "x", 18)], &[]);
    import(&store, &[event(3, "alice", "x", 18)], &[]);
    import(&store, &[event(2, "alice", "x", 18).replace("handbook", "wiki")], &[]);
    let whole = tidemark(&store, &["verify"], 0);
    assert!(whole.stdout.contains("everything is as it was left"), "{}", whole.stdout);
    let head =
        json(&tidemark(&store, &["verify", "--format", "json"], 0))["tables"][0]["head"].as_str().unwrap().to_owned();

    let damaged = files(&store.path().join("retrievals/corpus=handbook"), ".parquet").remove(0);
    let mut bytes = std::fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&damaged, bytes).unwrap();
    let found = tidemark(&store, &["verify"], 1).stdout;
    let name = damaged.file_name().unwrap().to_string_lossy().into_owned();
    assert!(found.contains("altered") && found.contains(&name) && found.contains("last found intact"), "{found}");
    let other = tidemark(&store, &["export", "--corpus", "wiki"], 0);
    assert_eq!(other.stdout.lines().count(), 1);

    std::fs::write(damaged.with_file_name("part-00000-smuggled.parquet"), b"PAR1").unwrap();
    std::fs::remove_file(&damaged).unwrap();
    let found = json(&tidemark(&store, &["verify", "--format", "json"], 1));
    let findings = found["tables"][0]["findings"].as_array().unwrap();
    let kinds: Vec<_> = findings.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["missing", "extra"]);
    assert!(tidemark(&store, &["export", "--corpus", "handbook"], 1).stderr.contains("--set-aside"));
    std::fs::remove_file(damaged.with_file_name("part-00000-smuggled.parquet")).unwrap();
    let rest = tidemark(&store, &["verify", "--set-aside"], 0);
    assert!(rest.stderr.contains("1 damaged files with 1 events were set aside"), "{}", rest.stderr);
    assert_eq!(tidemark(&store, &["export", "--corpus", "handbook"], 0).stdout.lines().count(), 1);
    tidemark(&store, &["verify", "--head", &head], 0);
}

#[test]
fn an_erased_principal_leaves_a_tombstone_and_the_store_still_verifies() {
    let store = TemporaryStore::new();
    import(&store, &[event(1, "alice", "x", 18), event(2, "bob", "y", 18)], &[]);
    assert!(tidemark(&store, &["erase", "alice"], 0).stdout.starts_with("1 events of alice would be erased"));
    let server = Server::start(store.path());
    let refused = tidemark(&store, &["erase", "alice", "--yes"], 1);
    assert!(refused.stderr.contains("is in use"), "{}", refused.stderr);
    assert_eq!(
        server.post("/v1/retrievals", event(3, "carol", "z", 18).as_bytes()).map(|answer| answer.status),
        Some(202)
    );
    let erased = server.post("/v1/erasures", br#"{"principal":"carol"}"#).unwrap();
    assert_eq!((erased.status, erased.json()["rows"].as_u64()), (200, Some(1)), "{}", erased.body);
    server.stop();
    let erased = json(&tidemark(&store, &["erase", "alice", "--yes", "--format", "json"], 0));
    assert_eq!(erased["rows"], 1);
    let left = tidemark(&store, &["export"], 0).stdout;
    assert!(left.lines().count() == 1 && left.contains("bob"), "{left}");
    for file in [files(store.path(), ".parquet"), files(store.path(), ".wal")].concat() {
        let bytes = std::fs::read(&file).unwrap();
        for name in [b"alice".as_slice(), b"carol"] {
            assert!(!bytes.windows(name.len()).any(|window| window == name), "{} holds a name", file.display());
        }
    }
    let verified = tidemark(&store, &["verify"], 0).stdout;
    assert_eq!(verified.matches("events were erased on request").count(), 2, "{verified}");
    let audit = json(&tidemark(&store, &["audit", "--action", "erasure", "--format", "json"], 0));
    let told = audit["records"].to_string();
    assert!(told.contains("\"rows\":1") && !told.contains("alice") && !told.contains("carol"), "{told}");
}

#[test]
fn a_server_that_is_stopped_while_it_merges_leaves_nothing_that_looks_like_a_forgery() {
    let store = TemporaryStore::new();
    // Nine small files in each of twenty partitions: a server begins to merge them as soon as it has started, and has time
    // for a few of them before it is stopped.
    for file in 0..9 {
        let events: Vec<_> = (0..20)
            .map(|corpus| {
                let number = 100 * file + corpus;
                event(number, "alice", "x", 18).replace("handbook", &format!("corpus-{corpus}"))
            })
            .collect();
        import(&store, &events, &[]);
    }
    for stop in 1..=6 {
        let server = Server::start(store.path());
        std::thread::sleep(Duration::from_millis(200 * stop));
        server.stop();
        let verified = tidemark(&store, &["verify"], 0).stdout;
        assert!(!verified.contains("interrupted writes"), "stop {stop}: {verified}");
    }
}

#[test]
fn an_event_that_breaks_a_bound_is_kept_cut_marked_and_counted() {
    let store = TemporaryStore::new();
    let policy = store.beside("policy.yaml");
    let rules = "text: redacted\nbounds: {results: 2, corpora: [wiki]}\nservices: {support: {bounds: {results: 1}}}\n";
    std::fs::write(&policy, rules).unwrap();
    let policy = policy.to_string_lossy().into_owned();
    assert_eq!(run(&["policy", "check", &policy], b"").code, Some(0));
    let shown = run(&["policy", "show", &policy, "--service", "support", "--format", "json"], b"");
    assert_eq!(json(&shown)["bounds"]["results"], 1);
    let sent = event(1, "alice", "write to jane.doe@example.com", 18);
    let imported = import(&store, &[sent], &["--policy", &policy]);
    for mark in ["bound.results", "bound.corpus", "redacted.email"] {
        assert!(imported.stdout.contains(&format!("1 events {mark}")), "{}", imported.stdout);
    }
    let kept = json(&tidemark(&store, &["export"], 0));
    assert_eq!(kept["query"]["text"], "write to [email]");
    assert_eq!((kept["results"].as_array().unwrap().len(), kept["results_total"].as_u64()), (1, Some(3)));
    assert_eq!(kept["marks"], serde_json::json!(["bound.corpus", "bound.results", "redacted.email"]));
    assert!(kept["policy_version"].as_str().unwrap().starts_with("p:"));

    let wider = "bounds: {results: 2}\nservices: {support: {bounds: {results: 5}}}\n";
    let refused = refused_policy(&store, wider);
    assert!(refused.contains("services.support.bounds.results") && refused.contains("can only restrict"), "{refused}");
    let unknown = refused_policy(&store, "bounds: {resluts: 2}\n");
    assert!(unknown.contains("resluts"), "{unknown}");
}

fn refused_policy(store: &TemporaryStore, yaml: &str) -> String {
    let file = store.beside("refused.yaml");
    std::fs::write(&file, yaml).unwrap();
    let refused = run(&["policy", "check", &file.to_string_lossy()], b"");
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    refused.stderr
}

#[test]
fn queries_match_across_a_rotation_of_keys() {
    let store = TemporaryStore::new();
    let ask = |first: u32, day: u32| -> Vec<String> {
        (0..40).map(|n| event(first + n, "alice", &format!("question number {n}"), day)).collect()
    };
    import(&store, &ask(0, 1), &[]);
    assert!(tidemark(&store, &["key", "rotate"], 0).stdout.contains("previous"));
    import(&store, &ask(100, 8), &[]);
    tidemark(&store, &["key", "forget-previous"], 0);
    import(&store, &ask(200, 15), &[]);
    let windows = ["2024-11-01..2024-11-08", "2024-11-08..2024-11-15", "2024-11-15..2024-11-22"];
    for (reference, current) in [(windows[0], windows[1]), (windows[1], windows[2]), (windows[0], windows[2])] {
        let compare =
            ["compare", "--corpus", "handbook", "--reference", reference, "--current", current, "--format", "json"];
        let data = store.data();
        let report = json(&run(&[&["--data", &data], compare.as_slice()].concat(), b""));
        assert_eq!(report["retrieval"]["matched_queries"], 40, "{reference} {current}");
    }
    let keys = store.beside("store.keys");
    assert!(keys.join("fingerprint.key").is_file(), "the key lies beside the store");
    assert!(files(store.path(), ".key").is_empty(), "and not in it");
    std::fs::remove_dir_all(&keys).unwrap();
    let data = store.data();
    let lost = run(&["--data", &data, "import", "-"], event(1, "a", "x", 1).as_bytes());
    assert!(lost.code == Some(1) && lost.stderr.contains("copy the key"), "{}", lost.stderr);
}

#[test]
fn storage_is_told_and_old_days_go_by_the_policy() {
    let store = TemporaryStore::new();
    import(&store, &[event(1, "alice", "x", 18)], &[]);
    import(&store, &[event(2, "alice", "y", 18)], &[]);
    let before = tidemark(&store, &["storage"], 0).stdout;
    for part in ["retrievals", "chain of evidence", "write-ahead log", "when it fills", "what can be freed", "handbook"]
    {
        assert!(before.contains(part), "{before}");
    }
    let policy = store.beside("policy.yaml");
    std::fs::write(&policy, "retention: {days: 30, removed_files: 1s}\n").unwrap();
    let policy = policy.to_string_lossy().into_owned();
    let after = json(&tidemark(&store, &["storage", "--policy", &policy, "--maintain", "--format", "json"], 0));
    assert_eq!(after["maintained"]["dropped_rows"], 2, "{after}");
    assert_eq!(tidemark(&store, &["export"], 0).stdout, "");
    std::thread::sleep(Duration::from_millis(1_100));
    tidemark(&store, &["storage", "--policy", &policy, "--maintain"], 0);
    assert_eq!(files(&store.path().join("retrievals"), ".zstd.parquet"), Vec::<std::path::PathBuf>::new());
    tidemark(&store, &["verify"], 0);
    let audit = tidemark(&store, &["audit"], 0).stdout;
    assert!(audit.contains("retention") && audit.contains("sweep"), "{audit}");
}

/// INV-06 holds for the log of the server too: no line carries text of a query, of an answer or of a refused event.
#[test]
fn no_line_of_the_servers_log_carries_text_and_each_is_json_with_the_request_it_belongs_to() {
    let store = TemporaryStore::new();
    let log = store.beside("server.log");
    let server = Server::start_with(store.path(), &["--text", "full"], &log);
    let canary = "zanzibar-canary";
    server.post("/v1/retrievals", event(1, "alice", canary, 18).as_bytes());
    server.post("/v1/retrievals", format!("{{\"query\":{{\"text\":\"{canary}\"}}, broken").as_bytes());
    server.post("/v1/retrievals", format!("[{},{{\"text\":\"{canary}\"}}]", event(2, "a", canary, 18)).as_bytes());
    server.post(
        "/v1/outputs",
        format!(r#"{{"occurred_at":"2024-11-18T09:30:00Z","operation_id":"op-1","output":{{"text":"{canary}"}}}}"#)
            .as_bytes(),
    );
    server.get(&format!("/v1/traces/{canary}"));
    server.get(&format!("/{canary}?q={canary}"));
    server.stop();
    let text = std::fs::read_to_string(log).unwrap();
    assert!(!text.contains("zanzibar"), "{text}");
    for line in text.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}
