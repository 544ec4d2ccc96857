//! The thread that owns the log.
//!
//! It takes submissions in groups: while one fsync runs, the next submissions gather, and one fsync then serves them all
//! (group commit). Events that are durable wait in memory until the table has them, so the log is read only after a
//! crash, and can be closed and opened again while they wait (`tend`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tidemark_schema::Clock;
use tidemark_wal::{Sequence, Storage, Wal};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};

use crate::aside::Aside;
use crate::backoff::Pauses;
use crate::error::{Error, chain};
use crate::flusher::answer;
use crate::health::{Refusal, Shared, Standing};
use crate::message::{Message, Submission};
use crate::mode::{Level, Mode, Observations, Transition, decide};
use crate::pending::Pending;
use crate::recent::RecentIds;
use crate::replay::replay;
use crate::settings::Settings;

/// Opens the storage of the log, at the start and after a failure.
pub(crate) type Opener<T> = Box<dyn FnMut() -> Result<T, tidemark_wal::Error> + Send>;

/// How often the thread looks around when nobody tells it anything, and asks for the free bytes of its disk at most.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// From this size on the log is shortened at each flush, not only every [`Settings::release_after`].
const RELEASE_BYTES: u64 = 4 * 1024 * 1024;

/// Why nothing is written at the moment, although the log is open.
pub(crate) struct Unwritable {
    pub(crate) reason: String,
    /// What could not be written, hence how much a trial writes.
    pub(crate) bytes: u64,
}

/// The log and what belongs to it alone.
pub(crate) struct Log<T> {
    /// `None` from a failure after which it takes no more writes until it is opened again.
    pub(crate) wal: Option<Wal<T>>,
    pub(crate) open: Opener<T>,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) due: Arc<Notify>,
    pub(crate) aside: Aside,
    pub(crate) window: RecentIds,
    pub(crate) pending: Pending,
    /// One past the last record that counts: acknowledged, or found in the log when it was opened.
    pub(crate) durable: Sequence,
    /// The table has everything before this.
    pub(crate) flushed: Sequence,
    /// Whether everything that was in the log at the start is in the table.
    pub(crate) recovered: bool,
    pub(crate) unwritable: Option<Unwritable>,
    /// Whether records that are in the table could not be removed.
    pub(crate) untruncated: bool,
    /// Why the log was closed.
    pub(crate) failure: Option<String>,
    pub(crate) pauses: Pauses,
    /// When a log that failed is tried again.
    pub(crate) try_at: Instant,
    pub(crate) rotated_at: Option<Instant>,
    pub(crate) free: Option<(Instant, Option<u64>)>,
}

impl<T: Storage> Log<T> {
    pub(crate) fn run(mut self, runtime: &Runtime, mut inbox: mpsc::Receiver<Message>) {
        self.note_size();
        let tick = TICK.min(self.settings.log_backoff.first);
        loop {
            match runtime.block_on(async { tokio::time::timeout(tick, inbox.recv()).await }) {
                Ok(Some(message)) => self.take_in(message, &mut inbox),
                Ok(None) => return,
                Err(_) => {}
            }
            self.tend();
            self.observe();
        }
    }

    fn take_in(&mut self, first: Message, inbox: &mut mpsc::Receiver<Message>) {
        let mut submissions: Vec<Submission> = Vec::new();
        let mut message = Some(first);
        while let Some(next) = message {
            match next {
                Message::Submit(submission) => submissions.push(submission),
                other => self.handle(other),
            }
            // A group has an end, or a steady stream would wait for its answers for ever.
            message = if submissions.len() < self.settings.queue { inbox.try_recv().ok() } else { None };
        }
        self.write(submissions);
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Submit(submission) => self.write(vec![submission]),
            Message::Target { seal, reply } => answer(reply, self.seal(seal).map(|()| self.durable.get())),
            Message::Take { before, reply } => {
                let oldest = self.pending.oldest(before, self.settings.flush_events, self.settings.flush_bytes);
                answer(reply, Ok(oldest));
            }
            Message::Flushed { next, reply } => {
                let next = Sequence::try_from(next).unwrap_or(Sequence::MAX);
                answer(reply, self.forget(next));
            }
            Message::Replay { from, reply } => {
                let (events, bytes) = (self.settings.flush_events, self.settings.flush_bytes);
                let replayed = match &self.wal {
                    Some(wal) => replay(wal, from, events, bytes, &mut self.aside, &self.shared),
                    None => Err(self.refusal()),
                };
                answer(reply, replayed);
            }
            Message::Recovered { window, ahead, reply } => {
                let recovered = self.finish_recovery(window, ahead);
                self.observe();
                answer(reply, recovered);
            }
        }
    }

    /// What is answered while nothing is taken.
    pub(crate) fn refusal(&self) -> Error {
        refusal_of(&self.shared.standing())
    }

    /// Begins a new segment if the present one has been open for long enough, so that what the coming flush stores can be
    /// removed from the disk right after it. While the table takes nothing, it would only make many small segments.
    fn seal(&mut self, now: bool) -> Result<(), Error> {
        let Some(wal) = &mut self.wal else { return if now { Err(self.refusal()) } else { Ok(()) } };
        let old = self.rotated_at.is_none_or(|at| at.elapsed() >= self.settings.release_after);
        let flushing = !self.shared.flush_failing.load(Ordering::Relaxed);
        if !now && !(flushing && (old || wal.bytes() >= RELEASE_BYTES)) {
            return Ok(());
        }
        match wal.rotate() {
            Ok(rotated) => {
                if rotated || old {
                    self.rotated_at = Some(Instant::now());
                }
                self.note_size();
                Ok(())
            }
            Err(error) => {
                self.note_failure(&error, 0);
                if now { Err(Error::Forget(error)) } else { Ok(()) }
            }
        }
    }

    /// The table has everything before `next`.
    fn forget(&mut self, next: Sequence) -> Result<(), Error> {
        self.flushed = self.flushed.max(next);
        self.pending.forget_before(next.get());
        self.note_size();
        self.truncate().map_err(Error::Forget)
    }

    pub(crate) fn truncate(&mut self) -> Result<(), tidemark_wal::Error> {
        // A log that is closed is shortened once it is open again.
        self.untruncated = true;
        let Some(wal) = &mut self.wal else { return Ok(()) };
        let truncated = wal.truncate_before(self.flushed.min(wal.durable_sequence()));
        self.note_size();
        match truncated {
            Ok(_) => self.untruncated = false,
            Err(error) => {
                self.note_failure(&error, 0);
                return Err(error);
            }
        }
        Ok(())
    }

    fn finish_recovery(&mut self, window: RecentIds, ahead: Sequence) -> Result<(), Error> {
        let Some(wal) = &mut self.wal else { return Err(self.refusal()) };
        if ahead > wal.next_sequence() {
            // The log was lost or replaced: its next records must not get numbers that the table takes for known.
            tracing::warn!(table = ahead.get(), log = wal.next_sequence().get(), "the table is ahead of the log");
            if let Err(error) = wal.advance_to(ahead) {
                self.note_failure(&error, 0);
                return Err(Error::Recover(error.into()));
            }
        }
        (self.durable, self.flushed) = (wal.next_sequence(), wal.next_sequence());
        self.window = window;
        self.recovered = true;
        self.shared.recovery_is_complete();
        // What could not be removed is tried again; the recovery is complete without it.
        let _removed = self.truncate();
        Ok(())
    }

    /// Judges an error of the log: closes it if it takes no more writes, and says when it is tried again.
    pub(crate) fn note_failure(&mut self, error: &tidemark_wal::Error, bytes: u64) {
        use tidemark_wal::Error as Failed;
        let pause = self.pauses.after_failure();
        let reason = chain(error);
        tracing::error!(error = %reason, again_in = ?pause, "the write-ahead log failed");
        self.try_at = Instant::now() + pause;
        match error {
            _ if error.is_poisoned() => {
                self.wal = None;
                self.failure = Some(reason.clone());
                // A log that can be opened can not always be written: a trial must work before it takes events.
                self.unwritable = Some(Unwritable { reason, bytes });
            }
            Failed::RemovingSegment { .. } | Failed::SyncingFolder { .. } if bytes == 0 => self.untruncated = true,
            _ => self.unwritable = Some(Unwritable { reason, bytes }),
        }
    }

    pub(crate) fn note_size(&self) {
        self.shared.pending.store(self.pending.len(), Ordering::Relaxed);
        self.shared.pending_bytes.store(self.pending.bytes(), Ordering::Relaxed);
        if let Some(wal) = &self.wal {
            self.shared.log_bytes.store(wal.bytes(), Ordering::Relaxed);
        }
    }

    /// Decides the mode from what is to be seen, and tells of a change.
    pub(crate) fn observe(&mut self) {
        let free_bytes = match self.free {
            Some((at, free)) if at.elapsed() < TICK => free,
            _ => {
                let free = self.settings.free_bytes.ask();
                self.free = Some((Instant::now(), free));
                free
            }
        };
        let recovering = self.why_recovering();
        let shared = &self.shared;
        let seen = Observations {
            recovering: recovering.as_deref(),
            unwritable: self.unwritable.as_ref().map(|unwritable| unwritable.reason.as_str()),
            free_bytes,
            reserve_bytes: self.settings.disk_reserve_bytes,
            pending: Level { used: self.pending.len() as u64, limit: self.settings.pending_events as u64 },
            pending_bytes: Level { used: self.pending.bytes(), limit: self.settings.pending_bytes },
            log_bytes: Level { used: shared.log_bytes.load(Ordering::Relaxed), limit: self.settings.log.budget_bytes },
            table_stalled: shared.table_stalled(),
            queue_overflowed: shared.queue_overflowed(),
        };
        let before = shared.standing();
        let (mode, reason) = decide(before.mode, &seen);
        if mode == before.mode {
            if reason != before.reason {
                shared.stand(Standing { reason, ..before });
            }
            return;
        }
        let at = self.clock.now();
        let transition = Transition { at, from: before.mode, to: mode, reason: reason.clone() };
        shared.stand(Standing { mode, since: at, reason, transitions: before.transitions + 1 });
        tracing::warn!(from = %transition.from, to = %mode, reason = %transition.reason, "the mode has changed");
        if let Some(observer) = &self.settings.on_transition {
            observer.tell(&transition);
        }
    }

    fn why_recovering(&self) -> Option<String> {
        if let (None, Some(failure)) = (&self.wal, &self.failure) {
            return Some(format!("the log is being opened again: {failure}"));
        }
        if self.recovered {
            return None;
        }
        let trouble = self.shared.trouble().map_or_else(String::new, |why| format!("; the last try failed: {why}"));
        Some(format!("the log is being read back into the table{trouble}"))
    }
}

/// The error for a submission that meets a mode in which nothing is taken.
pub(crate) fn refusal_of(standing: &Standing) -> Error {
    let Standing { mode, reason, .. } = standing;
    let refusal = if *mode == Mode::ReadOnly { Refusal::ReadOnly } else { Refusal::Recovering };
    Error::Refused { mode: *mode, refusal, reason: reason.clone(), retry_after_s: refusal.retry_after_s() }
}
