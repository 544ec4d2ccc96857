//! The collector as its users see it: a thread that owns the log (`driver`), and a task that asks the table (`table`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tidemark_schema::Clock;
use tidemark_wal::{FileStorage, Storage};
use tokio::sync::{Semaphore, TryAcquireError, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::decode::Event;
use crate::driver::{Asked, Driver, Message};
use crate::effect::Now;
use crate::error::Error;
use crate::files::Files;
use crate::health::{Health, Published, Refusal};
use crate::mode::{Level, Mode};
use crate::quarantine::Quarantine;
use crate::settings::Settings;
use crate::sink::EventSink;
use crate::state::State;
use crate::table::{Table, writer_name};

/// How many may wait for a flush at once.
const REQUESTS_MAX: usize = 8;

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// It is durable.
    Accepted,
    /// It was durable already.
    Duplicate,
}

/// The answer to a submission: an acknowledgement per event, in order. Everything in it is durable.
pub type Receipt = Vec<Acknowledgement>;

/// Takes events, makes them durable and hands them on.
pub struct Collector {
    inbox: mpsc::Sender<Message>,
    published: Arc<Published>,
    settings: Settings,
    /// The bytes of submissions that may be on their way to the log.
    queue_bytes: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    table: JoinHandle<()>,
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
        Self::start_on(settings, sink, clock, move || FileStorage::open(&directory)).await
    }

    /// The same on any storage, which `open` gives at the start and after each failure.
    pub(crate) async fn start_on<S: EventSink, T: Storage + Send + 'static>(
        settings: Settings,
        sink: Arc<S>,
        clock: Arc<dyn Clock>,
        open: impl FnMut() -> Result<T, tidemark_wal::Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let directory = settings.directory.clone();
        let beside = |source| Error::BesideLog { path: directory.clone(), source };
        let quarantine = Quarantine::open(directory.clone()).map_err(beside)?;
        let (files, log, recovery) = Files::open(open, settings.log, quarantine)
            .map_err(|source| Error::OpenLog { directory: directory.clone(), source })?;
        let writer = writer_name(&directory)?;
        let now = Now { wall: clock.now(), elapsed: Duration::ZERO };
        let state = State::new(settings.clone(), now, log, &recovery);
        let published = Arc::new(Published::new(state.health().clone()));

        let (inbox, messages) = mpsc::channel(settings.queue.max(1));
        let (calls, table_calls) = mpsc::channel(1);
        let table = Table { sink, writer, limit: settings.flush_timeout };
        let table = tokio::spawn(table.serve(table_calls, inbox.downgrade()));
        let (tried, first_try) = oneshot::channel();
        let driver = Driver {
            state,
            files,
            settings: settings.clone(),
            clock,
            began: std::time::Instant::now(),
            published: published.clone(),
            table: calls,
            submissions: Vec::new(),
            requests: VecDeque::new(),
            recovery_tried: Some(tried),
            free_bytes: None,
        };
        let (thread, thread_ended) = spawn_driver(driver, messages)?;
        if tokio::time::timeout(settings.start_wait, first_try).await.is_err() {
            tracing::warn!("the log is still being read back into the table; events are refused until then");
        }
        let queue_bytes = Arc::new(Semaphore::new(settings.queue_bytes as usize));
        let requests = Arc::new(Semaphore::new(REQUESTS_MAX));
        Ok(Self { inbox, published, settings, queue_bytes, requests, table, thread, thread_ended })
    }

    /// Whether events would be taken now, as far as that is known before they are seen. Who asks first need not read and
    /// decode what would be refused.
    ///
    /// The room between near a bound and the bound is for those who asked earlier and are still being decoded. Were it open to
    /// all, what waits would stand just below the bound, and each refusal would cost as much as what is taken.
    pub fn ready(&self) -> Result<(), Error> {
        if let Some(refused) = self.refusal() {
            return Err(refused);
        }
        let latest = self.published.latest();
        let (pending, limit) = (latest.pending, self.settings.pending_events);
        let (bytes, bytes_limit) = (latest.pending_bytes, self.settings.pending_bytes);
        drop(latest);
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

    fn refusal(&self) -> Option<Error> {
        let latest = self.published.latest();
        (!latest.mode.takes_events()).then(|| latest.refusal())
    }

    /// Makes events durable. Returns once they are; an error means that none of them was acknowledged.
    pub async fn submit(&self, events: Vec<Event>) -> Result<Receipt, Error> {
        let count = events.len();
        if let Some(refused) = self.refusal() {
            // The same answer as the thread of the log would give, which may be waiting for a slow disk.
            if let Error::Refused { refusal, .. } = &refused {
                self.published.refuse(*refusal, count);
            }
            return Err(refused);
        }
        let limit = self.settings.queue_bytes;
        let bytes = events.iter().map(Event::bytes).sum::<u64>().min(u64::from(limit));
        let bytes = u32::try_from(bytes).unwrap_or(limit);
        let overflow = |what: String| {
            self.published.refuse(Refusal::Queue, count);
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
        let (asked, answer) = Asked::new(share);
        match self.inbox.try_send(Message::Submit { events, asked }) {
            Ok(()) => answer.await.map_err(|_| Error::Stopped)?,
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(overflow(format!("{} submissions are on their way to the log", self.inbox.max_capacity())))
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
        let share = self.requests.clone().acquire_owned().await.map_err(|_| Error::Stopped)?;
        let (asked, answer) = Asked::new(share);
        self.inbox.send(Message::Request { forget, asked }).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// What it has done and how it is. Always works, and at once.
    pub fn health(&self) -> Health {
        self.published.health()
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
        let Self { inbox, table, thread, thread_ended, .. } = self;
        // Whatever it still does can be given up: the events of a flush stay in the log until the table has them.
        table.abort();
        if table.await.is_err_and(|error| error.is_panic()) {
            tracing::error!("the task of the table ended early");
        }
        drop(inbox);
        let least = Instant::now() + Duration::from_secs(1);
        if tokio::time::timeout_at(deadline.max(least), thread_ended).await.is_err() {
            tracing::error!("the disk of the write-ahead log hangs; its thread is left behind");
        } else if thread.join().is_err() {
            tracing::error!("the log thread ended early");
        }
    }

    /// Ends as a kill would, as far as one process can: nothing more reaches the sink.
    #[cfg(test)]
    pub(crate) async fn crash(self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        self.end(deadline).await;
    }
}

type LogThread = (std::thread::JoinHandle<()>, oneshot::Receiver<()>);

fn spawn_driver<T, O>(driver: Driver<T, O>, inbox: mpsc::Receiver<Message>) -> Result<LogThread, Error>
where
    T: Storage + Send + 'static,
    O: FnMut() -> Result<T, tidemark_wal::Error> + Send + 'static,
{
    // A timer of its own: the thread outlives the runtime of the program when a disk hangs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(Error::StartThread)?;
    let (ends, ended) = oneshot::channel::<()>();
    let body = move || {
        driver.run(&runtime, inbox);
        drop(ends);
    };
    let thread = std::thread::Builder::new().name("tidemark-log".to_owned()).spawn(body);
    Ok((thread.map_err(Error::StartThread)?, ended))
}
