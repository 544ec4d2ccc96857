//! What the collector has done and how it is: counted by [`crate::state::State`], read by anybody at any time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidemark_schema::Timestamp;
use tidemark_wal::Recovery;

use crate::error::Error;
use crate::mode::Mode;

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
        Self {
            mode: Mode::Recovering,
            mode_since: Timestamp::MIN,
            mode_reason: "the log is being read back into the table".to_owned(),
            transitions: 0,
            accepted: 0,
            duplicates: 0,
            refused: Refusal::ALL.into_iter().map(|refusal| (refusal, 0)).collect(),
            flushed: 0,
            flush_failures: 0,
            recovered: 0,
            recovery_ms: None,
            reopened: 0,
            unreadable: 0,
            damage: Damage::default(),
            pending: 0,
            pending_bytes: 0,
            log_bytes: 0,
            writable: false,
            flushing: true,
        }
    }
}

impl Damage {
    /// A log was opened: what was wrong with it adds up.
    pub(crate) fn add(&mut self, opened: &Recovery) {
        self.regions += opened.damage.regions();
        self.records_missing += opened.damage.sequences_missing();
        self.torn_tail_bytes += opened.torn_tail.as_ref().map_or(0, |tail| tail.bytes);
        let room = tidemark_wal::DAMAGE_LISTED_MAX.saturating_sub(self.places.len());
        let places = opened.damage.listed().iter().take(room).map(|found| {
            let (path, offset, bytes, kind) = (found.path.display(), found.offset, found.bytes, found.kind);
            format!("{path} at byte {offset}, {bytes} bytes: {kind:?}")
        });
        self.places.extend(places);
    }
}

impl Health {
    pub(crate) fn set_mode(&mut self, mode: Mode, now: Timestamp) {
        (self.mode, self.mode_since, self.writable) = (mode, now, mode.takes_events());
        self.transitions += 1;
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal, events: usize) {
        *self.refused.entry(refusal).or_default() += events as u64;
    }

    /// The error for a submission that meets a mode in which nothing is taken.
    pub(crate) fn refusal(&self) -> Error {
        let refusal = if self.mode == Mode::ReadOnly { Refusal::ReadOnly } else { Refusal::Recovering };
        let (mode, reason, retry_after_s) = (self.mode, self.mode_reason.clone(), refusal.retry_after_s());
        Error::Refused { mode, refusal, reason, retry_after_s }
    }
}

/// What the thread of the log publishes, and what is refused before it gets there.
pub(crate) struct Published {
    health: Mutex<Health>,
    refused: [AtomicU64; Refusal::ALL.len()],
    queue_overflowed: AtomicBool,
}

impl Published {
    pub(crate) fn new(health: Health) -> Self {
        let (refused, queue_overflowed) = Default::default();
        Self { health: Mutex::new(health), refused, queue_overflowed }
    }

    /// A value behind a lock is whole even if a thread died while it held the lock: all writes are single assignments.
    pub(crate) fn latest(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(&self, health: &Health) {
        let mut latest = self.latest();
        if *latest != *health {
            latest.clone_from(health);
        }
    }

    pub(crate) fn refuse(&self, refusal: Refusal, events: usize) {
        if refusal == Refusal::Queue {
            self.queue_overflowed.store(true, Ordering::Relaxed);
        }
        let index = Refusal::ALL.iter().position(|other| *other == refusal);
        if let Some(count) = index.and_then(|index| self.refused.get(index)) {
            count.fetch_add(events as u64, Ordering::Relaxed);
        }
    }

    /// Whether a submission found the queue full since this was asked last.
    pub(crate) fn queue_has_overflowed(&self) -> bool {
        self.queue_overflowed.swap(false, Ordering::Relaxed)
    }

    /// Everything, with what was refused before it got to the thread of the log.
    pub(crate) fn health(&self) -> Health {
        let mut health = self.latest().clone();
        for (refusal, count) in Refusal::ALL.into_iter().zip(&self.refused) {
            *health.refused.entry(refusal).or_default() += count.load(Ordering::Relaxed);
        }
        health
    }
}
