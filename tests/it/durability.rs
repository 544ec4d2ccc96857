//! A real process is killed, again and again, while events stream in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tidemark_schema::{Clock, SystemClock, Timestamp};
use tidemark_tests::{Server, TemporaryStore, is_long, run};

/// Every other event is a day and a half late, so that both ways of recognising a resend are taken: the window of recent
/// ids, and the table.
fn time(number: u64) -> Timestamp {
    static START: OnceLock<Timestamp> = OnceLock::new();
    let start = START.get_or_init(|| SystemClock.now().plus_seconds(-600));
    let late = if number.is_multiple_of(2) { 0 } else { 129_600 };
    start.plus_seconds(i64::try_from(number % 300).unwrap() - late)
}

fn event(number: u64) -> String {
    format!(
        r#"{{"event_id":"event-{number}","occurred_at":"{}","operation_id":"op-{number}","corpus":"handbook","query":{{"fingerprint":"q{}"}},"results":[{{"doc_id":"d{number}","score":0.5}}]}}"#,
        time(number),
        number % 97
    )
}

fn output(number: u64) -> String {
    format!(
        r#"{{"event_id":"output-{number}","occurred_at":"{}","operation_id":"op-{number}","model":"m","output":{{"tokens":1}}}}"#,
        time(number)
    )
}

fn lines(numbers: &[u64], line: fn(u64) -> String) -> Vec<u8> {
    numbers.iter().map(|number| line(*number) + "\n").collect::<String>().into_bytes()
}

/// Sends as a client does that has much to send: when it is told to come later, it does.
fn send_until_taken(server: &Server, path: &str, body: &[u8]) {
    for _ in 0..300 {
        let answer = server.post(path, body).unwrap();
        if answer.status == 202 {
            return;
        }
        assert!([429, 503].contains(&answer.status), "{}", answer.body);
        std::thread::sleep(Duration::from_secs(answer.retry_after_s.unwrap()));
    }
    panic!("{path} was refused 300 times");
}

/// How often each operation is in a table, as the binary reads it.
fn stored(data: &str, kind: &str) -> BTreeMap<String, usize> {
    let exported = run(&["--data", data, "export", "--kind", kind], b"");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let mut counts = BTreeMap::new();
    for line in exported.stdout.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        *counts.entry(event["operation_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// Rows of a table in its files, without the deduplication of reads.
fn rows_in_files(data: &str, table: &str) -> u64 {
    let log = std::path::Path::new(data).join(table).join("_delta_log");
    let commits = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    let mut commits: Vec<_> =
        commits.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    commits.sort();
    let mut files = BTreeMap::new();
    for line in commits.iter().flat_map(|path| lines_of(path)) {
        let action: Value = serde_json::from_str(&line).unwrap();
        if let (Some(path), Some(stats)) = (action["add"]["path"].as_str(), action["add"]["stats"].as_str()) {
            let rows = serde_json::from_str::<Value>(stats).unwrap()["numRecords"].as_u64().unwrap();
            files.insert(path.to_owned(), rows);
        }
        // Merging replaces files.
        if let Some(path) = action["remove"]["path"].as_str() {
            files.remove(path);
        }
    }
    files.values().sum()
}

fn lines_of(path: &std::path::Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// INV-01: an acknowledged event survives `kill -9`. INV-02: an event is stored exactly once however often it is sent.
#[test]
fn killed_again_and_again_the_server_loses_nothing_acknowledged_and_stores_nothing_twice() {
    let cycles = if is_long() { 500 } else { 6 };
    let seed = 7;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let store = TemporaryStore::new();
    let data = store.data();
    let next = AtomicU64::new(0);
    let acknowledged = Mutex::new(BTreeSet::new());
    let mut recoveries = Vec::new();
    for cycle in 1..=cycles {
        let started = Instant::now();
        let mut server = Server::start(store.path());
        recoveries.push(started.elapsed());
        let killed = AtomicBool::new(false);
        let url = (server.url("/v1/retrievals"), server.url("/v1/outputs"));
        // Now and then a life is long enough for the store to be looked after.
        let lives = if cycle % 25 == 0 { 6_000..12_000 } else { 50..1_000 };
        let life = Duration::from_millis(random.random_range(lives));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !killed.load(Ordering::SeqCst) {
                        let first = next.fetch_add(20, Ordering::SeqCst);
                        let batch: Vec<u64> = (first..first + 20).collect();
                        let retrievals = tidemark_tests::post(&url.0, &lines(&batch, event));
                        let outputs = tidemark_tests::post(&url.1, &lines(&batch, output));
                        let durable = |answer: Option<tidemark_tests::Answer>| answer.is_some_and(|a| a.status == 202);
                        if durable(retrievals) && durable(outputs) {
                            acknowledged.lock().unwrap().extend(batch);
                        }
                        std::thread::sleep(Duration::from_millis(20));
                    }
                });
            }
            std::thread::sleep(life);
            server.kill();
            killed.store(true, Ordering::SeqCst);
        });
    }
    let sent: Vec<u64> = (0..next.load(Ordering::SeqCst)).collect();
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() >= 100, "only {} events were acknowledged (seed {seed})", acknowledged.len());

    // What was acknowledged is there before anything is sent again.
    let server = Server::start(store.path());
    server.drain();
    server.stop();
    for kind in ["retrievals", "outputs"] {
        let found = stored(&data, kind);
        let lost = acknowledged.iter().filter(|number| !found.contains_key(&format!("op-{number}"))).count();
        assert_eq!(lost, 0, "{lost} acknowledged {kind} were lost (seed {seed})");
    }

    // The sender does not know what arrived, so it sends everything again, twice.
    for _ in 0..2 {
        let server = Server::start(store.path());
        for batch in sent.chunks(500) {
            send_until_taken(&server, "/v1/retrievals", &lines(batch, event));
            send_until_taken(&server, "/v1/outputs", &lines(batch, output));
        }
        // On its way out a server takes 15 seconds for what it has; this is more, and what is not told stays in the log.
        server.drain();
        server.stop();
    }
    for kind in ["retrievals", "outputs"] {
        let found = stored(&data, kind);
        assert_eq!(found.len(), sent.len(), "{kind} (seed {seed})");
        let repeated: Vec<_> = found.iter().filter(|(_, count)| **count != 1).collect();
        assert!(repeated.is_empty(), "{kind} stored more than once: {repeated:?} (seed {seed})");
        assert_eq!(rows_in_files(&data, kind), sent.len() as u64, "{kind} in the files themselves (seed {seed})");
    }
    let verified = run(&["--data", &data, "verify"], b"");
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
    let slowest = recoveries.iter().max().unwrap();
    let figures = format!(
        "{cycles} kills, {} events acknowledged, {} sent, 0 lost, 0 doubled; slowest start {} ms",
        acknowledged.len(),
        sent.len(),
        slowest.as_millis()
    );
    // The figures of a long campaign are its result.
    std::io::Write::write_all(&mut std::io::stdout(), format!("{figures}\n").as_bytes()).unwrap();
}
