//! The collector with a sink that can be told to fail, in one process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemark_schema::{EventId, FingerprintKey, Ingest, ManualClock, Timestamp};

use crate::decode::{Context, Event, Kind, Limits, TextPolicy, decode};
use crate::{Batch, Collector, Error, EventSink, Refusal, Settings, SinkError, Verdict};

/// A table in memory: what it holds, and how far each kind of it was committed.
#[derive(Default)]
struct Memory {
    rows: Mutex<Vec<(Timestamp, EventId, Ingest)>>,
    committed: Mutex<[Option<u64>; 2]>,
    failing: AtomicBool,
    outputs_failing: AtomicBool,
}

impl Memory {
    fn ids(&self) -> Vec<EventId> {
        let mut ids: Vec<_> = self.rows.lock().unwrap().iter().map(|(_, id, _)| *id).collect();
        ids.sort();
        ids
    }
}

impl EventSink for Memory {
    async fn append(&self, batch: Batch, _: &str, next: u64) -> Result<(), SinkError> {
        if self.failing.load(Ordering::SeqCst) {
            return Err("the store does not answer".into());
        }
        let store = |rows: Vec<(Timestamp, EventId, Ingest)>, kind: usize| {
            if rows.is_empty() {
                return;
            }
            let mut stored = self.rows.lock().unwrap();
            for row in rows {
                if row.2 == Ingest::Live || !stored.iter().any(|(_, id, _)| *id == row.1) {
                    stored.push(row);
                }
            }
            self.committed.lock().unwrap()[kind] = Some(next);
        };
        store(batch.retrievals.iter().map(|row| (row.received_at, row.event.event_id, row.ingest)).collect(), 0);
        if self.outputs_failing.load(Ordering::SeqCst) {
            return Err("the store stopped answering half way".into());
        }
        store(batch.outputs.iter().map(|row| (row.received_at, row.event.event_id, row.ingest)).collect(), 1);
        Ok(())
    }

    async fn committed(&self, kind: Kind, _: &str) -> Result<Option<u64>, SinkError> {
        Ok(self.committed.lock().unwrap()[usize::from(kind == Kind::Output)])
    }

    async fn received_since(&self, since: Timestamp, limit: usize) -> Result<Vec<(Timestamp, EventId)>, SinkError> {
        let rows = self.rows.lock().unwrap();
        let mut received: Vec<_> =
            rows.iter().map(|(time, id, _)| (*time, *id)).filter(|(time, _)| *time >= since).collect();
        received.sort_unstable_by(|a, b| b.cmp(a));
        received.truncate(limit);
        Ok(received)
    }
}

fn now() -> Timestamp {
    "2024-05-01T12:00:00Z".parse().unwrap()
}

fn event(number: u32, kind: Kind, occurred_at: &str) -> Event {
    let json = match kind {
        Kind::Retrieval => format!(
            r#"{{"event_id":"r{number}","occurred_at":"{occurred_at}","corpus":"c","query":{{"fingerprint":"q"}},"results":[]}}"#
        ),
        Kind::Output => {
            format!(r#"{{"event_id":"o{number}","occurred_at":"{occurred_at}","operation_id":"op{number}"}}"#)
        }
    };
    let keys = FingerprintKey::new([1; 32]).into();
    let context = Context { now: None, keys: &keys, text: TextPolicy::None, limits: Limits::default() };
    decode(json.as_bytes(), kind, &context).unwrap()
}

pub(crate) fn live(number: u32) -> Event {
    event(number, Kind::Retrieval, "2024-05-01T11:59:00Z")
}

fn settings(directory: &std::path::Path) -> Settings {
    // Flushes happen when a test asks for them.
    Settings { flush_interval: Duration::from_hours(1), ..Settings::in_directory(directory.to_owned()) }
}

async fn start(settings: &Settings, sink: &Arc<Memory>) -> Collector {
    Collector::start(settings.clone(), sink.clone(), Arc::new(ManualClock::at(now()))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_answered_once_as_new_and_then_as_known() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let collector = start(&settings(directory.path()), &sink).await;
    assert_eq!(
        collector.submit(vec![live(1), live(2), live(1)]).await.unwrap(),
        [Verdict::Accepted, Verdict::Accepted, Verdict::Duplicate]
    );
    assert_eq!(collector.submit(vec![live(2)]).await.unwrap(), [Verdict::Duplicate]);
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_fails_is_tried_again_and_stores_each_event_once() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let collector = start(&settings(directory.path()), &sink).await;
    collector.submit(vec![live(1), event(1, Kind::Output, "2024-05-01T11:59:00Z")]).await.unwrap();
    sink.outputs_failing.store(true, Ordering::SeqCst);
    assert!(matches!(collector.flush().await, Err(Error::Flush(_))));
    assert!(!collector.health().flushing);
    collector.submit(vec![live(2)]).await.unwrap();
    sink.outputs_failing.store(false, Ordering::SeqCst);
    collector.flush().await.unwrap();
    let health = collector.health();
    assert_eq!((health.flushed, health.pending, health.flush_failures, health.flushing), (3, 0, 1, true));
    assert_eq!(sink.ids().len(), 3);
    collector.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sink_did_not_take_is_recovered_from_the_log_table_by_table() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let collector = start(&settings(directory.path()), &sink).await;
    collector.submit(vec![live(1), event(1, Kind::Output, "2024-05-01T11:59:00Z")]).await.unwrap();
    sink.outputs_failing.store(true, Ordering::SeqCst);
    assert!(collector.shutdown().await.is_err());
    assert_eq!(sink.ids().len(), 1, "the table of retrievals took its part");

    sink.outputs_failing.store(false, Ordering::SeqCst);
    let collector = start(&settings(directory.path()), &sink).await;
    assert_eq!(collector.health().recovered, 1, "only the output was missing");
    assert_eq!(sink.ids().len(), 2);
    assert_eq!(collector.submit(vec![live(1)]).await.unwrap(), [Verdict::Duplicate], "a restart does not forget");
    collector.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_never_reuses_positions_that_the_table_knows() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let collector = start(&settings(directory.path()), &sink).await;
    collector.submit(vec![live(1), live(2)]).await.unwrap();
    collector.shutdown().await.unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wal") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let collector = start(&settings(directory.path()), &sink).await;
    collector.submit(vec![live(3)]).await.unwrap();
    sink.failing.store(true, Ordering::SeqCst);
    assert!(collector.shutdown().await.is_err());
    sink.failing.store(false, Ordering::SeqCst);
    let collector = start(&settings(directory.path()), &sink).await;
    assert_eq!(collector.health().recovered, 1);
    assert_eq!(sink.ids().len(), 3);
    collector.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_bound_the_collector_refuses_and_takes_again_after_a_flush() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let collector = start(&Settings { pending_events: 3, ..settings(directory.path()) }, &sink).await;
    collector.submit(vec![live(1), live(2)]).await.unwrap();
    let refused = collector.submit(vec![live(3), live(4)]).await;
    assert!(matches!(refused, Err(Error::Refused { refusal: Refusal::PendingEvents, .. })), "{refused:?}");
    collector.flush().await.unwrap();
    assert_eq!(collector.submit(vec![live(3), live(4)]).await.unwrap(), [Verdict::Accepted; 2]);
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_older_than_the_window_is_late_and_a_younger_one_live() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let collector = start(&settings(directory.path()), &sink).await;
    collector.submit(vec![live(1), event(2, Kind::Retrieval, "2024-04-29T00:00:00Z")]).await.unwrap();
    collector.shutdown().await.unwrap();
    let mut ways: Vec<String> = sink.rows.lock().unwrap().iter().map(|(_, _, ingest)| ingest.to_string()).collect();
    ways.sort();
    assert_eq!(ways, ["late", "live"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn submissions_that_gather_share_an_fsync_and_each_gets_its_own_answer() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let collector = Arc::new(start(&settings(directory.path()), &sink).await);
    let submissions = (0..100).map(|number| {
        let collector = collector.clone();
        tokio::spawn(async move { collector.submit(vec![live(number), live(number + 1)]).await.unwrap().len() })
    });
    for submission in submissions.collect::<Vec<_>>() {
        assert_eq!(submission.await.unwrap(), 2);
    }
    let health = collector.health();
    assert_eq!((health.accepted, health.duplicates), (101, 99));
}
