//! What the collector has done and how it is: counted by its parts, read by anybody at any time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidemark_schema::Timestamp;
use tidemark_wal::Recovery;

use crate::mode::{FLUSH_STALLED_AFTER, Mode, QUEUE_REFUSAL_LASTS};

/// Why a submission was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The log is being read back or opened again.
    Recovering,
    /// The log cannot be written, or its disk is nearly full.
    ReadOnly,
    /// Too many submissions are on their way to the log.
    Queue,
    /// Too many events wait for the table.
    PendingEvents,
    /// Too many bytes of events wait for the table.
    PendingBytes,
    /// The log has used up its budget.
    LogBudget,
    /// It is larger than the collector ever takes at once.
    TooLarge,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Recovering,
        Self::ReadOnly,
        Self::Queue,
        Self::PendingEvents,
        Self::PendingBytes,
        Self::LogBudget,
        Self::TooLarge,
    ];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recovering => "recovering",
            Self::ReadOnly => "read_only",
            Self::Queue => "queue",
            Self::PendingEvents => "pending_events",
            Self::PendingBytes => "pending_bytes",
            Self::LogBudget => "log_budget",
            Self::TooLarge => "too_large",
        }
    }

    /// After how many seconds another try is worth while. Queues drain within a flush; disks need a person or a retention.
    pub const fn retry_after_s(self) -> u64 {
        match self {
            Self::Queue => 1,
            Self::PendingEvents | Self::PendingBytes | Self::TooLarge => 2,
            Self::Recovering | Self::LogBudget => 5,
            Self::ReadOnly => 10,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was found damaged in the log when it was opened, at the start or after a failure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damage {
    /// How many regions hold no intact record although one belongs there.
    pub regions: u64,
    /// How many records were lost with them.
    pub records_missing: u64,
    /// Where the first of them lie: file, offset, length, and what is wrong.
    pub places: Vec<String>,
    /// Bytes cut off the end of the log: writes that were interrupted, hence never acknowledged.
    pub torn_tail_bytes: u64,
}

/// What the collector has done since it started, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// How much it can do.
    pub mode: Mode,
    /// Since when.
    pub mode_since: Timestamp,
    /// Why, in words.
    pub mode_reason: String,
    /// How often the mode has changed.
    pub transitions: u64,
    /// Events that were new.
    pub accepted: u64,
    /// Events that were known.
    pub duplicates: u64,
    /// Events that were refused, by reason. All reasons are there.
    pub refused: BTreeMap<Refusal, u64>,
    /// Events that are in the table.
    pub flushed: u64,
    /// Flushes that failed; their events wait and are tried again.
    pub flush_failures: u64,
    /// Events that were read from the log at the start, or after it was opened again.
    pub recovered: u64,
    /// How long the recovery at the start took, in milliseconds; `None` until it is complete.
    pub recovery_ms: Option<u64>,
    /// How often the log was opened again after a failure.
    pub reopened: u64,
    /// Records of the log that could not be read; they are kept beside it as `unreadable-<number>.json`.
    pub unreadable: u64,
    /// What was damaged in the log.
    pub damage: Damage,
    /// Events that wait for the next flush.
    pub pending: usize,
    /// The bytes of their records.
    pub pending_bytes: u64,
    /// Bytes of the log on disk.
    pub log_bytes: u64,
    /// Whether events are taken, as far as they fit.
    pub writable: bool,
    /// Whether the last flush worked.
    pub flushing: bool,
}

impl Default for Health {
    fn default() -> Self {
        Shared::new(Timestamp::MIN).health()
    }
}

/// The mode, since when and why.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) mode: Mode,
    pub(crate) since: Timestamp,
    pub(crate) reason: String,
    pub(crate) transitions: u64,
}

/// What is counted while the collector runs, shared by its parts.
pub(crate) struct Shared {
    pub(crate) accepted: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) flushed: AtomicU64,
    pub(crate) flush_failures: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) reopened: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) pending: AtomicUsize,
    pub(crate) pending_bytes: AtomicU64,
    pub(crate) log_bytes: AtomicU64,
    pub(crate) flush_failing: AtomicBool,
    refused: [AtomicU64; Refusal::ALL.len()],
    recovery_ms: Mutex<Option<u64>>,
    standing: Mutex<Standing>,
    damage: Mutex<Damage>,
    /// Why the recovery has not succeeded yet.
    trouble: Mutex<Option<String>>,
    flush_began: Mutex<Option<Instant>>,
    queue_overflowed: Mutex<Option<Instant>>,
    began: Instant,
}

/// A value behind a lock is whole even if a thread died while it held the lock: all writes are single assignments.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(now: Timestamp) -> Self {
        let reason = "the log is being read back into the table".to_owned();
        Self {
            accepted: AtomicU64::default(),
            duplicates: AtomicU64::default(),
            flushed: AtomicU64::default(),
            flush_failures: AtomicU64::default(),
            recovered: AtomicU64::default(),
            reopened: AtomicU64::default(),
            unreadable: AtomicU64::default(),
            pending: AtomicUsize::default(),
            pending_bytes: AtomicU64::default(),
            log_bytes: AtomicU64::default(),
            flush_failing: AtomicBool::default(),
            refused: Default::default(),
            recovery_ms: Mutex::default(),
            standing: Mutex::new(Standing { mode: Mode::Recovering, since: now, reason, transitions: 0 }),
            damage: Mutex::default(),
            trouble: Mutex::default(),
            flush_began: Mutex::default(),
            queue_overflowed: Mutex::default(),
            began: Instant::now(),
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        locked(&self.standing).clone()
    }

    pub(crate) fn stand(&self, standing: Standing) {
        *locked(&self.standing) = standing;
    }

    pub(crate) fn refuse(&self, refusal: Refusal, events: usize) {
        if refusal == Refusal::Queue {
            *locked(&self.queue_overflowed) = Some(Instant::now());
        }
        let index = Refusal::ALL.iter().position(|other| *other == refusal);
        if let Some(count) = index.and_then(|index| self.refused.get(index)) {
            count.fetch_add(events as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn queue_overflowed(&self) -> bool {
        within(*locked(&self.queue_overflowed), QUEUE_REFUSAL_LASTS)
    }

    pub(crate) fn flush_begins(&self) {
        *locked(&self.flush_began) = Some(Instant::now());
    }

    pub(crate) fn flush_ends(&self, worked: bool) {
        *locked(&self.flush_began) = None;
        self.flush_failing.store(!worked, Ordering::Relaxed);
        if !worked {
            self.flush_failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn table_stalled(&self) -> bool {
        let began = *locked(&self.flush_began);
        self.flush_failing.load(Ordering::Relaxed) || began.is_some() && !within(began, FLUSH_STALLED_AFTER)
    }

    /// The log was opened: what was wrong with it adds up.
    pub(crate) fn note_damage(&self, recovery: &Recovery) {
        let mut damage = locked(&self.damage);
        damage.regions += recovery.damage.regions();
        damage.records_missing += recovery.damage.sequences_missing();
        damage.torn_tail_bytes += recovery.torn_tail.as_ref().map_or(0, |tail| tail.bytes);
        let room = tidemark_wal::DAMAGE_LISTED_MAX.saturating_sub(damage.places.len());
        let places = recovery.damage.listed().iter().take(room).map(|found| {
            let (path, offset, bytes, kind) = (found.path.display(), found.offset, found.bytes, found.kind);
            format!("{path} at byte {offset}, {bytes} bytes: {kind:?}")
        });
        damage.places.extend(places);
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }

    pub(crate) fn recovery_failed(&self, why: String) {
        *locked(&self.trouble) = Some(why);
    }

    pub(crate) fn recovery_is_complete(&self) {
        *locked(&self.trouble) = None;
        *locked(&self.recovery_ms) = Some(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX));
    }

    pub(crate) fn health(&self) -> Health {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Standing { mode, since, reason, transitions } = self.standing();
        Health {
            mode,
            mode_since: since,
            mode_reason: reason,
            transitions,
            accepted: count(&self.accepted),
            duplicates: count(&self.duplicates),
            refused: Refusal::ALL.into_iter().zip(self.refused.iter().map(count)).collect(),
            flushed: count(&self.flushed),
            flush_failures: count(&self.flush_failures),
            recovered: count(&self.recovered),
            recovery_ms: *locked(&self.recovery_ms),
            reopened: count(&self.reopened),
            unreadable: count(&self.unreadable),
            damage: locked(&self.damage).clone(),
            pending: self.pending.load(Ordering::Relaxed),
            pending_bytes: count(&self.pending_bytes),
            log_bytes: count(&self.log_bytes),
            writable: mode.takes_events(),
            flushing: !self.flush_failing.load(Ordering::Relaxed),
        }
    }
}

fn within(since: Option<Instant>, lasts: Duration) -> bool {
    since.is_some_and(|since| since.elapsed() < lasts)
}
