//! How the log is shortened, and how a log that failed comes back by itself.

use std::ops::RangeInclusive;

use tidemark_schema::{Ingest, Stored};
use tidemark_wal::{Error as WalError, Recovery, Status};

use super::flush::{Flush, FlushStep};
use super::pending::Waiting;
use super::recovery::Replayed;
use super::{State, Work};
use crate::effect::{Effect, LogCall};
use crate::error::{Error, chain};

/// A trial on a full disk writes at least and at most this much.
const PROBE_BYTES: RangeInclusive<u64> = 64 * 1024..=16 * 1024 * 1024;

/// Why nothing is written at the moment, although the log is open.
pub(super) struct Unwritable {
    pub(super) reason: String,
    /// What could not be written, hence how much a trial writes.
    bytes: u64,
}

impl State {
    pub(super) fn needs_maintenance(&self) -> bool {
        self.log.is_none() || self.unwritable.is_some() || self.untruncated
    }

    /// Opens the log again, tries whether the disk has room, and removes what could not be removed, when it is time. Says
    /// whether anything is done.
    pub(super) fn maintain(&mut self) -> bool {
        if !self.needs_maintenance() || self.now.elapsed < self.log_retry_at {
            return false;
        }
        match (self.log, &self.unwritable) {
            (None, _) => self.ask_log(LogCall::Open),
            (Some(_), Some(unwritable)) => {
                let (least, most) = PROBE_BYTES.into_inner();
                self.ask_log(LogCall::Probe(unwritable.bytes.clamp(least, most)));
            }
            (Some(log), None) => self.truncate(log),
        }
        true
    }

    pub(super) fn probed(&mut self, probed: Result<(), WalError>) {
        match probed {
            Ok(()) => {
                self.unwritable = None;
                self.maintain();
            }
            Err(error) => {
                let bytes = self.unwritable.as_ref().map_or(0, |unwritable| unwritable.bytes);
                self.note_failure(&error, bytes.max(1));
            }
        }
    }

    /// Removes what is in the table from the log.
    pub(super) fn truncate(&mut self, log: Status) {
        self.untruncated = true;
        self.ask_log(LogCall::TruncateBefore(self.flushed.min(log.durable)));
    }

    pub(super) fn truncated(&mut self, truncated: Result<(), WalError>) {
        match &truncated {
            Ok(()) => self.untruncated = false,
            Err(error) => self.note_failure(error, 0),
        }
        if let Work::Flushing(Flush { step: FlushStep::Truncate, forgets, requested, .. }) = self.work {
            // What could not be removed is tried again, and counts only for those who need to know.
            let result = if forgets { truncated.map_err(Error::Forget) } else { Ok(()) };
            self.finish_flush(requested, result);
        }
    }

    /// Judges an error of the log: closes it if it takes no more writes, and says when it is tried again. `bytes` is what
    /// could not be written.
    pub(super) fn note_failure(&mut self, error: &WalError, bytes: u64) {
        let pause = self.log_pauses.after_failure();
        let reason = chain(error);
        tracing::error!(error = %reason, again_in = ?pause, "the write-ahead log failed");
        self.log_retry_at = self.now.elapsed + pause;
        match error {
            _ if error.is_poisoned() => {
                self.close_log(reason.clone());
                // A log that can be opened can not always be written: a trial must work before it takes events.
                self.unwritable = Some(Unwritable { reason, bytes });
            }
            WalError::RemovingSegment { .. } | WalError::SyncingFolder { .. } if bytes == 0 => self.untruncated = true,
            _ => self.unwritable = Some(Unwritable { reason, bytes }),
        }
    }

    fn close_log(&mut self, failure: String) {
        (self.log, self.reopened) = (None, None);
        self.failure = Some(failure);
        self.effects.push(Effect::CloseLog);
    }

    /// Makes a log that was opened again agree with what was acknowledged.
    ///
    /// A failed fsync cut off what was not durable, so the log usually ends where the acknowledged events do. If the cut
    /// failed too, or a crash of the disk took more, it does not:
    ///
    /// - Records behind the acknowledged ones were refused, but they are there and would come back after a crash. They
    ///   count as accepted from now on: they wait for the table, and a resend of them is a duplicate.
    /// - If acknowledged records are gone, their numbers must not be given again, since the table would take the new
    ///   records for known. The events are still in memory: the log stays closed until the table has them, and then
    ///   continues behind their numbers.
    pub(super) fn log_opened(&mut self, opened: Result<Recovery, WalError>, log: Option<Status>) {
        let (status, recovery) = match (opened, log) {
            (Ok(recovery), Some(status)) => (status, recovery),
            (Ok(_), None) => return,
            (Err(error), _) => return self.reopening_failed(&Error::Recover(error.into())),
        };
        self.reopened = Some((status, recovery));
        let durable = self.durable;
        if !self.recovered {
            // Nothing was acknowledged yet; the recovery reads whatever is there.
            self.durable = status.next;
            self.finish_reopening();
        } else if status.next > durable {
            self.ask_log(LogCall::Read { from: durable, records: usize::MAX, bytes: u64::MAX });
        } else if status.next == durable {
            self.finish_reopening();
        } else if self.pending.len() == 0 {
            self.ask_log(LogCall::AdvanceTo(durable));
        } else {
            self.flush_due = true;
            let lost = format!("the log ends at {}, but records before {durable} were acknowledged", status.next);
            self.reopening_failed(&Error::Recover(format!("{lost}; the table must take them first").into()));
        }
    }

    pub(super) fn take_survivors(&mut self, survivors: Replayed) {
        for Waiting { row, sequence, bytes } in survivors.rows {
            self.window.insert(row.received_at, row.event.event_id());
            self.health.recovered += 1;
            self.pending.push(Waiting { sequence, bytes, row: Stored { ingest: Ingest::Replayed, ..row } });
        }
        self.durable = self.durable.max(survivors.next);
        self.finish_reopening();
    }

    pub(super) fn advanced(&mut self, advanced: Result<(), WalError>) {
        match (advanced, self.reopened.is_some()) {
            (Ok(()), true) => self.finish_reopening(),
            (Err(error), true) => self.reopening_failed(&Error::Recover(error.into())),
            (Ok(()), false) => self.finish_recovery(),
            (Err(error), false) => {
                self.note_failure(&error, 0);
                self.recovery_failed(&Error::Recover(error.into()));
            }
        }
    }

    fn finish_reopening(&mut self) {
        let Some((status, recovery)) = self.reopened.take() else { return };
        tracing::info!("the write-ahead log is open again");
        self.health.damage.add(&recovery);
        self.health.reopened += 1;
        self.log = Some(status);
        self.failure = None;
        self.untruncated = true;
        // What is in the table is safe from whatever ails the disk.
        self.flush_due = true;
        self.maintain();
    }

    pub(super) fn reopening_failed(&mut self, error: &Error) {
        let pause = self.log_pauses.after_failure();
        tracing::error!(error = %chain(error), again_in = ?pause, "the write-ahead log stays closed");
        self.close_log(chain(error));
        self.log_retry_at = self.now.elapsed + pause;
    }
}
