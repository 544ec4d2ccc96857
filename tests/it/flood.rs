//! Far more is sent than can be stored: memory stays bounded, people are answered, and every batch is told what became of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidemark_schema::{Clock, SystemClock};
use tidemark_tests::{Server, TemporaryStore, is_long, run};

/// Events of one batch.
const BATCH: u64 = 500;
const SENDERS: u64 = 24;
/// The limits of the mission.
const MEMORY_MB: u64 = 512;
const P99_MS: u128 = 200;

fn batch(first: u64, now: &str) -> Vec<u8> {
    let lines = (first..first + BATCH).map(|number| {
        format!(
            r#"{{"event_id":"e{number}","occurred_at":"{now}","trace_id":"trace-{number}","corpus":"handbook","query":{{"fingerprint":"q{}"}},"results":[{{"doc_id":"d{}","score":0.5}},{{"doc_id":"e{}","score":0.4}}]}}"#,
            number % 997,
            number % 89,
            number % 83
        ) + "\n"
    });
    lines.collect::<String>().into_bytes()
}

#[derive(Default)]
struct Tally {
    sent: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    /// Batches without an answer, and refusals that do not say when to come again.
    untold: AtomicU64,
}

impl Tally {
    /// Whether the batch was taken.
    fn send(&self, agent: &ureq::Agent, url: &str, body: &[u8]) -> bool {
        self.sent.fetch_add(BATCH, Ordering::Relaxed);
        let mut taken = false;
        match tidemark_tests::post_over(agent, url, body) {
            Some(answer) if answer.status == 202 => {
                taken = true;
                let json = answer.json();
                let count = |name: &str| json[name].as_u64().unwrap();
                self.accepted.fetch_add(count("accepted"), Ordering::Relaxed);
                self.refused.fetch_add(count("rejected"), Ordering::Relaxed);
            }
            Some(answer) if [429, 503].contains(&answer.status) && answer.retry_after_s.is_some() => {
                self.refused.fetch_add(BATCH, Ordering::Relaxed);
            }
            other => {
                self.untold.fetch_add(1, Ordering::Relaxed);
                eprintln!("untold: {other:?}");
            }
        }
        taken
    }
}

fn p99(mut times: Vec<Duration>) -> u128 {
    times.sort();
    times[(times.len() * 99).div_ceil(100) - 1].as_millis()
}

/// Those who flood a server do so from other machines: here they get what the server leaves of the processor. At the same
/// priority 24 threads would take most of it, and the latencies would be those of waiting for a turn.
fn be_elsewhere() {
    thread_priority::set_current_thread_priority(thread_priority::ThreadPriority::Min).unwrap();
}

/// INV-04: nothing grows without a bound.
#[test]
fn a_flood_is_refused_in_words_while_memory_stays_bounded_and_questions_are_answered() {
    let seconds = if is_long() { 60 } else { 6 };
    let store = TemporaryStore::new();
    let server = Server::start_with(store.path(), &["--maintain-seconds", "5"], &store.beside("server.log"));
    let url = server.url("/v1/retrievals");
    let now = SystemClock.now().plus_seconds(-60).to_string();
    let next = AtomicU64::new(0);
    let first = || next.fetch_add(BATCH, Ordering::Relaxed);
    // What one sender gets stored that waits for each answer, and as long as it is told to when it is refused.
    let (calm, agent) = (Tally::default(), tidemark_tests::agent());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(if is_long() { 10 } else { 3 }) {
        let body = batch(first(), &now);
        while !calm.send(&agent, &url, &body) {
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    let capacity = calm.accepted.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    let found = || server.get("/v1/traces/trace-7").is_some_and(|answer| answer.status == 200);
    while !found() {
        std::thread::sleep(Duration::from_millis(100));
    }

    let (flood, over) = (Tally::default(), AtomicBool::new(false));
    let (mut ready, mut traces) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                be_elsewhere();
                let (agent, mut body) = (tidemark_tests::agent(), batch(first(), &now));
                while !over.load(Ordering::Relaxed) {
                    // A sender keeps what was refused, and this one does not wait as it is told to.
                    if flood.send(&agent, &url, &body) {
                        body = batch(first(), &now);
                    }
                }
            });
        }
        while begun.elapsed() < Duration::from_secs(seconds) {
            for (path, times) in [("/readyz", &mut ready), ("/v1/traces/trace-7", &mut traces)] {
                let asked = Instant::now();
                let answer = server.get(path).unwrap();
                times.push(asked.elapsed());
                assert!([200, 503].contains(&answer.status), "{path}: {}", answer.body);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        over.store(true, Ordering::Relaxed);
    });
    let took = begun.elapsed().as_secs_f64();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (sent, accepted, refused) = (count(&flood.sent), count(&flood.accepted), count(&flood.refused));
    let memory_mb = server.peak_memory_bytes().unwrap() / (1024 * 1024);
    let offered = sent as f64 / took;
    eprintln!(
        "{took:.0} s: {offered:.0} events/s offered, {:.1} times the {capacity:.0}/s of one sender, {:.1} times what was taken; {accepted} accepted, {refused} refused of {sent}; peak memory {memory_mb} MiB; p99 of /readyz {} ms, of a trace {} ms ({} questions each)",
        offered / capacity,
        sent as f64 / accepted.max(1) as f64,
        p99(ready.clone()),
        p99(traces.clone()),
        ready.len()
    );
    assert_eq!(count(&flood.untold) + count(&calm.untold), 0, "batches without an answer that says when to come again");
    assert_eq!(accepted + refused, sent);
    assert!(memory_mb < MEMORY_MB, "{memory_mb} MiB");
    if is_long() {
        assert!(offered >= 10.0 * capacity, "no flood: {offered:.0} events/s offered, {capacity:.0} of one sender");
        assert!(p99(ready) < P99_MS && p99(traces) < P99_MS);
    }
    server.stop();
    let data = store.data();
    let exported = run(&["--data", &data, "export"], b"");
    let stored = exported.stdout.lines().count() as u64;
    assert_eq!(stored, accepted + count(&calm.accepted), "what was accepted is stored, and nothing else");
}
