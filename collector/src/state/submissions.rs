//! One group of submissions: judged one by one, written and synced together, answered one by one.

use std::collections::HashSet;
use std::sync::Arc;

use tidemark_schema::{EventId, Ingest, Stored};
use tidemark_wal::{Error as WalError, Sequence};

use super::State;
use super::pending::Waiting;
use crate::collector::{Acknowledgement, Receipt};
use crate::decode::Event;
use crate::effect::{Effect, LogCall};
use crate::error::Error;
use crate::health::Refusal;
use crate::mode::Mode;
use crate::record;

/// What is about to be written.
#[derive(Default)]
pub(super) struct Group {
    rows: Vec<Stored<Event>>,
    records: Vec<Vec<u8>>,
    /// Bytes of the records.
    log_bytes: u64,
    /// What the events take in memory.
    bytes: u64,
    /// They count as known, but enter the window only once they are durable.
    ids: HashSet<EventId>,
    /// The submissions that it answers.
    receipts: Vec<(usize, Receipt)>,
}

/// The rows of one submission that are new, and their records.
struct Admitted {
    rows: Vec<Stored<Event>>,
    records: Vec<Vec<u8>>,
    log_bytes: u64,
    bytes: u64,
}

impl State {
    /// One write and one fsync for all submissions that have gathered.
    pub(super) fn submit(&mut self, submissions: Vec<Vec<Event>>) {
        let refuses = !self.health.mode.takes_events() || self.log.is_none();
        let mut group = Group::default();
        for (submission, events) in submissions.into_iter().enumerate() {
            let count = events.len();
            if refuses {
                self.refuse(submission, count, self.health.refusal());
                continue;
            }
            let (receipt, rows) = self.admit(events, &mut group.ids);
            let ids: Vec<EventId> = rows.iter().map(|row| row.event.event_id()).collect();
            match encode(rows).and_then(|new| self.check_room(&group, new)) {
                Ok(new) => {
                    group.rows.extend(new.rows);
                    group.records.extend(new.records);
                    group.log_bytes += new.log_bytes;
                    group.bytes += new.bytes;
                    group.receipts.push((submission, receipt));
                }
                Err(refused) => {
                    for id in ids {
                        group.ids.remove(&id);
                    }
                    self.refuse(submission, count, refused);
                }
            }
        }
        let records = std::mem::take(&mut group.records);
        if records.is_empty() {
            return self.acknowledge(self.durable, group);
        }
        self.group = Some(group);
        self.ask_log(LogCall::Append(records));
    }

    fn refuse(&mut self, submission: usize, events: usize, error: Error) {
        match error {
            Error::Refused { refusal, .. } => self.health.refuse(refusal, events),
            Error::TooLarge { .. } => self.health.refuse(Refusal::TooLarge, events),
            _ => {}
        }
        self.effects.push(Effect::AnswerSubmission { submission, result: Err(error) });
    }

    /// Splits events into an acknowledgement each and the rows that are new.
    fn admit(&self, events: Vec<Event>, group: &mut HashSet<EventId>) -> (Receipt, Vec<Stored<Event>>) {
        let mut rows = Vec::with_capacity(events.len());
        let acknowledgements = events.into_iter().map(|event| {
            let id = event.event_id();
            if self.window.contains(&id) || !group.insert(id) {
                return Acknowledgement::Duplicate;
            }
            let live = self.window.reaches_back_to(event.occurred_at(), self.settings.ahead_s);
            let ingest = if live { Ingest::Live } else { Ingest::Late };
            rows.push(Stored { received_at: self.now.wall, ingest, event });
            Acknowledgement::Accepted
        });
        let receipt = acknowledgements.collect();
        (receipt, rows)
    }

    /// Refuses what does not fit beside what waits, and what would never fit.
    fn check_room(&self, group: &Group, new: Admitted) -> Result<Admitted, Error> {
        let settings = &self.settings;
        let (events, longest) = (new.rows.len(), new.records.iter().map(Vec::len).max().unwrap_or(0));
        let budget = settings.log.budget_bytes;
        for (what, size, limit) in [
            ("the events", events as u64, settings.pending_events as u64),
            ("the bytes of the events", new.bytes, settings.pending_bytes),
            ("the bytes of the log", new.log_bytes.saturating_add(24 * (events as u64 + 2)), budget),
            ("the bytes of one event", longest as u64, u64::from(settings.log.record_bytes_max)),
        ] {
            if size > limit {
                return Err(Error::TooLarge { events, reason: format!("{what} are {size}, the limit is {limit}") });
            }
        }
        let pending = self.pending.len() + group.rows.len();
        let bytes = self.pending.bytes() + group.bytes;
        let records = (group.records.len() + new.records.len()) as u64;
        let log_bytes = group.log_bytes.saturating_add(new.log_bytes);
        let refuse = |refusal: Refusal, reason: String| {
            let retry_after_s = refusal.retry_after_s();
            // Whoever refuses for a bound is shedding, even if the next submission may be smaller and fit.
            Err(Error::Refused { mode: Mode::Shedding, refusal, reason, retry_after_s })
        };
        if pending + events > settings.pending_events {
            let limit = settings.pending_events;
            refuse(Refusal::PendingEvents, format!("{pending} events wait for the table, the limit is {limit}"))
        } else if bytes.saturating_add(new.bytes) > settings.pending_bytes {
            let limit = settings.pending_bytes;
            refuse(Refusal::PendingBytes, format!("{bytes} bytes of events wait for the table, the limit is {limit}"))
        } else if !self.log.is_some_and(|log| log.fits(records, log_bytes)) {
            let used = self.health.log_bytes;
            refuse(Refusal::LogBudget, format!("{used} of {budget} bytes of the log are used"))
        } else {
            Ok(new)
        }
    }

    pub(super) fn appended(&mut self, first: Result<Sequence, WalError>) {
        let (Some(group), log) = (self.group.take(), self.log) else { return };
        match first {
            Ok(first) => {
                self.durable = log.map_or(self.durable, |log| log.durable);
                self.log_pauses.reset();
                self.acknowledge(first, group);
            }
            Err(source) => {
                self.note_failure(&source, group.log_bytes.max(1));
                // The error says the mode that follows from it.
                self.observe();
                let (mode, source) = (self.health.mode, Arc::new(source));
                let refusal = if mode == Mode::Recovering { Refusal::Recovering } else { Refusal::ReadOnly };
                for (submission, receipt) in group.receipts {
                    let (events, source) = (receipt.len(), source.clone());
                    self.health.refuse(refusal, events);
                    let retry_after_s = refusal.retry_after_s();
                    let result = Err(Error::Append { events, mode, retry_after_s, source });
                    self.effects.push(Effect::AnswerSubmission { submission, result });
                }
            }
        }
    }

    fn acknowledge(&mut self, first: Sequence, group: Group) {
        let mut sequence = first;
        for row in group.rows {
            self.window.insert(row.received_at, row.event.event_id());
            self.pending.push(Waiting { sequence, bytes: row.event.bytes(), row });
            sequence = sequence.next();
        }
        self.flush_due |=
            self.pending.len() >= self.settings.flush_events || self.pending.bytes() >= self.settings.flush_bytes;
        for (submission, receipt) in group.receipts {
            let accepted =
                receipt.iter().filter(|acknowledgement| **acknowledgement == Acknowledgement::Accepted).count() as u64;
            self.health.accepted += accepted;
            self.health.duplicates += receipt.len() as u64 - accepted;
            self.effects.push(Effect::AnswerSubmission { submission, result: Ok(receipt) });
        }
    }
}

fn encode(rows: Vec<Stored<Event>>) -> Result<Admitted, Error> {
    let records = rows.iter().map(record::encode).collect::<Result<Vec<_>, _>>().map_err(Error::Encode)?;
    let log_bytes = records.iter().map(|record| record.len() as u64).sum();
    let bytes = rows.iter().map(|row| row.event.bytes()).sum();
    Ok(Admitted { rows, records, log_bytes, bytes })
}
