//! A comparison stays within its memory, however many events the windows hold.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tidemark_lake::{Lake, Location};
use tidemark_schema::{EventId, Finite, Ingest, Query, RetrievalEvent, RetrievedDocument, Stored, Timestamp};

use tidemark_tests::binary;

/// The mission's limit for a comparison of two windows of a million events.
const LIMIT_MB: u64 = 512;
const DOCUMENTS: u64 = 200_000;
const RESULTS: u64 = 10;

/// Windows of so many events over so many queries. The worst case is asked for: no two answers to a query are equal, so
/// nothing can be kept once for several.
struct Size {
    events: u64,
    queries: u64,
}

fn size() -> Size {
    if std::env::var_os("TIDEMARK_LONG").is_some() {
        Size { events: 1_000_000, queries: 100_000 }
    } else {
        Size { events: 20_000, queries: 2_000 }
    }
}

fn template() -> RetrievalEvent {
    let time = Timestamp::from_date("2026-10-01").unwrap();
    RetrievalEvent {
        event_id: EventId::from_bytes([0; 16]),
        occurred_at: time,
        operation_id: "op".parse().unwrap(),
        attempt: 1,
        trace_id: None,
        span_id: None,
        principal: Some("svc:load".parse().unwrap()),
        service: Some("load".parse().unwrap()),
        environment: Some("test".parse().unwrap()),
        segment: std::collections::BTreeMap::new(),
        corpus: "large".parse().unwrap(),
        corpus_version: Some("v1".parse().unwrap()),
        retriever: tidemark_schema::Retriever::default(),
        query: Query {
            fingerprint: "q".parse().unwrap(),
            previous_fingerprint: None,
            text: None,
            simhash: None,
            embedding: None,
        },
        requested: tidemark_schema::Requested::default(),
        results: Vec::new(),
        results_total: None,
        model: None,
        prompt_version: None,
        policy_version: None,
        latency_ms: None,
        cost_usd: None,
        attributes: std::collections::BTreeMap::new(),
        marks: std::collections::BTreeSet::new(),
    }
}

/// In the second window every third query is answered with other documents, so that everything has to be worked out.
fn event(
    template: &RetrievalEvent,
    number: u64,
    (begin, second): (Timestamp, bool),
    size: &Size,
    rng: &mut ChaCha8Rng,
) -> RetrievalEvent {
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    let query = number % size.queries;
    let locale = ["en", "en", "de", "fr"][usize::try_from(number / size.queries % 4).unwrap()];
    // Each answer misses some of the twelve documents that the query has, and its scores wobble.
    let missing = [rng.next_u64() % 12, rng.next_u64() % 12];
    let results = (0..12)
        .filter(|rank| !missing.contains(rank))
        .take(usize::try_from(RESULTS).unwrap())
        .map(|rank| {
            let moved = if second && query.is_multiple_of(3) { 3 } else { 0 };
            let document = (query * 7 + (rank + moved) * 1_009) % DOCUMENTS;
            RetrievedDocument {
                doc_id: format!("handbook/{document:06}.md#{}", document % 7).parse().unwrap(),
                score: Some(Finite::new(0.9 - 0.03 * rank as f64 + f64::from(rng.next_u32() % 1_000) * 1e-8).unwrap()),
                content_hash: Some(format!("b3:{document:016x}").parse().unwrap()),
                tokens: Some(u32::try_from(100 + document % 200).unwrap()),
                updated_at: None,
                scope: Some("public".parse().unwrap()),
            }
        })
        .collect();
    RetrievalEvent {
        event_id: EventId::from_bytes(id),
        occurred_at: begin.plus_seconds(i64::try_from(number * 6 * 86_400 / size.events).unwrap()),
        operation_id: format!("operation-{:016x}", rng.next_u64()).parse().unwrap(),
        trace_id: Some(format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()).parse().unwrap()),
        segment: [("locale".parse().unwrap(), locale.parse().unwrap())].into(),
        query: Query { fingerprint: format!("fp-{query:032x}").parse().unwrap(), ..template.query.clone() },
        results,
        ..template.clone()
    }
}

async fn fill(store: &Path, size: &Size) {
    let location = Location::parse(store.to_str().unwrap(), std::env::vars()).unwrap();
    let lake = Lake::create(location).await.unwrap();
    let (template, mut rng) = (template(), ChaCha8Rng::seed_from_u64(1));
    for (day, second) in [("2026-10-01", false), ("2026-10-08", true)] {
        let begin = Timestamp::from_date(day).unwrap();
        let mut number = 0;
        while number < size.events {
            let end = size.events.min(number + 50_000);
            let rows: Vec<Stored<RetrievalEvent>> = (number..end)
                .map(|number| {
                    let event = event(&template, number, (begin, second), size, &mut rng);
                    Stored { received_at: event.occurred_at, ingest: Ingest::Live, event }
                })
                .collect();
            lake.append_retrievals(rows, None).await.unwrap();
            number = end;
        }
    }
}

/// INV-04: a comparison grows with what it keeps of the queries, and that is bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_stays_within_its_memory() {
    let (store, size) = (tempfile::tempdir().unwrap(), size());
    fill(store.path(), &size).await;
    let started = Instant::now();
    let mut comparing = Command::new(binary())
        .arg("--data")
        .arg(store.path())
        .args(["compare", "--corpus", "large", "--reference", "2026-10-01..2026-10-08"])
        .args(["--current", "2026-10-08..2026-10-15", "--format", "json"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", comparing.id());
    let mut peak_kb = 0;
    let ended = loop {
        // The high-water mark of the resident set only rises, so the last look is the one that counts.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak_kb = peak_kb.max(kb.unwrap_or(0));
        if let Some(ended) = comparing.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    eprintln!(
        "2 x {} events, {} queries: {} MB, {:.1} s",
        size.events,
        size.queries,
        peak_kb / 1_024,
        started.elapsed().as_secs_f64()
    );
    assert!(matches!(ended.code(), Some(0 | 3 | 4)), "{ended:?}");
    assert!(peak_kb > 0 && peak_kb / 1_024 < LIMIT_MB, "{} MB", peak_kb / 1_024);
}
