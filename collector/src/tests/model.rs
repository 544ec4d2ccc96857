//! Random lives against a model: INV-01 and INV-02, what was acknowledged is in the table once, whatever happened.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tidemark_schema::{ManualClock, Timestamp};
use tidemark_wal::Options;

use super::support::{Disk, Step, Table, Trouble, event, now, settings, until_mode};
use crate::decode::{Event, Kind};
use crate::{Acknowledgement, Collector, Error, FreeBytes, Mode, Settings};

#[derive(Debug, Clone)]
enum Action {
    /// Sends events with these numbers; a number that was sent before is a resend.
    Submit(Vec<u32>),
    Flush,
    Forget,
    Table(Trouble),
    Disk(Step, ErrorKind),
    Free(u64),
    Heal,
    /// The process dies and comes back.
    Crash,
    /// It is stopped and started.
    Restart,
    Hours(i64),
    Wait,
}

fn action() -> impl Strategy<Value = Action> {
    let trouble = prop_oneof![
        Just(Trouble::None),
        Just(Trouble::Fails),
        Just(Trouble::FailsHalfWay),
        Just(Trouble::TakesAndFails),
        Just(Trouble::Hangs),
    ];
    let step = prop_oneof![
        Just(Step::Open),
        Just(Step::Create),
        Just(Step::Append),
        Just(Step::SetLen),
        Just(Step::Sync),
        Just(Step::SyncFolder),
        Just(Step::Remove),
    ];
    let kind = prop_oneof![Just(ErrorKind::StorageFull), Just(ErrorKind::Other)];
    prop_oneof![
        12 => vec(0_u32..60, 1..6).prop_map(Action::Submit),
        4 => Just(Action::Flush),
        1 => Just(Action::Forget),
        3 => trouble.prop_map(Action::Table),
        3 => (step, kind).prop_map(|(step, kind)| Action::Disk(step, kind)),
        1 => prop_oneof![Just(0_u64), Just(u64::MAX)].prop_map(Action::Free),
        3 => Just(Action::Heal),
        2 => Just(Action::Crash),
        1 => Just(Action::Restart),
        1 => (1_i64..40).prop_map(Action::Hours),
        1 => Just(Action::Wait),
    ]
}

struct World {
    settings: Settings,
    sink: Arc<Table>,
    disk: Disk,
    free: Arc<AtomicU64>,
    clock: Arc<ManualClock>,
    now: Timestamp,
    collector: Option<Collector>,
    /// When each number was said to have happened: a resend says the same.
    sent: BTreeMap<u32, Timestamp>,
    acknowledged: BTreeSet<u32>,
}

impl World {
    fn new(directory: &Path, segment_bytes: u64) -> Self {
        let free = Arc::new(AtomicU64::new(u64::MAX));
        let asked = free.clone();
        let settings = Settings {
            log: Options { segment_bytes, ..Options::default() },
            recent_ids: 12,
            flush_events: 5,
            pending_events: 20,
            flush_timeout: Duration::from_millis(10),
            stop_timeout: Duration::from_millis(50),
            start_wait: Duration::from_millis(100),
            release_after: Duration::ZERO,
            free_bytes: FreeBytes::new(move || Some(asked.load(Ordering::SeqCst))),
            ..settings(directory)
        };
        Self {
            settings,
            sink: Arc::new(Table::default()),
            disk: Disk::default(),
            free,
            clock: Arc::new(ManualClock::at(now())),
            now: now(),
            collector: None,
            sent: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
        }
    }

    async fn start(&mut self) {
        loop {
            let (disk, directory) = (self.disk.clone(), self.settings.directory.clone());
            let open = move || disk.open(&directory);
            match Collector::start_on(self.settings.clone(), self.sink.clone(), self.clock.clone(), open).await {
                Ok(collector) => return self.collector = Some(collector),
                // A log that cannot be opened is an error; whoever runs it mends the disk.
                Err(Error::OpenLog { .. }) => self.disk.heal(),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    fn heal(&self) {
        self.disk.heal();
        self.free.store(u64::MAX, Ordering::SeqCst);
        self.sink.set(Trouble::None);
    }

    fn event(&mut self, number: u32) -> Event {
        // A few are old when they come in first.
        let age = if number.is_multiple_of(7) { 3 * 24 * 3_600 } else { 60 };
        let happened = *self.sent.entry(number).or_insert_with(|| self.now.plus_seconds(-age));
        let kind = if number.is_multiple_of(3) { Kind::Output } else { Kind::Retrieval };
        event(number, kind, &happened.to_string())
    }

    async fn submit(&mut self, numbers: Vec<u32>) {
        let known: BTreeSet<u32> = self.sent.keys().copied().collect();
        let events: Vec<Event> = numbers.iter().map(|number| self.event(*number)).collect();
        let collector = self.collector.as_ref().unwrap();
        match collector.submit(events).await {
            Ok(receipt) => {
                assert_eq!(receipt.len(), numbers.len());
                let mut before = known;
                for (number, acknowledgement) in numbers.into_iter().zip(receipt) {
                    assert!(
                        acknowledgement == Acknowledgement::Accepted || before.contains(&number),
                        "{number} was never sent before"
                    );
                    before.insert(number);
                    self.acknowledged.insert(number);
                }
            }
            Err(Error::Append { .. } | Error::Refused { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Submit(numbers) => self.submit(numbers).await,
            Action::Flush => drop(self.collector.as_ref().unwrap().flush().await),
            Action::Forget => drop(self.collector.as_ref().unwrap().forget_flushed().await),
            Action::Table(trouble) => self.sink.set(trouble),
            Action::Disk(step, kind) => self.disk.fail(step, kind),
            Action::Free(bytes) => self.free.store(bytes, Ordering::SeqCst),
            Action::Heal => {
                self.heal();
                until_mode_that_takes(self.collector.as_ref().unwrap()).await;
            }
            Action::Crash => {
                self.collector.take().unwrap().crash().await;
                self.start().await;
            }
            Action::Restart => {
                drop(self.collector.take().unwrap().shutdown().await);
                self.start().await;
            }
            Action::Hours(hours) => {
                self.now = self.now.plus_seconds(hours * 3_600);
                self.clock.set(self.now);
            }
            Action::Wait => tokio::time::sleep(Duration::from_millis(30)).await,
        }
    }

    /// Everything works again: the events must be in the table, each once, after one more crash.
    async fn end(mut self) {
        self.heal();
        let collector = self.collector.take().unwrap();
        until_mode_that_takes(&collector).await;
        collector.crash().await;
        self.start().await;
        let collector = self.collector.take().unwrap();
        until_mode(&collector, Mode::Normal).await;
        // The times of this bench are short, and the machine may be busy: what counts is that it works in the end.
        let mut flushed = collector.flush().await;
        for _ in 0..200 {
            if flushed.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            flushed = collector.flush().await;
        }
        flushed.unwrap();
        drop(collector.shutdown().await);
        let stored = self.sink.ids();
        let mut once = stored.clone();
        once.dedup();
        assert_eq!(stored, once, "something is stored twice");
        for number in self.acknowledged.clone() {
            let id = self.event(number).event_id();
            assert!(stored.binary_search(&id).is_ok(), "{number} was acknowledged and is not in the table");
        }
        let sent: Vec<u32> = self.sent.keys().copied().collect();
        let sent: BTreeSet<_> = sent.into_iter().map(|number| self.event(number).event_id()).collect();
        assert!(stored.iter().all(|id| sent.contains(id)));
    }
}

async fn until_mode_that_takes(collector: &Collector) {
    super::support::until(collector, |health| health.mode.takes_events()).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_acknowledged_event_is_stored_once_whatever_happens(
        actions in vec(action(), 1..40),
        segment_bytes in prop_oneof![Just(600_u64), Just(3_000), Just(1 << 20)],
    ) {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(directory.path(), segment_bytes);
            world.start().await;
            for action in actions {
                world.act(action).await;
            }
            world.end().await;
        });
    }
}
