//! One group of submissions: judged one by one, written and synced together, answered one by one.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidemark_schema::{EventId, Stored, Timestamp};
use tidemark_wal::Storage;

use crate::collector::{Receipt, Verdict};
use crate::decode::Event;
use crate::dedup::admit;
use crate::error::Error;
use crate::flusher::answer;
use crate::health::Refusal;
use crate::log::Log;
use crate::message::{Reply, Submission};
use crate::mode::Mode;
use crate::pending::Waiting;
use crate::record;

/// What is about to be written.
#[derive(Default)]
struct Group {
    rows: Vec<Stored<Event>>,
    records: Vec<Vec<u8>>,
    /// Bytes of the records.
    log_bytes: u64,
    /// What the events take in memory.
    bytes: u64,
    ids: HashSet<EventId>,
    waiting: Vec<(Reply<Receipt>, Receipt)>,
}

/// The rows of one submission that are new, and their records.
struct Admitted {
    rows: Vec<Stored<Event>>,
    records: Vec<Vec<u8>>,
    log_bytes: u64,
    bytes: u64,
}

impl<T: Storage> Log<T> {
    /// One write and one fsync for all submissions that have gathered.
    pub(crate) fn write(&mut self, submissions: Vec<Submission>) {
        if submissions.is_empty() {
            return;
        }
        if !self.shared.standing().mode.takes_events() || self.wal.is_none() {
            for Submission { events, reply, .. } in submissions {
                let refused = self.refusal();
                self.count_refusal(&refused, events.len());
                answer(reply, Err(refused));
            }
            return;
        }
        let now = self.clock.now();
        let mut group = Group::default();
        let mut shares = Vec::with_capacity(submissions.len());
        for Submission { events, reply, share } in submissions {
            // Held until everything has been answered, because until then the events are in memory.
            shares.push(share);
            let count = events.len();
            let (verdicts, rows) = admit(events, now, self.settings.ahead_s, &self.window, &mut group.ids);
            let ids: Vec<EventId> = rows.iter().map(|row| row.event.event_id()).collect();
            match encode(rows).and_then(|new| self.check_room(&group, new)) {
                Ok(new) => {
                    group.rows.extend(new.rows);
                    group.records.extend(new.records);
                    group.log_bytes += new.log_bytes;
                    group.bytes += new.bytes;
                    group.waiting.push((reply, verdicts));
                }
                Err(refused) => {
                    for id in ids {
                        group.ids.remove(&id);
                    }
                    self.count_refusal(&refused, count);
                    answer(reply, Err(refused));
                }
            }
        }
        self.commit(now, group);
    }

    fn count_refusal(&self, error: &Error, events: usize) {
        match error {
            Error::Refused { refusal, .. } => self.shared.refuse(*refusal, events),
            Error::TooLarge { .. } => self.shared.refuse(Refusal::TooLarge, events),
            _ => {}
        }
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
        let fits_log = self.wal.as_ref().is_some_and(|wal| {
            wal.fits((group.records.len() + new.records.len()) as u64, group.log_bytes.saturating_add(new.log_bytes))
        });
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
        } else if !fits_log {
            let used = self.shared.log_bytes.load(Ordering::Relaxed);
            refuse(Refusal::LogBudget, format!("{used} of {budget} bytes of the log are used"))
        } else {
            Ok(new)
        }
    }

    fn commit(&mut self, now: Timestamp, group: Group) {
        match self.append(&group) {
            Ok(first) => self.acknowledge(first, now, group),
            Err(source) => {
                self.note_failure(&source, group.log_bytes.max(1));
                // The error says the mode that follows from it.
                self.observe();
                let (mode, source) = (self.shared.standing().mode, Arc::new(source));
                let refusal = if mode == Mode::Recovering { Refusal::Recovering } else { Refusal::ReadOnly };
                for (reply, receipt) in group.waiting {
                    self.shared.refuse(refusal, receipt.len());
                    answer(
                        reply,
                        Err(Error::Append {
                            events: receipt.len(),
                            mode,
                            retry_after_s: refusal.retry_after_s(),
                            source: source.clone(),
                        }),
                    );
                }
            }
        }
    }

    /// Makes the records durable; gives the number of the first.
    fn append(&mut self, group: &Group) -> Result<u64, tidemark_wal::Error> {
        let Some(wal) = self.wal.as_mut().filter(|_| !group.records.is_empty()) else { return Ok(self.durable.get()) };
        let range = wal.append(&group.records)?;
        self.durable = wal.sync()?;
        self.pauses.reset();
        Ok(range.start.get())
    }

    fn acknowledge(&mut self, first: u64, now: Timestamp, group: Group) {
        for (sequence, row) in (first..).zip(group.rows) {
            self.window.insert(now, row.event.event_id());
            self.pending.push(Waiting { sequence, bytes: row.event.bytes(), row });
        }
        self.note_size();
        if self.pending.len() >= self.settings.flush_events || self.pending.bytes() >= self.settings.flush_bytes {
            self.due.notify_one();
        }
        for (reply, receipt) in group.waiting {
            let accepted = receipt.iter().filter(|verdict| **verdict == Verdict::Accepted).count() as u64;
            self.shared.accepted.fetch_add(accepted, Ordering::Relaxed);
            self.shared.duplicates.fetch_add(receipt.len() as u64 - accepted, Ordering::Relaxed);
            answer(reply, Ok(receipt));
        }
    }
}

fn encode(rows: Vec<Stored<Event>>) -> Result<Admitted, Error> {
    let records = rows.iter().map(record::encode).collect::<Result<Vec<_>, _>>().map_err(Error::Encode)?;
    let log_bytes = records.iter().map(|record| record.len() as u64).sum();
    let bytes = rows.iter().map(|row| row.event.bytes()).sum();
    Ok(Admitted { rows, records, log_bytes, bytes })
}
