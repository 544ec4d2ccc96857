//! The collector as its users see it: a thread that owns the log (`log`), and a task that recovers and flushes
//! (`recovery`, `flusher`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidemark_schema::Clock;
use tidemark_wal::{FileStorage, Storage, Wal};
use tokio::sync::{Notify, Semaphore, TryAcquireError, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::aside::Aside;
use crate::backoff::Pauses;
use crate::decode::Event;
use crate::error::Error;
use crate::flusher::{Flusher, LogHandle, Request};
use crate::health::{Health, Refusal, Shared};
use crate::log::{Log, Opener, refusal_of};
use crate::message::{Message, Submission};
use crate::mode::{Level, Mode};
use crate::pending::Pending;
use crate::recent::RecentIds;
use crate::recovery::writer_name;
use crate::settings::Settings;
use crate::sink::EventSink;

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

/// Takes events, makes them durable and hands them on.
pub struct Collector {
    log: LogHandle,
    shared: Arc<Shared>,
    settings: Settings,
    /// The bytes of submissions that may be on their way to the log.
    queue_bytes: Arc<Semaphore>,
    requests: mpsc::Sender<Request>,
    flusher: JoinHandle<()>,
    thread: std::thread::JoinHandle<()>,
    thread_ended: oneshot::Receiver<()>,
}

impl Collector {
    /// Opens the log, gives the sink what a crash kept from it, and starts to take events.
    ///
    /// An error means that the log cannot be opened. If the sink does not answer, or has much to take, the collector is
    /// there in [`Mode::Recovering`] and goes on trying: it refuses events until it has succeeded. It is waited
    /// for until the first try is over, but no longer than [`Settings::start_wait`].
    pub async fn start<S: EventSink>(settings: Settings, sink: Arc<S>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let directory = settings.directory.clone();
        Self::start_on(settings, sink, clock, Box::new(move || FileStorage::open(&directory))).await
    }

    /// The same on any storage.
    pub(crate) async fn start_on<S: EventSink, T: Storage + Send + 'static>(
        settings: Settings,
        sink: Arc<S>,
        clock: Arc<dyn Clock>,
        mut open: Opener<T>,
    ) -> Result<Self, Error> {
        let directory = settings.directory.clone();
        let open_error = |source| Error::OpenLog { directory: directory.clone(), source };
        let (wal, recovery) = Wal::open(open().map_err(open_error)?, settings.log).map_err(open_error)?;
        if recovery.torn_tail.is_some() || !recovery.damage.is_empty() {
            tracing::warn!(?recovery, "the write-ahead log was mended");
        }
        let writer = writer_name(&directory)?;
        let beside = |source| Error::BesideLog { path: directory.clone(), source };
        let shared = Arc::new(Shared::new(clock.now()));
        shared.note_damage(&recovery);

        let (messages, inbox) = mpsc::channel(settings.queue.max(1));
        let (requests, flush_requests) = mpsc::channel(8);
        let due = Arc::new(Notify::new());
        let log = Log {
            durable: wal.next_sequence(),
            flushed: wal.first_sequence(),
            wal: Some(wal),
            open,
            settings: settings.clone(),
            clock: clock.clone(),
            shared: shared.clone(),
            due: due.clone(),
            aside: Aside::open(directory.clone()).map_err(beside)?,
            window: RecentIds::new(settings.recent_ids, clock.now(), Vec::new()),
            pending: Pending::default(),
            recovered: false,
            unwritable: None,
            untruncated: false,
            failure: None,
            pauses: Pauses::new(settings.log_backoff),
            try_at: std::time::Instant::now(),
            rotated_at: None,
            free: None,
        };
        let (thread, thread_ended) = spawn_log(log, inbox)?;

        let handle = LogHandle(messages);
        let flusher = Flusher {
            log: handle.clone(),
            sink,
            writer,
            shared: shared.clone(),
            settings: settings.clone(),
            uncertain_before: 0,
        };
        let (tried, first_try) = oneshot::channel();
        let flusher = tokio::spawn(flusher.run(clock, tried, due, flush_requests));
        if tokio::time::timeout(settings.start_wait, first_try).await.is_err() {
            tracing::warn!("the log is still being read back into the table; events are refused until then");
        }
        let queue_bytes = Arc::new(Semaphore::new(settings.queue_bytes as usize));
        Ok(Self { log: handle, shared, settings, queue_bytes, requests, flusher, thread, thread_ended })
    }

    /// Whether events would be taken now, as far as that is known before they are seen. Who asks first need not read and
    /// decode what would be refused.
    ///
    /// The room between near a bound and the bound is for those who asked earlier and are still being decoded. Were it open to
    /// all, what waits would stand just below the bound, and each refusal would cost as much as what is taken.
    pub fn ready(&self) -> Result<(), Error> {
        let standing = self.shared.standing();
        if !standing.mode.takes_events() {
            return Err(refusal_of(&standing));
        }
        let (pending, limit) = (self.shared.pending.load(Ordering::Relaxed), self.settings.pending_events);
        let (bytes, bytes_limit) = (self.shared.pending_bytes.load(Ordering::Relaxed), self.settings.pending_bytes);
        let near = |used: u64, limit: u64| Level { used, limit }.is_near();
        let refusal = match (near(pending as u64, limit as u64), near(bytes, bytes_limit)) {
            (true, _) => Refusal::PendingEvents,
            (_, true) => Refusal::PendingBytes,
            _ => return Ok(()),
        };
        let reason =
            format!("{pending} events of at most {limit} wait for the tables, {bytes} bytes of at most {bytes_limit}");
        Err(Error::Refused { mode: Mode::Shedding, refusal, reason, retry_after_s: refusal.retry_after_s() })
    }

    /// Makes events durable. Returns once they are; an error means that none of them was acknowledged.
    pub async fn submit(&self, events: Vec<Event>) -> Result<Receipt, Error> {
        let count = events.len();
        let standing = self.shared.standing();
        if !standing.mode.takes_events() {
            // The same answer as the thread of the log would give, which may be waiting for a slow disk.
            let refused = refusal_of(&standing);
            if let Error::Refused { refusal, .. } = &refused {
                self.shared.refuse(*refusal, count);
            }
            return Err(refused);
        }
        let limit = self.settings.queue_bytes;
        let bytes = events.iter().map(Event::bytes).sum::<u64>().min(u64::from(limit));
        let bytes = u32::try_from(bytes).unwrap_or(limit);
        let overflow = |what: String| {
            self.shared.refuse(Refusal::Queue, count);
            let (mode, refusal) = (Mode::Shedding, Refusal::Queue);
            Error::Refused { mode, refusal, reason: what, retry_after_s: refusal.retry_after_s() }
        };
        let share = match self.queue_bytes.clone().try_acquire_many_owned(bytes) {
            Ok(share) => share,
            Err(TryAcquireError::NoPermits) => {
                return Err(overflow(format!("more than {limit} bytes would be on their way to the log")));
            }
            Err(TryAcquireError::Closed) => return Err(Error::Stopped),
        };
        let (reply, answer) = oneshot::channel();
        match self.log.0.try_send(Message::Submit(Submission { events, reply, share })) {
            Ok(()) => answer.await.map_err(|_| Error::Stopped)?,
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(overflow(format!("{} submissions are on their way to the log", self.log.0.max_capacity())))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Error::Stopped),
        }
    }

    /// Brings everything acknowledged so far into the table.
    pub async fn flush(&self) -> Result<(), Error> {
        self.request(false).await
    }

    /// Brings everything acknowledged so far into the table and removes it from the log. When it returns, the log holds
    /// no record that was in the table, or acknowledged, when it was called. For those who erase events: what is erased
    /// from the table afterwards is nowhere else, and no restart brings it back.
    pub async fn forget_flushed(&self) -> Result<(), Error> {
        self.request(true).await
    }

    async fn request(&self, forget: bool) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request { forget, reply }).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// What it has done and how it is. Always works, and at once.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Flushes and stops, within about [`Settings::stop_timeout`]. What could not be flushed stays in the log for the
    /// next start; the error says that there is something.
    pub async fn shutdown(self) -> Result<(), Error> {
        let deadline = Instant::now() + self.settings.stop_timeout;
        let flushed = tokio::time::timeout_at(deadline, self.flush()).await.unwrap_or_else(|_| {
            let seconds = self.settings.stop_timeout.as_secs();
            tracing::error!(seconds, "the last flush hangs and is given up; its events stay in the log");
            Err(Error::StopTimeout { seconds })
        });
        self.end(deadline).await;
        flushed
    }

    /// Ends the task and the thread without a last flush.
    async fn end(self, deadline: Instant) {
        let Self { log, requests, flusher, thread, thread_ended, .. } = self;
        drop(requests);
        // Whatever it still does can be given up: the events of a flush stay in the log until the table has them.
        flusher.abort();
        if flusher.await.is_err_and(|error| error.is_panic()) {
            tracing::error!("the flusher ended early");
        }
        drop(log);
        let least = Instant::now() + std::time::Duration::from_secs(1);
        if tokio::time::timeout_at(deadline.max(least), thread_ended).await.is_err() {
            tracing::error!("the disk of the write-ahead log hangs; its thread is left behind");
        } else if thread.join().is_err() {
            tracing::error!("the log thread ended early");
        }
    }

    /// Ends as a kill would, as far as one process can: nothing more reaches the sink.
    #[cfg(test)]
    pub(crate) async fn crash(self) {
        let deadline = Instant::now() + std::time::Duration::from_secs(10);
        self.end(deadline).await;
    }
}

type LogThread = (std::thread::JoinHandle<()>, oneshot::Receiver<()>);

fn spawn_log<T: Storage + Send + 'static>(log: Log<T>, inbox: mpsc::Receiver<Message>) -> Result<LogThread, Error> {
    // A timer of its own: the thread outlives the runtime of the program when a disk hangs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(Error::StartThread)?;
    let (ends, ended) = oneshot::channel::<()>();
    let body = move || {
        log.run(&runtime, inbox);
        drop(ends);
    };
    let thread = std::thread::Builder::new().name("tidemark-log".to_owned()).spawn(body);
    Ok((thread.map_err(Error::StartThread)?, ended))
}
