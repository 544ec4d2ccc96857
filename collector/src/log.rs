//! The thread that owns the log.
//!
//! It takes submissions in groups: while one fsync runs, the next submissions gather, and one fsync then serves them all
//! (group commit). Events that are durable wait in memory for the flush, so the log is read only after a crash.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidemark_schema::{Clock, Stored, Timestamp};
use tidemark_wal::{FileStorage, Sequence, Wal};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::collector::{Counters, Message, Receipt, Settings, Verdict};
use crate::decode::Event;
use crate::dedup::admit;
use crate::error::{Error, chain};
use crate::recent::RecentIds;
use crate::record;

/// Where the answer to a submission goes.
pub(crate) type Reply = oneshot::Sender<Result<Receipt, Error>>;

/// The log and what belongs to it alone.
pub(crate) struct Log {
    pub(crate) wal: Wal<FileStorage>,
    pub(crate) window: RecentIds,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) pending: Vec<Stored<Event>>,
    pub(crate) due: Arc<Notify>,
}

type Waiting = (Reply, Receipt);

impl Log {
    pub(crate) fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        while let Some(first) = inbox.blocking_recv() {
            let mut submissions = Vec::new();
            let mut message = Some(first);
            while let Some(next) = message {
                match next {
                    Message::Submit(events, reply) => submissions.push((events, reply)),
                    // What the flusher takes must be durable, so what has gathered is written first.
                    Message::Take(reply) => {
                        self.write(std::mem::take(&mut submissions));
                        let taken = (std::mem::take(&mut self.pending), self.wal.next_sequence().get());
                        if let Err((rows, _)) = reply.send(taken) {
                            self.pending = rows;
                        }
                    }
                    Message::Flushed(next) => self.forget(next),
                }
                // A group has an end, or a steady stream would wait for its answers for ever.
                message = if submissions.len() < self.settings.queue { inbox.try_recv().ok() } else { None };
            }
            self.write(submissions);
        }
    }

    fn forget(&mut self, next: u64) {
        if let Err(error) = self.wal.truncate_before(Sequence::try_from(next).unwrap_or(Sequence::MAX)) {
            tracing::error!(error = %chain(&error), "the log could not be shortened");
        }
        self.counters.log_bytes.store(self.wal.bytes(), Ordering::Relaxed);
    }

    /// One write and one fsync for all submissions that have gathered.
    fn write(&mut self, submissions: Vec<(Vec<Event>, Reply)>) {
        if submissions.is_empty() {
            return;
        }
        let now = self.clock.now();
        let limit = self.settings.pending_events;
        let mut group = HashSet::new();
        let mut rows: Vec<Stored<Event>> = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        for (events, reply) in submissions {
            let pending = self.counters.pending.load(Ordering::Relaxed) + rows.len();
            if pending + events.len() > limit {
                answer(reply, Err(Error::Overloaded { pending, limit }));
                continue;
            }
            let (verdicts, new) = admit(events, now, self.settings.ahead_s, &self.window, &mut group);
            rows.extend(new);
            waiting.push((reply, verdicts));
        }
        match self.append(&rows) {
            Ok(()) => self.acknowledge(now, rows, waiting),
            Err(source) => {
                tracing::error!(error = %chain(&source), events = rows.len(), "events could not be made durable");
                self.counters.broken.store(source.is_poisoned(), Ordering::Relaxed);
                // One error serves all, but only one of them can own it.
                let (events, full) = (rows.len(), source.is_out_of_space());
                let mut source = Some(source);
                for (reply, _) in waiting {
                    let error = source.take().map_or(Error::Stopped, |source| Error::Append { events, full, source });
                    answer(reply, Err(error));
                }
            }
        }
    }

    fn append(&mut self, rows: &[Stored<Event>]) -> Result<(), tidemark_wal::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        // Serialising an event of ours cannot fail: its maps have text keys and its numbers are finite.
        let records: Vec<Vec<u8>> = rows.iter().filter_map(|row| record::encode(row).ok()).collect();
        self.wal.append(&records)?;
        self.wal.sync()?;
        Ok(())
    }

    fn acknowledge(&mut self, now: Timestamp, rows: Vec<Stored<Event>>, waiting: Vec<Waiting>) {
        for row in &rows {
            self.window.insert(now, row.event.event_id());
        }
        let pending = self.counters.pending.fetch_add(rows.len(), Ordering::Relaxed) + rows.len();
        self.pending.extend(rows);
        self.counters.log_bytes.store(self.wal.bytes(), Ordering::Relaxed);
        if pending >= self.settings.flush_events {
            self.due.notify_one();
        }
        for (reply, receipt) in waiting {
            let accepted = receipt.iter().filter(|verdict| **verdict == Verdict::Accepted).count() as u64;
            self.counters.accepted.fetch_add(accepted, Ordering::Relaxed);
            self.counters.duplicates.fetch_add(receipt.len() as u64 - accepted, Ordering::Relaxed);
            answer(reply, Ok(receipt));
        }
    }
}

/// Whoever asked may have gone; what was written stays written.
fn answer(reply: Reply, receipt: Result<Receipt, Error>) {
    if reply.send(receipt).is_err() {
        tracing::debug!("a sender went away before its answer");
    }
}
