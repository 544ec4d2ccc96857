//! The collector as its users see it: a thread that owns the log (`log`), a task that flushes (`flusher`), and what is
//! done once at the start (`recovery`).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tidemark_schema::{Clock, EventId, Stored, Timestamp};
use tidemark_wal::{FileStorage, Options, Wal};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::decode::Event;
use crate::error::Error;
use crate::flusher::Flusher;
use crate::log::{Log, Reply};
use crate::recent::RecentIds;
use crate::recovery::{RecoverError, recover, writer_name};
use crate::sink::EventSink;

/// How the collector works. All limits are hard.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the write-ahead log lies; a local directory of this process alone.
    pub directory: PathBuf,
    /// The limits of the log.
    pub log: Options,
    /// A flush is due when this many events wait …
    pub flush_events: usize,
    /// … or this much time has passed.
    pub flush_interval: Duration,
    /// How many events may wait; beyond it submissions are refused.
    pub pending_events: usize,
    /// How many submissions may queue before the log.
    pub queue: usize,
    /// How many ids the window of recent events holds.
    pub recent_ids: usize,
    /// How far back the window of recent events reaches, in seconds.
    pub recent_s: i64,
    /// Seconds that an event may lie in the future of our clock.
    pub ahead_s: i64,
}

impl Settings {
    /// The defaults, with the log in `directory`.
    pub fn in_directory(directory: PathBuf) -> Self {
        Self {
            directory,
            log: Options::default(),
            flush_events: 20_000,
            flush_interval: Duration::from_secs(2),
            pending_events: 100_000,
            queue: 256,
            recent_ids: 1_000_000,
            recent_s: 24 * 3_600,
            ahead_s: 3_600,
        }
    }
}

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is durable.
    Accepted,
    /// It was durable already.
    Duplicate,
}

/// The answer to a submission: a verdict per event, in order. Everything in it is durable.
pub type Receipt = Vec<Verdict>;

/// What the collector has done since it started, and how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Events that were new.
    pub accepted: u64,
    /// Events that were known.
    pub duplicates: u64,
    /// Events that are in the table.
    pub flushed: u64,
    /// Flushes that failed; their events wait and are tried again.
    pub flush_failures: u64,
    /// Events that were read from the log at the start.
    pub recovered: u64,
    /// Events that wait for the next flush.
    pub pending: usize,
    /// Bytes of the log on disk.
    pub log_bytes: u64,
    /// Whether the log still takes events.
    pub writable: bool,
    /// Whether the last flush worked.
    pub flushing: bool,
}

/// What is counted while the collector runs, shared by its parts.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) flushed: AtomicU64,
    pub(crate) flush_failures: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) pending: AtomicUsize,
    pub(crate) log_bytes: AtomicU64,
    pub(crate) broken: AtomicBool,
    pub(crate) flush_failing: AtomicBool,
}

/// What the log thread is told.
pub(crate) enum Message {
    Submit(Vec<Event>, Reply),
    /// The flusher takes what waits, and the position after it.
    Take(oneshot::Sender<(Vec<Stored<Event>>, u64)>),
    /// The flusher has stored everything before this position.
    Flushed(u64),
}

/// Takes events, makes them durable and hands them on.
pub struct Collector {
    messages: mpsc::Sender<Message>,
    counters: Arc<Counters>,
    flush: mpsc::Sender<oneshot::Sender<Result<(), Error>>>,
    flusher: JoinHandle<()>,
    log: std::thread::JoinHandle<()>,
}

impl Collector {
    /// Opens the log, gives the sink what a crash kept from it, and starts to take events.
    pub async fn start<S: EventSink>(settings: Settings, sink: Arc<S>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let counters = Arc::new(Counters::default());
        let directory = settings.directory.clone();
        let open_error = |source| Error::OpenLog { directory: directory.clone(), source };
        let storage = FileStorage::open(&settings.directory).map_err(open_error)?;
        let (mut wal, recovery) = Wal::open(storage, settings.log).map_err(open_error)?;
        if recovery.torn_tail.is_some() || !recovery.damage.is_empty() {
            tracing::warn!(?recovery, "the write-ahead log was mended");
        }
        let writer = writer_name(&settings.directory)?;
        recover(&mut wal, &settings, sink.as_ref(), &writer, &counters).await.map_err(|error| match error {
            RecoverError::Log(source) => open_error(source),
            RecoverError::Sink(source) => Error::Recover(source),
        })?;

        let since = clock.now().plus_seconds(-settings.recent_s);
        let received = sink.received_since(since, settings.recent_ids).await.map_err(Error::Recover)?;
        let window =
            RecentIds::new(settings.recent_ids, complete_since(since, &received, settings.recent_ids), received);

        let (messages, inbox) = mpsc::channel(settings.queue);
        let (flush, flush_requests) = mpsc::channel(8);
        let due = Arc::new(Notify::new());
        counters.log_bytes.store(wal.bytes(), Ordering::Relaxed);
        let log = Log {
            wal,
            window,
            settings: settings.clone(),
            clock,
            counters: counters.clone(),
            pending: Vec::new(),
            due: due.clone(),
        };
        let log = std::thread::Builder::new()
            .name("tidemark-log".to_owned())
            .spawn(move || log.run(inbox))
            .map_err(|source| Error::WriterName { path: settings.directory.clone(), source })?;
        let flusher = Flusher { messages: messages.clone(), sink, writer, counters: counters.clone(), unstored: None };
        let flusher = tokio::spawn(flusher.run(settings.flush_interval, due, flush_requests));
        Ok(Self { messages, counters, flush, flusher, log })
    }

    /// Makes events durable. Returns once they are; an error means that none of them was acknowledged.
    pub async fn submit(&self, events: Vec<Event>) -> Result<Receipt, Error> {
        let (reply, answer) = oneshot::channel();
        match self.messages.try_send(Message::Submit(events, reply)) {
            Ok(()) => answer.await.map_err(|_| Error::Stopped)?,
            Err(mpsc::error::TrySendError::Full(_)) => {
                let limit = self.messages.max_capacity();
                Err(Error::Overloaded { pending: limit, limit })
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Error::Stopped),
        }
    }

    /// Brings everything acknowledged so far into the table.
    pub async fn flush(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.flush.send(reply).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// What it has done and how it is.
    pub fn health(&self) -> Health {
        let c = &self.counters;
        Health {
            accepted: c.accepted.load(Ordering::Relaxed),
            duplicates: c.duplicates.load(Ordering::Relaxed),
            flushed: c.flushed.load(Ordering::Relaxed),
            flush_failures: c.flush_failures.load(Ordering::Relaxed),
            recovered: c.recovered.load(Ordering::Relaxed),
            pending: c.pending.load(Ordering::Relaxed),
            log_bytes: c.log_bytes.load(Ordering::Relaxed),
            writable: !c.broken.load(Ordering::Relaxed),
            flushing: !c.flush_failing.load(Ordering::Relaxed),
        }
    }

    /// Flushes and stops. What could not be flushed stays in the log for the next start.
    pub async fn shutdown(self) -> Result<(), Error> {
        let flushed = self.flush().await;
        let Self { messages, flush, flusher, log, .. } = self;
        drop(flush);
        if flusher.await.is_err() {
            tracing::error!("the flusher ended early");
        }
        drop(messages);
        if tokio::task::spawn_blocking(move || log.join()).await.is_err() {
            tracing::error!("the log thread ended early");
        }
        flushed
    }
}

/// From when on the window knows everything: from `since`, unless there was more than it can hold.
fn complete_since(since: Timestamp, received: &[(Timestamp, EventId)], capacity: usize) -> Timestamp {
    if received.len() < capacity {
        return since;
    }
    received.iter().map(|(time, _)| *time).min().map_or(since, |oldest| oldest.plus_seconds(1))
}
