//! A table in memory, a disk that fails on purpose, and short ways to make events.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemark_schema::{EventId, FingerprintKey, Ingest, ManualClock, Timestamp};
use tidemark_wal::{FileStorage, Options, Storage};

use crate::decode::{Context, Event, Kind, Limits, decode};
use crate::{
    Backoff, Batch, Collector, Error, EventSink, FreeBytes, Health, Mode, Observer, Settings, SinkError, Transition,
};

/// What is wrong with the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// It answers with an error at once.
    Fails,
    /// It takes retrievals, and fails before the outputs.
    FailsHalfWay,
    /// It takes everything and says that it did not, as after a conflict or a lost answer.
    TakesAndFails,
    /// It never answers.
    Hangs,
    /// It answers late.
    IsSlow,
}

type Row = (Timestamp, EventId, Ingest);

/// A table in memory: what it holds, and how far each kind of it was committed.
#[derive(Default)]
pub(crate) struct Table {
    rows: Mutex<Vec<Row>>,
    committed: Mutex<[Option<u64>; 2]>,
    trouble: Mutex<Trouble>,
    largest_batch: Mutex<usize>,
}

impl Table {
    pub(crate) fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    fn trouble(&self) -> Trouble {
        *self.trouble.lock().unwrap()
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        self.rows.lock().unwrap().clone()
    }

    /// The ids of all rows, sorted: an id that is there twice is stored twice.
    pub(crate) fn ids(&self) -> Vec<EventId> {
        let mut ids: Vec<_> = self.rows().iter().map(|(_, id, _)| *id).collect();
        ids.sort();
        ids
    }

    pub(crate) fn largest_batch(&self) -> usize {
        *self.largest_batch.lock().unwrap()
    }

    fn store(&self, rows: Vec<Row>, kind: usize, next: u64) {
        if rows.is_empty() {
            return;
        }
        let mut stored = self.rows.lock().unwrap();
        for row in rows {
            // As the lake does it: only what is not live is looked up.
            if row.2 == Ingest::Live || !stored.iter().any(|(_, id, _)| *id == row.1) {
                stored.push(row);
            }
        }
        self.committed.lock().unwrap()[kind] = Some(next);
    }

    async fn answer(&self) -> Result<(), SinkError> {
        match self.trouble() {
            Trouble::Fails => Err("the store does not answer".into()),
            Trouble::Hangs => std::future::pending().await,
            Trouble::IsSlow => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok(())
            }
            Trouble::None | Trouble::FailsHalfWay | Trouble::TakesAndFails => Ok(()),
        }
    }
}

impl EventSink for Table {
    async fn append(&self, batch: Batch, _: &str, next: u64) -> Result<(), SinkError> {
        self.answer().await?;
        {
            let mut largest = self.largest_batch.lock().unwrap();
            *largest = batch.len().max(*largest);
        }
        let retrievals = batch.retrievals.iter().map(|row| (row.received_at, row.event.event_id, row.ingest));
        self.store(retrievals.collect(), 0, next);
        if self.trouble() == Trouble::FailsHalfWay {
            return Err("the store stopped answering half way".into());
        }
        let outputs = batch.outputs.iter().map(|row| (row.received_at, row.event.event_id, row.ingest));
        self.store(outputs.collect(), 1, next);
        if self.trouble() == Trouble::TakesAndFails {
            return Err("another writer was faster".into());
        }
        Ok(())
    }

    async fn committed(&self, kind: Kind, _: &str) -> Result<Option<u64>, SinkError> {
        self.answer().await?;
        Ok(self.committed.lock().unwrap()[usize::from(kind == Kind::Output)])
    }

    async fn received_since(&self, since: Timestamp, limit: usize) -> Result<Vec<(Timestamp, EventId)>, SinkError> {
        self.answer().await?;
        let mut received: Vec<_> =
            self.rows().iter().map(|(time, id, _)| (*time, *id)).filter(|(time, _)| *time >= since).collect();
        received.sort_unstable_by(|a, b| b.cmp(a));
        received.truncate(limit);
        Ok(received)
    }
}

/// What a disk is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Open,
    Create,
    Append,
    SetLen,
    Sync,
    SyncFolder,
    Remove,
}

/// A real folder whose operations fail while they are told to; clones share the faults, and outlive the log.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<HashMap<Step, ErrorKind>>>);

impl Disk {
    /// A step fails from now on.
    pub(crate) fn fail(&self, step: Step, kind: ErrorKind) {
        self.0.lock().unwrap().insert(step, kind);
    }

    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().clear();
    }

    fn begin(&self, step: Step) -> io::Result<()> {
        self.0.lock().unwrap().get(&step).map_or(Ok(()), |kind| Err((*kind).into()))
    }

    pub(crate) fn open(&self, directory: &Path) -> Result<FaultyStorage, tidemark_wal::Error> {
        self.begin(Step::Open)
            .map_err(|source| tidemark_wal::Error::OpeningFolder { path: directory.to_owned(), source })?;
        Ok(FaultyStorage { files: FileStorage::open(directory)?, disk: self.clone() })
    }
}

pub(crate) struct FaultyStorage {
    files: FileStorage,
    disk: Disk,
}

impl Storage for FaultyStorage {
    type File = File;

    fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn open(&self, name: &str) -> io::Result<File> {
        self.files.open(name)
    }

    fn bytes(&self, name: &str) -> io::Result<u64> {
        self.files.bytes(name)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.disk.begin(Step::Create)?;
        self.files.create(name)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.disk.begin(Step::Append) {
            self.files.append(name, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.files.append(name, bytes)
    }

    fn set_len(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.disk.begin(Step::SetLen)?;
        self.files.set_len(name, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.disk.begin(Step::Sync)?;
        self.files.sync(name)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.disk.begin(Step::SyncFolder)?;
        self.files.sync_folder()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.disk.begin(Step::Remove)?;
        self.files.remove(name)
    }
}

pub(crate) fn now() -> Timestamp {
    "2024-05-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn event(number: u32, kind: Kind, occurred_at: &str) -> Event {
    let json = match kind {
        Kind::Retrieval => format!(
            r#"{{"event_id":"r{number}","occurred_at":"{occurred_at}","corpus":"c","query":{{"fingerprint":"q"}},"results":[]}}"#
        ),
        Kind::Output => {
            format!(r#"{{"event_id":"o{number}","occurred_at":"{occurred_at}","operation_id":"op{number}"}}"#)
        }
    };
    let keys = FingerprintKey::new([1; 32]).into();
    let policy = crate::policy::Policy::default();
    let context = Context { now: None, keys: &keys, policy: &policy, limits: Limits::default() };
    decode(json.as_bytes(), kind, &context).unwrap()
}

pub(crate) fn live(number: u32) -> Event {
    event(number, Kind::Retrieval, "2024-05-01T11:59:00Z")
}

/// One file of the log per record or two, short pauses, a disk with room, and flushes only when a test asks for them.
pub(crate) fn settings(directory: &Path) -> Settings {
    let pauses = Backoff { first: Duration::from_millis(10), longest: Duration::from_millis(50) };
    Settings {
        log: Options { segment_bytes: 600, ..Options::default() },
        flush_interval: Duration::from_hours(1),
        flush_backoff: pauses,
        log_backoff: pauses,
        free_bytes: FreeBytes::new(|| None),
        ..Settings::in_directory(directory.to_owned())
    }
}

pub(crate) async fn start(settings: &Settings, sink: &Arc<Table>) -> Collector {
    Collector::start(settings.clone(), sink.clone(), Arc::new(ManualClock::at(now()))).await.unwrap()
}

pub(crate) async fn start_on(disk: &Disk, settings: &Settings, sink: &Arc<Table>) -> Result<Collector, Error> {
    let (disk, directory) = (disk.clone(), settings.directory.clone());
    let clock = Arc::new(ManualClock::at(now()));
    Collector::start_on(settings.clone(), sink.clone(), clock, move || disk.open(&directory)).await
}

/// The transitions so far.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<Transition>>>);

impl Seen {
    pub(crate) fn observer(&self) -> Observer {
        let seen = self.clone();
        Observer::new(move |transition| seen.0.lock().unwrap().push(transition.clone()))
    }

    pub(crate) fn modes(&self) -> Vec<Mode> {
        self.0.lock().unwrap().iter().map(|transition| transition.to).collect()
    }
}

/// Waits until the collector is as it should be.
#[track_caller]
pub(crate) fn until(collector: &Collector, good: impl Fn(&Health) -> bool) -> impl Future<Output = Health> {
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..2_000 {
            let health = collector.health();
            if good(&health) {
                return health;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{caller}: it never came to that: {:?}", collector.health());
    }
}

pub(crate) async fn until_mode(collector: &Collector, mode: Mode) -> Health {
    until(collector, |health| health.mode == mode).await
}
