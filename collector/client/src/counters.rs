use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What became of what was recorded. Whenever nothing moves, `recorded` is the sum of `acknowledged`, `rejected`, all that
/// was dropped, `spilled` and `waiting`; after the end nothing is `waiting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Events that were given to the recorder, and those of earlier processes that it took over from the spill directory.
    pub recorded: u64,
    /// Events of which the server said that they are on its disk.
    pub acknowledged: u64,
    /// Those of them that it had already: an answer to an earlier try was lost.
    pub acknowledged_again: u64,
    /// Events that the server refused for what they are.
    pub rejected: u64,
    /// Events that held NaN or an infinite number, which JSON has not: it was left out and the rest sent. They are counted
    /// with the others as well.
    pub not_finite: u64,
    /// Events that were dropped because too many waited, or because they were recorded after the end.
    pub dropped_queue_full: u64,
    /// Events that were dropped because the server did not take them in all tries.
    pub dropped_gave_up: u64,
    /// Events that were dropped because the spill directory was full, or could not be written or read.
    pub dropped_spill_full: u64,
    /// Events that were dropped because the recorder was closed and its time was over.
    pub dropped_at_end: u64,
    /// Events that wait in memory.
    pub waiting: u64,
    /// Events in the spill directory that are this recorder's to send.
    pub spilled: u64,
    /// Requests that were tried again.
    pub retries: u64,
}

impl Counters {
    /// All that was dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped_queue_full + self.dropped_gave_up + self.dropped_spill_full + self.dropped_at_end
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counting {
    pub(crate) recorded: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) acknowledged_again: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) not_finite: AtomicU64,
    pub(crate) dropped_queue_full: AtomicU64,
    pub(crate) dropped_gave_up: AtomicU64,
    pub(crate) dropped_spill_full: AtomicU64,
    pub(crate) dropped_at_end: AtomicU64,
    pub(crate) waiting: AtomicU64,
    pub(crate) spilled: AtomicU64,
    pub(crate) retries: AtomicU64,
    last_error: Mutex<Option<String>>,
}

pub(crate) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

/// Never below zero: a counter that is wrong by a few is better than one that is wrong by 2^64.
pub(crate) fn subtract(counter: &AtomicU64, count: usize) {
    let mut value = counter.load(Ordering::Relaxed);
    while let Err(changed) =
        counter.compare_exchange_weak(value, value.saturating_sub(count as u64), Ordering::Relaxed, Ordering::Relaxed)
    {
        value = changed;
    }
}

impl Counting {
    pub(crate) fn read(&self) -> Counters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            recorded: of(&self.recorded),
            acknowledged: of(&self.acknowledged),
            acknowledged_again: of(&self.acknowledged_again),
            rejected: of(&self.rejected),
            not_finite: of(&self.not_finite),
            dropped_queue_full: of(&self.dropped_queue_full),
            dropped_gave_up: of(&self.dropped_gave_up),
            dropped_spill_full: of(&self.dropped_spill_full),
            dropped_at_end: of(&self.dropped_at_end),
            waiting: of(&self.waiting),
            spilled: of(&self.spilled),
            retries: of(&self.retries),
        }
    }

    /// Why something went wrong, for whoever asks.
    pub(crate) fn tell(&self, error: impl Into<String>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.into());
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
