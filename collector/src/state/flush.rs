//! When durable events go into the table, in batches of a bounded size, and when that is tried again.

use std::time::Duration;

use tidemark_schema::{Ingest, Stored};
use tidemark_wal::{Error as WalError, Sequence, Status};

use super::pending::Waiting;
use super::{State, Work};
use crate::effect::{Effect, LogCall, TableCall};
use crate::error::{Error, chain};
use crate::sink::{Batch, SinkError};

/// From this size on the log is shortened at each flush, not only every [`crate::Settings::release_after`].
const RELEASE_BYTES: u64 = 4 * 1024 * 1024;

/// A flush that is under way. Its events stay pending until the table has them.
#[derive(Clone, Copy)]
pub(super) struct Flush {
    /// Whether somebody waits for it.
    pub(super) requested: bool,
    /// Whether the log must hold nothing of what is in the table when it is done.
    pub(super) forgets: bool,
    /// It stores everything before this: what was durable when it began.
    target: Sequence,
    pub(super) step: FlushStep,
}

/// What a flush waits for.
#[derive(Clone, Copy)]
pub(super) enum FlushStep {
    /// A new segment begins.
    Seal,
    /// The table stores so many events, all before `next`.
    Store { events: u64, next: Sequence },
    /// What it stored leaves the log.
    Truncate,
}

impl State {
    /// When a flush or a recovery begins, if nothing happens before.
    pub(super) fn work_at(&self) -> Duration {
        match self.work {
            Work::Recovering(_) | Work::Flushing(_) => Duration::MAX,
            Work::Idle if !self.requests.is_empty() => Duration::ZERO,
            Work::Idle if !self.recovered => self.table_retry_at.unwrap_or_default(),
            Work::Idle => match self.table_retry_at {
                Some(retry_at) => retry_at,
                None if self.flush_due => Duration::ZERO,
                None => self.next_flush_at,
            },
        }
    }

    pub(super) fn begin_work(&mut self) {
        if self.now.elapsed < self.work_at() {
            return;
        }
        if self.recovered {
            let request = self.requests.pop_front();
            self.begin_flush(request);
        } else {
            self.begin_recovery();
        }
    }

    pub(super) fn request(&mut self, forget: bool) {
        if self.recovered {
            return self.requests.push_back(forget);
        }
        let why = self.recovery_failure.clone().unwrap_or_else(|| "the log is still being read back".to_owned());
        self.effects.push(Effect::AnswerRequest(Err(Error::Recover(why.into()))));
    }

    pub(super) fn flush_interval(&self) -> Duration {
        self.settings.flush_interval.max(Duration::from_millis(1))
    }

    fn begin_flush(&mut self, request: Option<bool>) {
        self.flush_due = false;
        if self.now.elapsed >= self.next_flush_at {
            self.next_flush_at = self.now.elapsed + self.flush_interval();
        }
        let (requested, forgets) = (request.is_some(), request.unwrap_or(false));
        let flush = Flush { requested, forgets, target: self.durable, step: FlushStep::Seal };
        match &self.log {
            None if forgets => self.finish_flush(requested, Err(self.health.refusal())),
            Some(log) if forgets || self.should_seal(log) => {
                self.work = Work::Flushing(flush);
                self.ask_log(LogCall::Rotate);
            }
            _ => self.store_next(flush),
        }
    }

    /// Whether the present segment has been open for long enough, so that what the coming flush stores can be removed from
    /// the disk right after it. While the table takes nothing, it would only make many small segments.
    fn should_seal(&self, log: &Status) -> bool {
        self.health.flushing
            && (!self.is_within(self.rotated_at, self.settings.release_after) || log.bytes >= RELEASE_BYTES)
    }

    pub(super) fn rotated(&mut self, rotated: Result<bool, WalError>) {
        let Work::Flushing(flush) = std::mem::replace(&mut self.work, Work::Idle) else { return };
        match rotated {
            Ok(rotated) => {
                if rotated || !self.is_within(self.rotated_at, self.settings.release_after) {
                    self.rotated_at = Some(self.now.elapsed);
                }
                self.store_next(flush);
            }
            Err(error) => {
                self.note_failure(&error, 0);
                if flush.forgets {
                    self.finish_flush(flush.requested, Err(Error::Forget(error)));
                } else {
                    self.store_next(flush);
                }
            }
        }
    }

    fn store_next(&mut self, flush: Flush) {
        let (events, bytes) = (self.settings.flush_events, self.settings.flush_bytes);
        let oldest = self.pending.oldest(flush.target, events, bytes);
        let Some(next) = oldest.last().map(|last| last.sequence.next()) else { return self.nothing_left(flush) };
        let step = FlushStep::Store { events: oldest.len() as u64, next };
        let mut batch = Batch::default();
        for Waiting { sequence, row, .. } in oldest {
            let uncertain = sequence < self.uncertain_before;
            batch.push(if uncertain { Stored { ingest: Ingest::Replayed, ..row } } else { row });
        }
        // Until it has succeeded, also if this is given up half way.
        self.uncertain_before = self.uncertain_before.max(next);
        self.flush_began = Some(self.now.elapsed);
        self.work = Work::Flushing(Flush { step, ..flush });
        self.ask_table(TableCall::Store { batch, next });
    }

    pub(super) fn stored(&mut self, flush: Flush, stored: Result<(), SinkError>) {
        let FlushStep::Store { events, next } = flush.step else { return };
        self.flush_began = None;
        self.health.flushing = stored.is_ok();
        if let Err(error) = stored {
            self.health.flush_failures += 1;
            return self.finish_flush(flush.requested, Err(Error::Flush(error)));
        }
        self.health.flushed += events;
        self.flushed = self.flushed.max(next);
        self.pending.forget_before(next);
        self.untruncated = true;
        self.store_next(flush);
    }

    fn nothing_left(&mut self, flush: Flush) {
        if flush.forgets {
            self.flushed = self.flushed.max(flush.target);
        }
        match self.log {
            Some(log) if flush.forgets || self.untruncated => {
                self.work = Work::Flushing(Flush { step: FlushStep::Truncate, ..flush });
                self.truncate(log);
            }
            // The records are there until the log is open again.
            None if flush.forgets => self.finish_flush(flush.requested, Err(self.health.refusal())),
            _ => self.finish_flush(flush.requested, Ok(())),
        }
    }

    pub(super) fn finish_flush(&mut self, requested: bool, result: Result<(), Error>) {
        self.work = Work::Idle;
        self.table_retry_at = match &result {
            Ok(()) => {
                self.table_pauses.reset();
                None
            }
            Err(error) => {
                let pause = self.table_pauses.after_failure();
                tracing::error!(error = %chain(error), again_in = ?pause, "a flush failed and will be tried again");
                Some(self.now.elapsed + pause)
            }
        };
        if requested {
            self.effects.push(Effect::AnswerRequest(result));
        }
    }
}
