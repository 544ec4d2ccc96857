//! The collector as its users see it: a thread that owns the log (`log`), a task that flushes (`flusher`), and what is
//! done once at the start (`recovery`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidemark_schema::Clock;
use tidemark_wal::{FileStorage, Options, Storage, Wal};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::counters::{Counters, Health};
use crate::decode::Event;
use crate::disk;
use crate::error::Error;
use crate::flusher::Flusher;
use crate::log::{Log, Message, Opener};
use crate::mode::Transition;
use crate::recovery::{Recovery, writer_name};
use crate::sink::EventSink;

/// How the collector works. All limits are hard.
#[derive(Clone)]
pub struct Settings {
    /// Where the write-ahead log lies; a local directory of this process alone.
    pub directory: PathBuf,
    /// The limits of the log.
    pub log: Options,
    /// A flush is due when this many events wait, and a batch has no more; …
    pub flush_events: usize,
    /// … or when this much time has passed.
    pub flush_interval: Duration,
    /// How many events may wait; beyond it submissions are refused.
    pub pending_events: usize,
    /// How many bytes they may take in the log; in memory it is some three times as much.
    pub pending_bytes: usize,
    /// How many submissions may queue before the log.
    pub queue: usize,
    /// How many ids the window of recent events holds.
    pub recent_ids: usize,
    /// How far back the window of recent events reaches, in seconds.
    pub recent_s: i64,
    /// Seconds that an event may lie in the future of our clock.
    pub ahead_s: i64,
    /// Bytes of the log's disk that stay free, or a twentieth of it if that is less; below it no events are taken.
    pub reserve_bytes: u64,
    /// How many bytes are free on the disk of a directory; none where that is not known.
    pub free_bytes: FreeBytes,
    /// How long a shutdown waits for the last flush.
    pub shutdown_patience: Duration,
    /// Who is told when the mode changes.
    pub on_transition: Option<Observer>,
}

/// Asks a disk for its room.
pub type FreeBytes = Arc<dyn Fn(&Path) -> Option<u64> + Send + Sync>;
/// Is told of each change of the mode, on the thread of the log.
pub type Observer = Arc<dyn Fn(&Transition) + Send + Sync>;

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("directory", &self.directory).finish_non_exhaustive()
    }
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
            pending_bytes: 64 * 1024 * 1024,
            queue: 256,
            recent_ids: 1_000_000,
            recent_s: 24 * 3_600,
            ahead_s: 3_600,
            reserve_bytes: 256 * 1024 * 1024,
            free_bytes: Arc::new(disk::free_bytes),
            shutdown_patience: Duration::from_secs(15),
            on_transition: None,
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

/// How often the log thread looks how things are.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a start waits for the log to be read; then it goes on in the background.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Takes events, makes them durable and hands them on.
pub struct Collector {
    messages: mpsc::Sender<Message>,
    counters: Arc<Counters>,
    flush: mpsc::Sender<oneshot::Sender<Result<(), Error>>>,
    flusher: JoinHandle<()>,
    log: std::thread::JoinHandle<()>,
    patience: Duration,
    /// Events and bytes that may wait.
    limits: (usize, usize),
    /// Ends with the collector.
    _recovery: Background,
}

/// A task that ends when this is dropped.
struct Background(JoinHandle<()>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Collector {
    /// Opens the log, gives the sink what a crash kept from it, and starts to take events. If the sink does not take it, the
    /// collector is there all the same, refuses events in the mode `recovering`, and tries again.
    pub async fn start<S: EventSink>(settings: Settings, sink: Arc<S>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let (directory, options) = (settings.directory.clone(), settings.log);
        let opener = Box::new(move || Wal::open(FileStorage::open(&directory)?, options));
        Self::start_with(settings, opener, sink, clock).await
    }

    /// The same with a log that is opened in another way.
    pub(crate) async fn start_with<W: Storage + Send + 'static, S: EventSink>(
        settings: Settings,
        opener: Opener<W>,
        sink: Arc<S>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let counters = Arc::new(Counters::default());
        let due = Arc::new(Notify::new());
        let open = Log::open(opener, settings.clone(), clock.clone(), counters.clone(), due.clone());
        let log = open.map_err(|source| Error::OpenLog { directory: settings.directory.clone(), source })?;
        let writer = writer_name(&settings.directory)?;
        let (messages, inbox) = mpsc::channel(settings.queue);
        let (flush, flush_requests) = mpsc::channel(8);
        let log = std::thread::Builder::new()
            .name("tidemark-log".to_owned())
            .spawn(move || log.run(inbox))
            .map_err(|source| Error::WriterName { path: settings.directory.clone(), source })?;
        let flusher = Flusher {
            messages: messages.clone(),
            sink: sink.clone(),
            writer: writer.clone(),
            counters: counters.clone(),
            batch_events: settings.flush_events,
            unstored: None,
        };
        let flusher = tokio::spawn(flusher.run(settings.flush_interval, due, flush_requests));
        tokio::spawn(look_again_and_again(messages.downgrade()));
        let (tried, mut first_try) = watch::channel(false);
        let patience = settings.shutdown_patience;
        let limits = (settings.pending_events, settings.pending_bytes);
        let recovery =
            Recovery { messages: messages.clone(), sink, writer, settings, clock, counters: counters.clone() };
        let recovery = Background(tokio::spawn(recovery.run(tried)));
        let collector = Self { messages, counters, flush, flusher, log, patience, limits, _recovery: recovery };
        if tokio::time::timeout(START_PATIENCE, first_try.wait_for(|tried| *tried)).await.is_err() {
            tracing::warn!("the log is still being read into the tables");
        }
        // What the recovery told the log thread is done once it has answered this.
        collector.settle().await;
        Ok(collector)
    }

    /// Waits until the log thread has done all that it was told.
    async fn settle(&self) {
        let (reply, done) = oneshot::channel();
        if self.messages.send(Message::Submit(Vec::new(), reply)).await.is_ok() && done.await.is_err() {
            tracing::debug!("the log thread has ended");
        }
    }

    /// Whether events would be taken now, as far as that is known before they are seen.
    pub fn ready(&self) -> Result<(), Error> {
        let (mode, reason) = self.counters.mode();
        if mode.refuses() {
            return Err(Error::Degraded { mode, reason });
        }
        let pending = self.counters.pending.load(Ordering::Relaxed);
        let bytes = self.counters.pending_bytes.load(Ordering::Relaxed);
        let (limit, bytes_limit) = (self.limits.0, self.limits.1);
        if pending >= limit || bytes >= bytes_limit {
            return Err(Error::Overloaded { pending, limit, bytes, bytes_limit });
        }
        Ok(())
    }

    /// Makes events durable. Returns once they are; an error means that none of them was acknowledged.
    pub async fn submit(&self, events: Vec<Event>) -> Result<Receipt, Error> {
        let (reply, answer) = oneshot::channel();
        let sent = events.len() as u64;
        match self.messages.try_send(Message::Submit(events, reply)) {
            Ok(()) => answer.await.map_err(|_| Error::Stopped)?,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.counters.refused.fetch_add(sent, Ordering::Relaxed);
                Err(Error::Queue { limit: self.messages.max_capacity() })
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Error::Stopped),
        }
    }

    /// Brings everything acknowledged so far into the tables.
    pub async fn flush(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.flush.send(reply).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// Flushes, and makes sure that the log holds no record of what the tables hold.
    pub async fn forget_flushed(&self) -> Result<(), Error> {
        let (mode, reason) = self.counters.mode();
        if mode.refuses() {
            return Err(Error::Degraded { mode, reason });
        }
        self.flush().await?;
        let (reply, forgotten) = oneshot::channel();
        self.messages.send(Message::Forget(reply)).await.map_err(|_| Error::Stopped)?;
        forgotten.await.map_err(|_| Error::Stopped)?
    }

    /// What it has done and how it is.
    pub fn health(&self) -> Health {
        self.counters.health()
    }

    /// Flushes and stops. What could not be flushed stays in the log for the next start.
    pub async fn shutdown(self) -> Result<(), Error> {
        let flushed = tokio::time::timeout(self.patience, self.flush()).await.unwrap_or_else(|_| {
            tracing::error!("the last flush takes too long; its events stay in the log for the next start");
            self.flusher.abort();
            Err(Error::SlowFlush { seconds: self.patience.as_secs() })
        });
        let Self { messages, flush, flusher, log, _recovery: recovery, .. } = self;
        drop((flush, recovery));
        if flusher.await.is_err_and(|error| error.is_panic()) {
            tracing::error!("the flusher ended early");
        }
        drop(messages);
        if tokio::task::spawn_blocking(move || log.join()).await.is_err() {
            tracing::error!("the log thread ended early");
        }
        flushed
    }
}

/// Makes the log thread look how things are, for as long as there is a collector.
async fn look_again_and_again(messages: mpsc::WeakSender<Message>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(messages) = messages.upgrade() else { return };
        // A thread that is busy looks by itself after each write.
        if messages.try_send(Message::Look).is_err() {
            tracing::trace!("the log thread is busy");
        }
    }
}
