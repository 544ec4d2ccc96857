//! Everything the collector decides, as a function of what happened: `(state, now, input) -> effects`.
//!
//! What is a duplicate, what is refused and why, what waits for the table and when it goes there, when the log is
//! shortened, opened again or tried, in which [`crate::Mode`] the collector is. Nothing here reads a clock or a file, or waits:
//! `driver` does what the effects say and comes back with the answers.
//!
//! | file | it decides |
//! |---|---|
//! | `submissions` | duplicates, refusals, what is written with the next fsync |
//! | `flush` | when events go into the table, and what is tried again |
//! | `recovery` | what a start reads back from the log |
//! | `maintenance` | when the log is shortened, and how it comes back after a failure |

mod flush;
mod maintenance;
mod pending;
mod recovery;
mod submissions;

use std::collections::VecDeque;
use std::time::Duration;

use tidemark_wal::{Recovery, Sequence, Status};

use crate::backoff::Pauses;
use crate::effect::{Effect, Input, LogAnswer, LogCall, LogDone, Now, TableCall};
use crate::health::Health;
use crate::mode::{FLUSH_STALLED_AFTER, Level, Observations, QUEUE_REFUSAL_LASTS, Transition, decide};
use crate::recent::RecentIds;
use crate::settings::Settings;
use flush::Flush;
use maintenance::Unwritable;
use pending::Pending;
use recovery::{Replayed, Step};
use submissions::Group;

/// What is under way with the table.
enum Work {
    Idle,
    Recovering(Step),
    Flushing(Flush),
}

/// The collector between two inputs.
pub(crate) struct State {
    settings: Settings,
    now: Now,
    health: Health,
    effects: Vec<Effect>,
    window: RecentIds,
    pending: Pending,
    /// What is being written.
    group: Option<Group>,

    /// `None` from a failure after which it takes no more writes until it is open again.
    log: Option<Status>,
    /// Set while a log that was opened again is made to agree with what was acknowledged.
    reopened: Option<(Status, Recovery)>,
    /// Set while unreadable records that lay between these are set aside.
    replayed: Option<Replayed>,
    /// One past the last record that counts: acknowledged, or found in the log when it was opened.
    durable: Sequence,
    /// The table has everything before this.
    flushed: Sequence,
    unwritable: Option<Unwritable>,
    /// Whether records that are in the table could not be removed.
    untruncated: bool,
    /// Why the log was closed.
    failure: Option<String>,
    log_pauses: Pauses,
    /// When a log that failed is tried again.
    log_retry_at: Duration,
    rotated_at: Option<Duration>,
    /// Unreadable records before this number have been counted.
    unreadable_before: Sequence,
    free_bytes: Option<u64>,
    queue_overflowed_at: Option<Duration>,

    work: Work,
    /// Whether everything that was in the log at the start is in the table.
    recovered: bool,
    /// Why not yet.
    recovery_failure: Option<String>,
    /// What is asked of each flush that somebody waits for: whether it forgets.
    requests: VecDeque<bool>,
    table_pauses: Pauses,
    /// When the table is tried again after a failure.
    table_retry_at: Option<Duration>,
    next_flush_at: Duration,
    /// Whether a flush is wanted before its time.
    flush_due: bool,
    flush_began: Option<Duration>,
    /// Events before this number were in a flush that failed. One of the two tables may have its part, so from then on
    /// they count as resends, which are looked up before they are stored.
    uncertain_before: Sequence,
}

impl State {
    /// The state after the log was opened for the first time.
    pub(crate) fn new(settings: Settings, now: Now, log: Status, opened: &Recovery) -> Self {
        let mut health = Health { mode_since: now.wall, log_bytes: log.bytes, ..Health::default() };
        health.damage.add(opened);
        Self {
            window: RecentIds::new(settings.recent_ids, now.wall, Vec::new()),
            log_pauses: Pauses::new(settings.log_backoff),
            table_pauses: Pauses::new(settings.flush_backoff),
            settings,
            now,
            health,
            effects: Vec::new(),
            pending: Pending::default(),
            group: None,
            log: Some(log),
            reopened: None,
            replayed: None,
            durable: log.next,
            flushed: Sequence::FIRST,
            unwritable: None,
            untruncated: false,
            failure: None,
            log_retry_at: Duration::ZERO,
            rotated_at: None,
            unreadable_before: Sequence::FIRST,
            free_bytes: None,
            queue_overflowed_at: None,
            work: Work::Idle,
            recovered: false,
            recovery_failure: None,
            requests: VecDeque::new(),
            table_retry_at: None,
            next_flush_at: Duration::ZERO,
            flush_due: false,
            flush_began: None,
            uncertain_before: Sequence::FIRST,
        }
    }

    /// Takes an input in, and says what is to be done, in this order.
    pub(crate) fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::Submissions(submissions) => self.submit(submissions),
            Input::Request { forget } => self.request(forget),
            Input::Log(answer) => self.log_answered(answer),
            Input::Table(answer) => match std::mem::replace(&mut self.work, Work::Idle) {
                Work::Recovering(step) => self.continue_recovery(step, answer),
                Work::Flushing(flush) => self.stored(flush, answer.map(|_| ())),
                Work::Idle => {}
            },
            Input::Tick { free_bytes, queue_overflowed } => {
                self.free_bytes = free_bytes;
                if queue_overflowed {
                    self.queue_overflowed_at = Some(now.elapsed);
                }
                // A step asks one thing of the log.
                if !self.maintain() {
                    self.begin_work();
                }
            }
        }
        self.observe();
        std::mem::take(&mut self.effects)
    }

    fn log_answered(&mut self, LogAnswer { done, log }: LogAnswer) {
        match (&mut self.reopened, log) {
            (Some((status, _)), Some(log)) => *status = log,
            (None, log) if self.log.is_some() => self.log = log,
            _ => {}
        }
        match done {
            LogDone::Opened(opened) => self.log_opened(opened, log),
            LogDone::Appended(first) => self.appended(first),
            LogDone::Probed(probed) => self.probed(probed),
            LogDone::Rotated(rotated) => self.rotated(rotated),
            LogDone::Truncated(truncated) => self.truncated(truncated),
            LogDone::Advanced(advanced) => self.advanced(advanced),
            LogDone::Read(read) => self.read(read),
            LogDone::Quarantined(kept) => self.quarantined(kept),
        }
    }

    /// When there is something to do although nothing happens.
    pub(crate) fn wake_at(&self) -> Duration {
        let maintenance = if self.needs_maintenance() { self.log_retry_at } else { Duration::MAX };
        maintenance.min(self.work_at())
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    fn ask_log(&mut self, call: LogCall) {
        self.effects.push(Effect::Log(call));
    }

    fn ask_table(&mut self, call: TableCall) {
        self.effects.push(Effect::Table(call));
    }

    fn is_within(&self, since: Option<Duration>, lasts: Duration) -> bool {
        since.is_some_and(|since| self.now.elapsed.saturating_sub(since) < lasts)
    }

    /// Decides the mode from what is to be seen, and announces a change.
    fn observe(&mut self) {
        let health = &mut self.health;
        (health.pending, health.pending_bytes) = (self.pending.len(), self.pending.bytes());
        if let Some(log) = &self.log {
            health.log_bytes = log.bytes;
        }
        let recovering = self.why_recovering();
        let (health, settings) = (&self.health, &self.settings);
        let stalled = self.flush_began.is_some() && !self.is_within(self.flush_began, FLUSH_STALLED_AFTER);
        let seen = Observations {
            recovering: recovering.as_deref(),
            unwritable: self.unwritable.as_ref().map(|unwritable| unwritable.reason.as_str()),
            free_bytes: self.free_bytes,
            reserve_bytes: settings.disk_reserve_bytes,
            pending: Level { used: health.pending as u64, limit: settings.pending_events as u64 },
            pending_bytes: Level { used: health.pending_bytes, limit: settings.pending_bytes },
            log_bytes: Level { used: health.log_bytes, limit: settings.log.budget_bytes },
            table_stalled: !health.flushing || stalled,
            queue_overflowed: self.is_within(self.queue_overflowed_at, QUEUE_REFUSAL_LASTS),
        };
        let (mode, reason) = decide(health.mode, &seen);
        if mode != health.mode {
            let transition = Transition { at: self.now.wall, from: health.mode, to: mode, reason: reason.clone() };
            self.effects.push(Effect::Announce(transition));
            self.health.set_mode(mode, self.now.wall);
        }
        self.health.mode_reason = reason;
    }

    fn why_recovering(&self) -> Option<String> {
        if let (None, Some(failure)) = (&self.log, &self.failure) {
            return Some(format!("the log is being opened again: {failure}"));
        }
        if self.recovered {
            return None;
        }
        let failure = self.recovery_failure.as_ref();
        let failure = failure.map_or_else(String::new, |why| format!("; the last try failed: {why}"));
        Some(format!("the log is being read back into the table{failure}"))
    }
}
