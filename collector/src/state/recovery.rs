//! What is done at the start, and tried until it works: the table gets every record of the log that it does not say it
//! has, and says what was received lately.

use std::io;

use tidemark_schema::{EventId, Ingest, Stored, Timestamp};
use tidemark_wal::{Error as WalError, Sequence};

use super::pending::Waiting;
use super::{State, Work};
use crate::decode::Event;
use crate::effect::{Chunk, Effect, LogCall, Positions, TableAnswer, TableCall};
use crate::error::{Error, chain};
use crate::recent::RecentIds;
use crate::record;
use crate::sink::{Batch, SinkError};

/// What the recovery waits for.
pub(super) enum Step {
    /// The table says how far it got, and what it received since. It is asked anew at each try: a flush that failed may have
    /// reached one kind.
    Recall {
        since: Timestamp,
    },
    Read(Positions),
    /// The table stores what it does not have of the records before `next`.
    Store {
        positions: Positions,
        events: u64,
        next: Sequence,
        end: bool,
    },
    /// The numbers of the log move behind those that the table knows.
    Advance,
}

/// Events that were read back from the log.
pub(super) struct Replayed {
    pub(super) rows: Vec<Waiting>,
    /// The number after the last record that was read.
    pub(super) next: Sequence,
    /// Whether that is the end of the log.
    end: bool,
    /// How many records could not be read and were never met before.
    unreadable: u64,
}

impl State {
    pub(super) fn begin_recovery(&mut self) {
        let since = self.now.wall.plus_seconds(-self.settings.recent_s);
        self.work = Work::Recovering(Step::Recall { since });
        self.ask_table(TableCall::Recall { since, limit: self.settings.recent_ids });
    }

    pub(super) fn continue_recovery(&mut self, step: Step, answer: Result<TableAnswer, SinkError>) {
        match (step, answer) {
            (_, Err(error)) => self.recovery_failed(&Error::Recover(error)),
            (Step::Recall { since }, Ok(TableAnswer::Recalled { positions, received })) => {
                let capacity = self.settings.recent_ids;
                self.window = RecentIds::new(capacity, complete_since(since, &received, capacity), received);
                self.read_from(Sequence::FIRST, positions);
            }
            (Step::Store { positions, events, next, end }, Ok(TableAnswer::Stored)) => {
                self.health.recovered += events;
                self.replayed_before(next, end, positions);
            }
            (step, Ok(_)) => self.work = Work::Recovering(step),
        }
    }

    fn read_from(&mut self, from: Sequence, positions: Positions) {
        if self.log.is_none() {
            return self.recovery_failed(&self.health.refusal());
        }
        self.work = Work::Recovering(Step::Read(positions));
        let (records, bytes) = (self.settings.flush_events.max(1), self.settings.flush_bytes);
        self.ask_log(LogCall::Read { from, records, bytes });
    }

    /// Makes events of records. Those of which none can be made are set aside first.
    pub(super) fn read(&mut self, read: Result<Chunk, WalError>) {
        let Chunk { records, next, end } = match read {
            Ok(records) => records,
            Err(error) => return self.reading_failed(&Error::Recover(error.into())),
        };
        let mut replayed = Replayed { rows: Vec::with_capacity(records.len()), next, end, unreadable: 0 };
        let mut unreadable = Vec::new();
        for record in records {
            if let Ok(row) = record::read(&record.payload) {
                replayed.rows.push(Waiting { sequence: record.sequence, bytes: row.event.bytes(), row });
            } else {
                // The reason may quote what is stored, and the log of the process is for other eyes.
                tracing::error!(
                    sequence = record.sequence.get(),
                    "a record of the log cannot be read and is kept aside"
                );
                replayed.unreadable += u64::from(record.sequence >= self.unreadable_before);
                unreadable.push(record);
            }
        }
        if unreadable.is_empty() {
            return self.replayed(replayed);
        }
        self.replayed = Some(replayed);
        self.ask_log(LogCall::Quarantine(unreadable));
    }

    pub(super) fn quarantined(&mut self, kept: io::Result<()>) {
        match (self.replayed.take(), kept) {
            (Some(replayed), Ok(())) => {
                self.health.unreadable += replayed.unreadable;
                self.unreadable_before = self.unreadable_before.max(replayed.next);
                self.replayed(replayed);
            }
            (_, Err(error)) => self.reading_failed(&Error::Recover(error.into())),
            (None, Ok(())) => {}
        }
    }

    fn reading_failed(&mut self, error: &Error) {
        if self.reopened.is_some() { self.reopening_failed(error) } else { self.recovery_failed(error) }
    }

    fn replayed(&mut self, replayed: Replayed) {
        let positions = match self.work {
            _ if self.reopened.is_some() => return self.take_survivors(replayed),
            Work::Recovering(Step::Read(positions)) => positions,
            _ => return,
        };
        let Replayed { rows, next, end, .. } = replayed;
        let mut batch = Batch::default();
        for Waiting { sequence, row, .. } in rows {
            self.window.insert(row.received_at, row.event.event_id());
            let retrieval = matches!(row.event, Event::Retrieval(_));
            if sequence.get() >= if retrieval { positions.retrievals } else { positions.outputs } {
                batch.push(Stored { ingest: Ingest::Replayed, ..row });
            }
        }
        if batch.is_empty() {
            return self.replayed_before(next, end, positions);
        }
        self.work = Work::Recovering(Step::Store { positions, events: batch.len() as u64, next, end });
        self.ask_table(TableCall::Store { batch, next });
    }

    /// The table has everything before `next`.
    fn replayed_before(&mut self, next: Sequence, end: bool, positions: Positions) {
        self.flushed = self.flushed.max(next);
        self.untruncated = true;
        if !end {
            return self.read_from(next, positions);
        }
        let Some(log) = &self.log else { return self.recovery_failed(&self.health.refusal()) };
        let ahead = Sequence::try_from(positions.retrievals.max(positions.outputs)).unwrap_or(Sequence::MAX);
        if ahead <= log.next {
            return self.finish_recovery();
        }
        // The log was lost or replaced: its next records must not get numbers that the table takes for known.
        tracing::warn!(table = ahead.get(), log = log.next.get(), "the table is ahead of the log");
        self.work = Work::Recovering(Step::Advance);
        self.ask_log(LogCall::AdvanceTo(ahead));
    }

    pub(super) fn finish_recovery(&mut self) {
        let Some(log) = self.log else { return };
        (self.durable, self.flushed) = (log.next, log.next);
        (self.recovered, self.recovery_failure) = (true, None);
        self.health.recovery_ms = Some(u64::try_from(self.now.elapsed.as_millis()).unwrap_or(u64::MAX));
        self.work = Work::Idle;
        self.table_pauses.reset();
        self.table_retry_at = None;
        self.next_flush_at = self.now.elapsed + self.flush_interval();
        // What could not be removed is tried again; the recovery is complete without it.
        self.truncate(log);
        self.effects.push(Effect::RecoveryTried);
    }

    pub(super) fn recovery_failed(&mut self, error: &Error) {
        let pause = self.table_pauses.after_failure();
        tracing::error!(error = %chain(error), again_in = ?pause, "the log could not be recovered yet");
        self.recovery_failure = Some(chain(error));
        self.table_retry_at = Some(self.now.elapsed + pause);
        self.work = Work::Idle;
        self.effects.push(Effect::RecoveryTried);
    }
}

/// From when on the window knows everything: from `since`, unless there was more than it can hold.
fn complete_since(since: Timestamp, received: &[(Timestamp, EventId)], capacity: usize) -> Timestamp {
    if received.len() < capacity {
        return since;
    }
    received.iter().map(|(time, _)| *time).min().map_or(since, |oldest| oldest.plus_seconds(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_could_not_hold_everything_does_not_claim_to() {
        let at = |second| Timestamp::MIN.plus_seconds(second);
        let received = [(at(9), EventId::from_bytes([1; 16])), (at(5), EventId::from_bytes([2; 16]))];
        assert_eq!(complete_since(at(1), &received, 3), at(1));
        assert_eq!(complete_since(at(1), &received, 2), at(6), "others of that second may be missing");
    }
}
