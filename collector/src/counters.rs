//! What the parts of a running collector tell each other, and the world, about how it is.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tidemark_schema::Timestamp;

use crate::mode::{Mode, Transition};

/// What the collector has done since it started, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// How it takes events.
    pub mode: Mode,
    /// Since when; none before the first look.
    pub mode_since: Option<Timestamp>,
    /// Why, in words.
    pub mode_reason: String,
    /// How often the mode changed.
    pub transitions: u64,
    /// Events that were new.
    pub accepted: u64,
    /// Events that were known.
    pub duplicates: u64,
    /// Events that were refused because of the mode or a limit; their senders were told.
    pub refused: u64,
    /// Events that are in the table.
    pub flushed: u64,
    /// Flushes that failed; their events wait and are tried again.
    pub flush_failures: u64,
    /// Events that were read from the log at the start.
    pub recovered: u64,
    /// Records of the log that could not be read; they lie beside it in files named `unreadable-…`.
    pub unreadable: u64,
    /// Milliseconds that reading the log at the start took.
    pub recovery_ms: u64,
    /// Times that the log was opened again after a failure.
    pub reopened: u64,
    /// Damaged places that were found in the log: file, byte and what is missing.
    pub damage: Vec<String>,
    /// Events that wait for the next flush.
    pub pending: usize,
    /// Their bytes in the log.
    pub pending_bytes: usize,
    /// Bytes of the log on disk.
    pub log_bytes: u64,
    /// Whether the last flush worked.
    pub flushing: bool,
}

/// What is counted while the collector runs, shared by its parts.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) flushed: AtomicU64,
    pub(crate) flush_failures: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) recovery_ms: AtomicU64,
    pub(crate) reopened: AtomicU64,
    pub(crate) pending: AtomicUsize,
    pub(crate) pending_bytes: AtomicUsize,
    pub(crate) log_bytes: AtomicU64,
    pub(crate) flush_failing: AtomicBool,
    pub(crate) state: Mutex<State>,
}

/// What changes together.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) mode: Mode,
    pub(crate) since: Option<Timestamp>,
    pub(crate) reason: String,
    pub(crate) transitions: u64,
    pub(crate) damage: Vec<String>,
}

impl Counters {
    /// Sets the mode; a change of it is given back.
    pub(crate) fn enter(&self, at: Timestamp, mode: Mode, reason: String) -> Option<Transition> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let from = state.mode;
        if from == mode && state.since.is_some() {
            state.reason = reason;
            return None;
        }
        let first = state.since.is_none() && from == mode;
        state.mode = mode;
        state.since = Some(at);
        state.reason.clone_from(&reason);
        if first {
            return None;
        }
        state.transitions += 1;
        Some(Transition { at, from, to: mode, reason })
    }

    pub(crate) fn mode(&self) -> (Mode, String) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.mode, state.reason.clone())
    }

    pub(crate) fn damaged(&self, places: Vec<String>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).damage.extend(places);
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Health {
            mode: state.mode,
            mode_since: state.since,
            mode_reason: state.reason.clone(),
            transitions: state.transitions,
            accepted: count(&self.accepted),
            duplicates: count(&self.duplicates),
            refused: count(&self.refused),
            flushed: count(&self.flushed),
            flush_failures: count(&self.flush_failures),
            recovered: count(&self.recovered),
            unreadable: count(&self.unreadable),
            recovery_ms: count(&self.recovery_ms),
            reopened: count(&self.reopened),
            damage: state.damage.clone(),
            pending: self.pending.load(Ordering::Relaxed),
            pending_bytes: self.pending_bytes.load(Ordering::Relaxed),
            log_bytes: count(&self.log_bytes),
            flushing: !self.flush_failing.load(Ordering::Relaxed),
        }
    }
}
