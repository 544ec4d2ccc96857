//! The disk fills, breaks and comes back; the tables do not answer, hang and come back. Nothing that was acknowledged is
//! lost or stored twice, every refusal says why, and events are taken again without anybody doing anything.

use std::fs::File;
use std::io::{Error as IoError, ErrorKind as IoKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemark_schema::{ErrorKind, ManualClock};
use tidemark_wal::{FileStorage, Storage, Wal};

use super::{Memory, live, now, settings};
use crate::{Collector, Error, Mode, Settings, Verdict};

/// Which operation of the disk fails, and how.
#[derive(Default)]
struct Faults {
    full: AtomicBool,
    sync_fails: AtomicBool,
    undo_fails: AtomicBool,
    create_fails: AtomicBool,
    open_fails: AtomicBool,
    remove_fails: AtomicBool,
}

impl Faults {
    fn check(fault: &AtomicBool, kind: IoKind) -> IoResult<()> {
        if fault.load(Ordering::SeqCst) { Err(IoError::from(kind)) } else { Ok(()) }
    }
}

struct Faulty {
    inner: FileStorage,
    faults: Arc<Faults>,
}

impl Storage for Faulty {
    type File = File;

    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }

    fn list(&self) -> IoResult<Vec<String>> {
        self.inner.list()
    }

    fn open(&self, name: &str) -> IoResult<File> {
        self.inner.open(name)
    }

    fn bytes(&self, name: &str) -> IoResult<u64> {
        self.inner.bytes(name)
    }

    fn create(&mut self, name: &str) -> IoResult<()> {
        Faults::check(&self.faults.create_fails, IoKind::StorageFull)?;
        self.inner.create(name)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> IoResult<()> {
        if let Err(error) = Faults::check(&self.faults.full, IoKind::StorageFull) {
            // A disk that fills takes a part.
            self.inner.append(name, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.inner.append(name, bytes)
    }

    fn set_len(&mut self, name: &str, bytes: u64) -> IoResult<()> {
        Faults::check(&self.faults.undo_fails, IoKind::Other)?;
        self.inner.set_len(name, bytes)
    }

    fn sync(&mut self, name: &str) -> IoResult<()> {
        Faults::check(&self.faults.sync_fails, IoKind::Other)?;
        self.inner.sync(name)
    }

    fn sync_folder(&mut self) -> IoResult<()> {
        self.inner.sync_folder()
    }

    fn remove(&mut self, name: &str) -> IoResult<()> {
        Faults::check(&self.faults.remove_fails, IoKind::Other)?;
        self.inner.remove(name)
    }
}

/// A collector on a faulty disk, and everything that can be done to it.
struct Bench {
    directory: tempfile::TempDir,
    faults: Arc<Faults>,
    sink: Arc<Memory>,
    free: Arc<AtomicU64>,
    transitions: Arc<Mutex<Vec<(Mode, Mode)>>>,
    adjust: fn(Settings) -> Settings,
}

impl Bench {
    fn new() -> Self {
        Self::with(|settings| settings)
    }

    fn with(adjust: fn(Settings) -> Settings) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            faults: Arc::default(),
            sink: Arc::default(),
            free: Arc::new(AtomicU64::new(u64::MAX)),
            transitions: Arc::default(),
            adjust,
        }
    }

    async fn start(&self) -> Collector {
        let (free, transitions) = (self.free.clone(), self.transitions.clone());
        let settings = (self.adjust)(Settings {
            free_bytes: Arc::new(move |_: &Path| Some(free.load(Ordering::SeqCst))),
            reserve_bytes: 1_000,
            shutdown_patience: Duration::from_millis(500),
            on_transition: Some(Arc::new(move |transition| {
                transitions.lock().unwrap().push((transition.from, transition.to));
            })),
            ..settings(self.directory.path())
        });
        let (directory, options, faults) = (settings.directory.clone(), settings.log, self.faults.clone());
        let opener = Box::new(move || {
            if faults.open_fails.load(Ordering::SeqCst) {
                let source = IoError::from(IoKind::Other);
                return Err(tidemark_wal::Error::Listing { path: directory.clone(), source });
            }
            Wal::open(Faulty { inner: FileStorage::open(&directory)?, faults: faults.clone() }, options)
        });
        Collector::start_with(settings, opener, self.sink.clone(), Arc::new(ManualClock::at(now()))).await.unwrap()
    }

    fn modes(&self) -> Vec<(Mode, Mode)> {
        self.transitions.lock().unwrap().clone()
    }
}

async fn reaches(collector: &Collector, mode: Mode) {
    for _ in 0..500 {
        if collector.health().mode == mode {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the mode is still {:?}, not {mode}", collector.health());
}

async fn refused(collector: &Collector, number: u32) -> Error {
    let refused = collector.submit(vec![live(number)]).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Busy | ErrorKind::Unavailable), "{refused}");
    assert!(refused.retry_after_s().is_some_and(|seconds| seconds > 0), "{refused}");
    refused
}

/// Everything that was acknowledged is in the sink once; so is what was refused and sent again.
async fn all_there(bench: &Bench, collector: Collector, acknowledged: &[u32]) {
    collector.flush().await.unwrap();
    collector.shutdown().await.unwrap();
    let ids: Vec<_> = acknowledged.iter().map(|number| live(*number).event_id()).collect();
    let mut ids = ids;
    ids.sort();
    assert_eq!(bench.sink.ids(), ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_read_only_and_events_are_taken_again_when_there_is_room() {
    let bench = Bench::new();
    let collector = bench.start().await;
    collector.submit(vec![live(1)]).await.unwrap();
    bench.faults.full.store(true, Ordering::SeqCst);
    bench.free.store(10, Ordering::SeqCst);
    refused(&collector, 2).await;
    reaches(&collector, Mode::ReadOnly).await;
    assert!(refused(&collector, 2).await.to_string().contains("read_only"), "the refusal names the mode");
    collector.flush().await.unwrap();
    bench.faults.full.store(false, Ordering::SeqCst);
    bench.free.store(1_240, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(collector.health().mode, Mode::ReadOnly, "not before there is a quarter more than the reserve");
    bench.free.store(1_250, Ordering::SeqCst);
    reaches(&collector, Mode::Normal).await;
    assert_eq!(collector.submit(vec![live(2), live(1)]).await.unwrap(), [Verdict::Accepted, Verdict::Duplicate]);
    assert!(collector.health().refused >= 2);
    let read_only = [(Mode::Normal, Mode::ReadOnly), (Mode::ReadOnly, Mode::Normal)];
    assert_eq!(bench.modes(), [[(Mode::Recovering, Mode::Normal)].as_slice(), &read_only].concat());
    all_there(&bench, collector, &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_whose_room_is_not_known_is_tried_again() {
    let bench = Bench::with(|settings| Settings { free_bytes: Arc::new(|_: &Path| None), ..settings });
    let collector = bench.start().await;
    bench.faults.full.store(true, Ordering::SeqCst);
    refused(&collector, 1).await;
    bench.faults.full.store(false, Ordering::SeqCst);
    reaches(&collector, Mode::Normal).await;
    collector.submit(vec![live(1)]).await.unwrap();
    all_there(&bench, collector, &[1]).await;
}

type Fault = fn(&Faults) -> &AtomicBool;

/// After these faults the log is closed and opened again by itself; with `lasting`, not before that one is gone too.
async fn opens_again(faults: &[Fault], lasting: Option<Fault>) {
    let bench = Bench::new();
    let set = |fault: &Fault, to: bool| fault(&bench.faults).store(to, Ordering::SeqCst);
    let collector = bench.start().await;
    collector.submit(vec![live(1), live(2)]).await.unwrap();
    faults.iter().chain(&lasting).for_each(|fault| set(fault, true));
    refused(&collector, 3).await;
    if lasting.is_some() {
        reaches(&collector, Mode::Recovering).await;
        refused(&collector, 3).await;
    }
    // What was acknowledged goes to the tables all the same.
    collector.flush().await.unwrap();
    assert_eq!(bench.sink.ids().len(), 2);
    for fault in faults {
        set(fault, false);
    }
    if let Some(lasting) = &lasting {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(collector.health().mode, Mode::Recovering);
        set(lasting, false);
    }
    reaches(&collector, Mode::Normal).await;
    assert!(collector.health().reopened >= 1);
    assert_eq!(collector.submit(vec![live(3), live(1)]).await.unwrap(), [Verdict::Accepted, Verdict::Duplicate]);
    drop(collector);
    // A crash: the next life reads the log.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let collector = bench.start().await;
    assert_eq!(collector.submit(vec![live(3)]).await.unwrap(), [Verdict::Duplicate]);
    all_there(&bench, collector, &[1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_fsync_the_log_is_opened_again() {
    opens_again(&[|faults| &faults.sync_fails], None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_write_that_could_not_be_taken_back_the_log_is_opened_again() {
    opens_again(&[|faults| &faults.full, |faults| &faults.undo_fails], None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_opened_is_tried_again_until_it_can() {
    opens_again(&[|faults| &faults.sync_fails], Some(|faults| &faults.open_fails)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_new_segment_and_removes_none_loses_nothing() {
    let bench = Bench::with(|settings| {
        let log = tidemark_wal::Options { segment_bytes: 600, budget_bytes: 1 << 20, record_bytes_max: 1 << 16 };
        Settings { log, ..settings }
    });
    let collector = bench.start().await;
    collector.submit((1..=3).map(live).collect()).await.unwrap();
    bench.faults.create_fails.store(true, Ordering::SeqCst);
    refused(&collector, 4).await;
    bench.faults.create_fails.store(false, Ordering::SeqCst);
    bench.faults.remove_fails.store(true, Ordering::SeqCst);
    reaches(&collector, Mode::Normal).await;
    collector.submit((4..=9).map(live).collect()).await.unwrap();
    collector.flush().await.unwrap();
    bench.faults.remove_fails.store(false, Ordering::SeqCst);
    all_there(&bench, collector, &[1, 2, 3, 4, 5, 6, 7, 8, 9]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_do_not_answer_at_the_start_are_waited_for() {
    let bench = Bench::new();
    let collector = bench.start().await;
    collector.submit(vec![live(1)]).await.unwrap();
    bench.sink.failing.store(true, Ordering::SeqCst);
    assert!(collector.shutdown().await.is_err());
    let collector = bench.start().await;
    assert_eq!(collector.health().mode, Mode::Recovering);
    refused(&collector, 2).await;
    bench.sink.failing.store(false, Ordering::SeqCst);
    reaches(&collector, Mode::Normal).await;
    assert_eq!(collector.health().recovered, 1);
    assert_eq!(collector.submit(vec![live(1), live(2)]).await.unwrap(), [Verdict::Duplicate, Verdict::Accepted]);
    all_there(&bench, collector, &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_still_recovers_can_be_stopped() {
    let bench = Bench::new();
    let collector = bench.start().await;
    collector.submit(vec![live(1)]).await.unwrap();
    bench.sink.failing.store(true, Ordering::SeqCst);
    assert!(collector.shutdown().await.is_err());
    let collector = bench.start().await;
    collector.shutdown().await.unwrap();
    bench.sink.failing.store(false, Ordering::SeqCst);
    all_there(&bench, bench.start().await, &[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_hang_lead_to_shedding_and_do_not_hold_up_a_stop() {
    let bench = Bench::with(|settings| Settings { pending_events: 10, flush_events: 3, ..settings });
    let collector = bench.start().await;
    bench.sink.hanging.store(true, Ordering::SeqCst);
    for number in 1..=9 {
        collector.submit(vec![live(number)]).await.unwrap();
    }
    reaches(&collector, Mode::Shedding).await;
    collector.submit(vec![live(10)]).await.unwrap();
    assert!(matches!(refused(&collector, 11).await, Error::Overloaded { .. }));
    let stopped = tokio::time::timeout(Duration::from_secs(10), collector.shutdown()).await.unwrap();
    assert!(matches!(stopped, Err(Error::SlowFlush { .. })), "{stopped:?}");
    bench.sink.hanging.store(false, Ordering::SeqCst);
    let collector = bench.start().await;
    assert_eq!(collector.health().mode, Mode::Normal);
    all_there(&bench, collector, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_wait_are_bounded_and_a_backlog_goes_in_batches() {
    let bench = Bench::with(|settings| Settings { pending_bytes: 4_000, flush_events: 4, ..settings });
    let collector = bench.start().await;
    bench.sink.hanging.store(true, Ordering::SeqCst);
    let mut taken = Vec::new();
    for number in 1..100 {
        match collector.submit(vec![live(number)]).await {
            Ok(_) => taken.push(number),
            Err(error) => {
                assert!(matches!(error, Error::Overloaded { bytes_limit: 4_000, .. }), "{error}");
                break;
            }
        }
    }
    let health = collector.health();
    assert!(taken.len() > 8 && taken.len() < 99 && health.pending_bytes <= 4_000, "{health:?}");
    bench.sink.hanging.store(false, Ordering::SeqCst);
    all_there(&bench, collector, &taken).await;
    assert!(bench.sink.largest.load(Ordering::SeqCst) <= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_can_be_made_to_leave_the_log() {
    let bench = Bench::new();
    let collector = bench.start().await;
    collector.submit(vec![live(1)]).await.unwrap();
    let holds = || {
        let files = std::fs::read_dir(bench.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "wal"));
        logs.map(|path| std::fs::read(path).unwrap()).any(|bytes| bytes.windows(6).any(|part| part == b"corpus"))
    };
    assert!(holds());
    collector.forget_flushed().await.unwrap();
    assert!(!holds(), "the log still holds an event that is stored");
    collector.submit(vec![live(2)]).await.unwrap();
    all_there(&bench, collector, &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_tells_where_and_gives_the_rest_and_an_unreadable_record_is_kept_aside() {
    let bench = Bench::new();
    let collector = bench.start().await;
    for number in 1..=5 {
        collector.submit(vec![live(number)]).await.unwrap();
    }
    bench.sink.failing.store(true, Ordering::SeqCst);
    assert!(collector.shutdown().await.is_err());
    let log = std::fs::read_dir(bench.directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let log = log.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "wal")).unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    let second = bytes.windows(4).enumerate().filter(|(_, part)| *part == [0xF5, 0x54, 0x52, 0xC0]).nth(1).unwrap().0;
    bytes[second + 60] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    bench.sink.failing.store(false, Ordering::SeqCst);
    let collector = bench.start().await;
    let damage = collector.health().damage;
    assert!(damage.len() == 1 && damage[0].contains(".wal at byte") && damage[0].contains("1 events"), "{damage:?}");
    all_there(&bench, collector, &[1, 3, 4, 5]).await;

    let (mut wal, _) =
        Wal::open(FileStorage::open(bench.directory.path()).unwrap(), tidemark_wal::Options::default()).unwrap();
    wal.append(&[br#"{"kind":"of a later version"}"#]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let collector = bench.start().await;
    assert_eq!(collector.health().unreadable, 1);
    let kept = std::fs::read_dir(bench.directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(kept.filter(|name| name.to_string_lossy().starts_with("unreadable-")).count(), 1);
    all_there(&bench, collector, &[1, 3, 4, 5]).await;
}
