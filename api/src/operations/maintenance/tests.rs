use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidemark_collector::Settings;
use tidemark_collector::decode::{Context, Event, Kind, Limits, decode};
use tidemark_collector::policy::Policy;
use tidemark_lake::{CorpusRetention, Location, Retention, Table};
use tidemark_schema::{Clock, FingerprintKeys, ManualClock, SystemClock, TenantName, Timestamp};

use super::{Caller, Operations, Rules, maintain};
use crate::store::LocalDirectories;

const HOUR_S: i64 = 3_600;
/// What the store may take, its logs, evidence and removed files included: about two days of the events below.
const BUDGET_BYTES: u64 = 3 * 1024 * 1024;
const LOG_BUDGET_BYTES: u64 = 1024 * 1024;
const LOG_SEGMENT_BYTES: u64 = 256 * 1024;

fn bytes_under(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { bytes_under(&path) } else { path.metadata().map_or(0, |file| file.len()) })
        .sum()
}

fn event(number: u64, at: Timestamp, keys: &FingerprintKeys) -> Event {
    let corpus = if number.is_multiple_of(3) { "wiki" } else { "handbook" };
    let results: Vec<String> = (0..10)
        .map(|rank| {
            // Ids and scores that compress about as badly as real ones.
            let hash = (number * 31 + rank).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            format!(
                r#"{{"doc_id":"doc/{:05}","score":0.{:09},"content_hash":"b3:{hash:016x}"}}"#,
                hash % 20_000,
                hash % 1_000_000_000
            )
        })
        .collect();
    let json = format!(
        r#"{{"event_id":"e{number}","occurred_at":"{at}","corpus":"{corpus}","query":{{"fingerprint":"q{}"}},"results":[{}]}}"#,
        number % 499,
        results.join(",")
    );
    let context = Context { now: None, keys, policy: &Policy::default(), limits: Limits::default() };
    decode(json.as_bytes(), Kind::Retrieval, &context).unwrap()
}

/// INV-04: nothing grows without a bound. A week passes in steps of an hour (in a short run, of six).
#[tokio::test(flavor = "multi_thread")]
async fn over_a_week_tables_and_log_stay_within_their_budget_and_the_newest_days_are_there() {
    let step_hours: i64 = if std::env::var_os("TIDEMARK_LONG").is_some() { 1 } else { 6 };
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    let location = Location::parse(&data.to_string_lossy(), std::iter::empty()).unwrap();
    // The clock begins now and runs ahead: files get their times from the system.
    let begin = SystemClock.now();
    let clock = Arc::new(ManualClock::at(begin));
    let operations = Operations::on(location, LocalDirectories::default(), clock.clone()).unwrap();
    let operator = Caller::operator("test", TenantName::default());
    let log_directory = operations.stores().log_directory();
    let keys = operations.stores().keys().load_or_create().await.unwrap();
    let store = operations.stores().create(&operator.tenant).await.unwrap();
    let mut settings =
        Settings { flush_interval: Duration::from_hours(1), ..Settings::in_directory(log_directory.clone()) };
    settings.log.budget_bytes = LOG_BUDGET_BYTES;
    settings.log.segment_bytes = LOG_SEGMENT_BYTES;
    settings.log.record_bytes_max = 64 * 1024;
    let collector = operations.start_collector(settings).await.unwrap();
    let corpora = [("wiki".parse().unwrap(), CorpusRetention { days: Some(2), bytes: None })].into();
    let rules =
        Rules { retention: Retention { days: Some(5), corpora, bytes: Some(BUDGET_BYTES) }, removed_files_s: HOUR_S };
    let (mut sent, mut largest, mut largest_log, mut dropped) = (0, 0, 0, 0);
    for step in 0..7 * 24 / step_hours {
        let now = begin.plus_seconds(step * step_hours * HOUR_S);
        clock.set(now);
        let events: Vec<Event> = (0..100 * step_hours.unsigned_abs())
            .map(|offset| event(sent + offset, now.plus_seconds(-(i64::try_from(offset).unwrap() % HOUR_S)), &keys))
            .collect();
        sent += events.len() as u64;
        for batch in events.chunks(200) {
            collector.submit(batch.to_vec()).await.unwrap();
            largest_log = largest_log.max(bytes_under(&log_directory));
        }
        collector.flush().await.unwrap();
        let summary = maintain(&store, &rules, &|_, _| {}, now, &|| true).await;
        assert_eq!(summary.failures, Vec::<String>::new());
        dropped += summary.dropped_rows;
        let tables: u64 = ["retrievals", "outputs", "evidence", "corpora"]
            .iter()
            .map(|folder| data.join(folder))
            .filter(|folder| folder.is_dir())
            .map(|folder| bytes_under(&folder))
            .sum();
        largest = largest.max(tables);
        assert!(tables <= BUDGET_BYTES, "after {step} steps the tables take {tables} bytes: {summary:?}");
        assert!(bytes_under(&log_directory) <= LOG_BUDGET_BYTES + LOG_SEGMENT_BYTES);
    }
    assert!(dropped > 0, "the budget was never met, so nothing was shown");
    let newest = store.lake.files(Table::Retrievals).await.unwrap();
    let today = clock.now().days();
    assert!(newest.iter().any(|file| file.partition.day == today), "today is there");
    assert!(newest.iter().all(|file| file.partition.day >= today - 5));
    let wiki = |file: &&tidemark_lake::DataFile| {
        file.partition.corpus.as_ref().is_some_and(|corpus| corpus.as_str() == "wiki")
    };
    assert!(newest.iter().filter(wiki).all(|file| file.partition.day >= today - 2));
    let verified = operations.verify(&operator, None, |_| {}).await.unwrap();
    assert!(verified.intact, "{verified:?}");
    collector.shutdown().await.unwrap();
    let figures = format!(
        "{sent} events in a week, {dropped} dropped; at most {largest} of {BUDGET_BYTES} bytes in the tables, {largest_log} of {LOG_BUDGET_BYTES} in the log\n"
    );
    std::io::Write::write_all(&mut std::io::stdout(), figures.as_bytes()).unwrap();
}
