//! The thread that owns the log.
//!
//! It takes submissions in groups: while one fsync runs, the next submissions gather, and one fsync then serves them all
//! (group commit). Events that are durable wait in memory for the flush, so the log is read only after a crash.
//!
//! A log that failed is closed and opened again until that works. Meanwhile nothing is taken; what was acknowledged is
//! durable and waits in memory. Records that were written and not acknowledged may survive: they keep their numbers, so no
//! position skips an acknowledged one, and their senders, who were told of the failure, send them again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidemark_schema::{Clock, Stored, Timestamp};
use tidemark_wal::{DamageReport, Recovery, Sequence, Storage, Wal};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::collector::{Receipt, Settings, Verdict};
use crate::counters::Counters;
use crate::decode::Event;
use crate::dedup::admit;
use crate::error::{Error, chain};
use crate::mode::{Level, Observed, decide};
use crate::recent::RecentIds;
use crate::{disk, record, unreadable};

/// Where the answer to a submission goes.
pub(crate) type Reply = oneshot::Sender<Result<Receipt, Error>>;

/// What opens the log, at the start and after a failure.
pub(crate) type Opener<S> = Box<dyn FnMut() -> Result<(Wal<S>, Recovery), tidemark_wal::Error> + Send>;

/// What the log thread is told.
pub(crate) enum Message {
    /// Make events durable.
    Submit(Vec<Event>, Reply),
    /// Give at most so many of the events that wait, oldest first, and the position after them.
    Take(usize, oneshot::Sender<Taken>),
    /// Everything before this position is stored.
    Flushed(u64),
    /// Number the next record at least like this; says where the log begins.
    ContinueAt(u64, oneshot::Sender<Result<u64, Error>>),
    /// Read records from a position on; for the recovery.
    ReadBack(u64, oneshot::Sender<Result<ReadBack, Error>>),
    /// The recovery is done, and these are the events that were received lately.
    Ready(RecentIds),
    /// Let no record stay on disk that is stored.
    Forget(oneshot::Sender<Result<(), Error>>),
    /// Look how things are.
    Look,
}

/// Events that wait, oldest first.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) rows: Vec<Stored<Event>>,
    /// Their bytes in the log.
    pub(crate) bytes: usize,
    /// The position after them.
    pub(crate) next: u64,
}

/// Records of the log, each with its number, and the position after them.
pub(crate) struct ReadBack {
    pub(crate) rows: Vec<(u64, Stored<Event>)>,
    pub(crate) next: u64,
}

/// Bytes of records that are read back at a time.
const READ_BACK_BYTES: usize = 32 * 1024 * 1024;
/// A log that holds only what is stored is begun anew beyond this, so that no text outlives its flush for long.
const STORED_BYTES: u64 = 1024 * 1024;
/// Looks between two tries to open the log again, at most.
const REOPEN_LOOKS: u32 = 25;

struct Waiting {
    sequence: u64,
    bytes: usize,
    row: Stored<Event>,
}

/// The log and what belongs to it alone.
pub(crate) struct Log<S: Storage> {
    opener: Opener<S>,
    /// None while it cannot be opened.
    wal: Option<Wal<S>>,
    /// None until the recovery is done.
    window: Option<RecentIds>,
    settings: Settings,
    reserve_bytes: u64,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    pending: VecDeque<Waiting>,
    /// The position after everything that was acknowledged.
    position: u64,
    /// The position before which everything is stored.
    stored: u64,
    due: Arc<Notify>,
    /// Whether the last write found no room on the disk.
    full: bool,
    /// Looks until the next try to open the log, and how many that will be after it.
    reopen_in: u32,
    reopen_after: u32,
}

impl<S: Storage> Log<S> {
    /// Opens the log and says what was found.
    pub(crate) fn open(
        mut opener: Opener<S>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
        due: Arc<Notify>,
    ) -> Result<Self, tidemark_wal::Error> {
        let (wal, recovery) = opener()?;
        let log = Self {
            opener,
            window: None,
            reserve_bytes: disk::reserve(&settings.directory, settings.reserve_bytes),
            settings,
            clock,
            counters,
            pending: VecDeque::new(),
            position: wal.next_sequence().get(),
            stored: 0,
            due,
            full: false,
            reopen_in: 0,
            reopen_after: 1,
            wal: Some(wal),
        };
        log.tell(&recovery);
        log.look();
        Ok(log)
    }

    pub(crate) fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        while let Some(first) = inbox.blocking_recv() {
            let mut submissions = Vec::new();
            let mut message = Some(first);
            while let Some(next) = message {
                match next {
                    Message::Submit(events, reply) => submissions.push((events, reply)),
                    // What the flusher takes must be durable, so what has gathered is written first.
                    Message::Take(limit, reply) => {
                        self.write(std::mem::take(&mut submissions));
                        self.give(limit, reply);
                    }
                    Message::Flushed(next) => self.forget(next),
                    Message::ContinueAt(position, reply) => answer(reply, self.continue_at(position)),
                    Message::ReadBack(from, reply) => answer(reply, self.read_back(from)),
                    Message::Ready(window) => {
                        self.window = Some(window);
                        self.look();
                    }
                    Message::Forget(reply) => answer(reply, self.forget_all()),
                    Message::Look => self.mend(),
                }
                // A group has an end, or a steady stream would wait for its answers for ever.
                message = if submissions.len() < self.settings.queue { inbox.try_recv().ok() } else { None };
            }
            self.write(submissions);
        }
    }

    /// Looks how things are and changes the mode if they call for it.
    fn look(&self) {
        let c = &self.counters;
        let recovering = match (&self.wal, &self.window) {
            (None, _) => Some("the log failed and is being opened again"),
            (_, None) => Some("the log is being read into the tables"),
            _ => None,
        };
        let level = |name, used, limit| Level { name, used, limit };
        let pending_bytes = c.pending_bytes.load(Ordering::Relaxed) as u64;
        let seen = Observed {
            recovering,
            full: self.full,
            free_bytes: (self.settings.free_bytes)(&self.settings.directory),
            reserve_bytes: self.reserve_bytes,
            levels: [
                level("events wait for the tables", self.waiting() as u64, self.settings.pending_events as u64),
                level("bytes wait for the tables", pending_bytes, self.settings.pending_bytes as u64),
                level("bytes are in the log", self.needed_log_bytes(), self.settings.log.budget_bytes),
            ],
        };
        let (before, _) = c.mode();
        let (mode, reason) = decide(before, &seen);
        if let Some(transition) = c.enter(self.clock.now(), mode, reason) {
            tracing::warn!(from = %transition.from, to = %transition.to, reason = transition.reason, "the mode changed");
            if let Some(observer) = &self.settings.on_transition {
                observer(&transition);
            }
        }
    }

    /// Bytes of the log, unless all of them are stored: then they go as soon as their room is needed.
    fn needed_log_bytes(&self) -> u64 {
        let bytes = self.wal.as_ref().map_or(0, Wal::bytes);
        if self.stored >= self.position { 0 } else { bytes }
    }

    fn waiting(&self) -> usize {
        self.counters.pending.load(Ordering::Relaxed)
    }

    /// Opens the log again if it failed, and tries the disk again if it was full.
    fn mend(&mut self) {
        if self.wal.is_none() {
            self.reopen_in = self.reopen_in.saturating_sub(1);
            if self.reopen_in == 0 {
                self.reopen();
            }
        }
        if self.full {
            let free = (self.settings.free_bytes)(&self.settings.directory);
            // Where the disk cannot be asked, the next write has to find out.
            self.full = free.is_some_and(|free| free < self.reserve_bytes.saturating_add(self.reserve_bytes / 4));
        }
        self.look();
    }

    fn reopen(&mut self) {
        let opened = (self.opener)().and_then(|(mut wal, recovery)| {
            // Numbers that were acknowledged are never given out again, even if the disk lost their records.
            let position = Sequence::try_from(self.position).unwrap_or(Sequence::MAX);
            if wal.next_sequence() < position {
                wal.advance_to(position)?;
            }
            Ok((wal, recovery))
        });
        match opened {
            Ok((wal, recovery)) => {
                tracing::info!(position = wal.next_sequence().get(), "the log was opened again");
                self.counters.reopened.fetch_add(1, Ordering::Relaxed);
                self.position = wal.next_sequence().get();
                self.wal = Some(wal);
                self.reopen_after = 1;
                self.tell(&recovery);
                self.forget(self.stored);
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "the log could not be opened again and will be tried again");
                self.reopen_after = (self.reopen_after * 2).min(REOPEN_LOOKS);
                self.reopen_in = self.reopen_after;
            }
        }
    }

    /// What opening found goes to the log and to whoever asks.
    fn tell(&self, recovery: &Recovery) {
        self.counters.log_bytes.store(recovery.bytes, Ordering::Relaxed);
        if let Some(tail) = &recovery.torn_tail {
            let (path, offset) = (tail.path.display(), tail.offset);
            tracing::warn!(%path, offset, bytes = tail.bytes, "an unfinished write at the end of the log was cut off");
        }
        self.tell_damage(&recovery.damage);
    }

    fn tell_damage(&self, damage: &DamageReport) {
        if damage.is_empty() {
            return;
        }
        let places: Vec<String> = damage
            .listed()
            .iter()
            .map(|place| {
                let missing = place.missing.end.since(place.missing.start);
                let (path, offset, bytes) = (place.path.display(), place.offset, place.bytes);
                format!("{path} at byte {offset}: {bytes} bytes cannot be read, {missing} events are missing")
            })
            .collect();
        for place in &places {
            tracing::error!(place, "the log is damaged; the rest of it is read");
        }
        self.counters.damaged(places);
    }

    fn give(&mut self, limit: usize, reply: oneshot::Sender<Taken>) {
        let taken: Vec<Waiting> = self.pending.drain(..limit.min(self.pending.len())).collect();
        let position = self.pending.front().map_or(self.position, |next| next.sequence);
        let bytes = taken.iter().map(|waiting| waiting.bytes).sum();
        let rows = taken.into_iter().map(|waiting| waiting.row).collect();
        // If the flusher is gone, the log still has them.
        answer(reply, Taken { rows, bytes, next: position });
    }

    fn forget(&mut self, next: u64) {
        self.stored = self.stored.max(next);
        if let Some(wal) = &mut self.wal {
            let up_to = Sequence::try_from(self.stored).unwrap_or(Sequence::MAX).min(wal.durable_sequence());
            let mut freed = wal.truncate_before(up_to);
            if freed.is_ok() && wal.bytes() > STORED_BYTES {
                freed = wal.rotate();
            }
            if let Err(error) = freed {
                tracing::error!(error = %chain(&error), "the log could not be shortened");
                self.close_if_poisoned(&error);
            }
        }
        self.measure();
        self.look();
    }

    fn forget_all(&mut self) -> Result<(), Error> {
        let directory = self.settings.directory.clone();
        let Some(wal) = &mut self.wal else { return Err(self.degraded()) };
        let up_to = Sequence::try_from(self.stored).unwrap_or(Sequence::MAX).min(wal.durable_sequence());
        let forgotten = wal.truncate_before(up_to).and_then(|_| wal.rotate());
        self.measure();
        forgotten.map(|_| ()).map_err(|source| Error::OpenLog { directory, source })
    }

    fn measure(&self) {
        self.counters.log_bytes.store(self.wal.as_ref().map_or(0, Wal::bytes), Ordering::Relaxed);
    }

    fn continue_at(&mut self, position: u64) -> Result<u64, Error> {
        let directory = self.settings.directory.clone();
        let Some(wal) = &mut self.wal else { return Err(self.degraded()) };
        let wanted = Sequence::try_from(position).unwrap_or(Sequence::MAX);
        if wanted > wal.next_sequence() {
            // The log was lost or replaced: its next records must not get numbers that the table takes for known.
            tracing::warn!(table = position, log = wal.next_sequence().get(), "the table is ahead of the log");
            wal.advance_to(wanted).map_err(|source| Error::OpenLog { directory, source })?;
            self.position = wal.next_sequence().get();
        }
        Ok(wal.first_sequence().get())
    }

    fn read_back(&mut self, from: u64) -> Result<ReadBack, Error> {
        let directory = self.settings.directory.clone();
        let Some(wal) = &self.wal else { return Err(self.degraded()) };
        let failed = |source| Error::OpenLog { directory: directory.clone(), source };
        let start = Sequence::try_from(from).unwrap_or(Sequence::MAX).max(wal.first_sequence());
        let mut back = ReadBack { rows: Vec::new(), next: from };
        let mut bytes = 0;
        for record in wal.read_from(start).map_err(failed)? {
            let record = record.map_err(failed)?;
            back.next = record.sequence.get() + 1;
            bytes += record.payload.len();
            match record::read(&record.payload) {
                Ok(row) => back.rows.push((record.sequence.get(), row)),
                Err(rejection) => {
                    let (sequence, reason) = (record.sequence.get(), rejection.field.unwrap_or_default());
                    tracing::error!(sequence, field = reason, "a record of the log cannot be read and is kept aside");
                    unreadable::keep(&self.settings.directory, sequence, &record.payload);
                    self.counters.unreadable.fetch_add(1, Ordering::Relaxed);
                }
            }
            if back.rows.len() >= self.settings.flush_events || bytes >= READ_BACK_BYTES {
                return Ok(back);
            }
        }
        // Behind the last record that can be read there may be numbers whose records are damaged.
        back.next = wal.next_sequence().get();
        Ok(back)
    }

    /// One write and one fsync for all submissions that have gathered.
    fn write(&mut self, submissions: Vec<(Vec<Event>, Reply)>) {
        if submissions.is_empty() {
            return;
        }
        if self.counters.mode().0.refuses() {
            return self.refuse(submissions);
        }
        // Until the recovery is done the mode refuses.
        let Some(window) = &self.window else { return self.refuse(submissions) };
        let now = self.clock.now();
        let mut group = HashSet::new();
        let mut rows: Vec<(Stored<Event>, Vec<u8>)> = Vec::new();
        let mut bytes = self.counters.pending_bytes.load(Ordering::Relaxed);
        let mut waiting: Vec<(Reply, Receipt)> = Vec::new();
        for (events, reply) in submissions {
            let (sent, pending) = (events.len(), self.waiting() + rows.len());
            let (verdicts, new) = admit(events, now, self.settings.ahead_s, window, &mut group);
            // Serialising an event of ours cannot fail: its maps have text keys and its numbers are finite.
            let new: Vec<_> = new.into_iter().filter_map(|row| Some((record::encode(&row).ok()?, row))).collect();
            let new_bytes: usize = new.iter().map(|(record, _)| record.len()).sum();
            let fits = pending + new.len() <= self.settings.pending_events
                && bytes.saturating_add(new_bytes) <= self.settings.pending_bytes;
            if !fits {
                for (_, row) in &new {
                    group.remove(&row.event.event_id());
                }
                self.counters.refused.fetch_add(sent as u64, Ordering::Relaxed);
                let limit = self.settings.pending_events;
                answer(
                    reply,
                    Err(Error::Overloaded { pending, limit, bytes, bytes_limit: self.settings.pending_bytes }),
                );
                continue;
            }
            bytes += new_bytes;
            rows.extend(new.into_iter().map(|(record, row)| (row, record)));
            waiting.push((reply, verdicts));
        }
        match self.append(&rows) {
            Ok(first) => self.acknowledge(now, first, rows, waiting),
            Err(source) => self.fail(source, rows.len(), waiting),
        }
        self.look();
    }

    fn refuse(&self, submissions: Vec<(Vec<Event>, Reply)>) {
        for (events, reply) in submissions {
            self.counters.refused.fetch_add(events.len() as u64, Ordering::Relaxed);
            answer(reply, Err(self.degraded()));
        }
    }

    fn degraded(&self) -> Error {
        let (mode, reason) = self.counters.mode();
        Error::Degraded { mode, reason }
    }

    /// Writes records and makes them durable; gives the number of the first.
    fn append(&mut self, rows: &[(Stored<Event>, Vec<u8>)]) -> Result<u64, tidemark_wal::Error> {
        let Some(wal) = &mut self.wal else { return Ok(self.position) };
        if rows.is_empty() {
            return Ok(self.position);
        }
        let records: Vec<&[u8]> = rows.iter().map(|(_, record)| record.as_slice()).collect();
        let numbers = wal.append(&records)?;
        wal.sync()?;
        Ok(numbers.start.get())
    }

    fn acknowledge(
        &mut self,
        now: Timestamp,
        first: u64,
        rows: Vec<(Stored<Event>, Vec<u8>)>,
        waiting: Vec<(Reply, Receipt)>,
    ) {
        self.full = false;
        let mut bytes = 0;
        let count = rows.len();
        for (sequence, (row, record)) in (first..).zip(rows) {
            if let Some(window) = &mut self.window {
                window.insert(now, row.event.event_id());
            }
            bytes += record.len();
            self.pending.push_back(Waiting { sequence, bytes: record.len(), row });
        }
        if let Some(wal) = &self.wal {
            self.position = wal.next_sequence().get();
        }
        self.counters.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        let pending = self.counters.pending.fetch_add(count, Ordering::Relaxed) + count;
        self.measure();
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

    fn fail(&mut self, source: tidemark_wal::Error, events: usize, waiting: Vec<(Reply, Receipt)>) {
        tracing::error!(error = %chain(&source), events, "events could not be made durable");
        let full = source.is_out_of_space();
        // A full budget of ours is no full disk: it empties with the next flush.
        self.full |= full && !matches!(source, tidemark_wal::Error::Full { .. });
        self.close_if_poisoned(&source);
        // Before the answers: whoever is refused finds the mode that says why.
        self.look();
        let sent = waiting.iter().map(|(_, receipt)| receipt.len() as u64).sum();
        self.counters.refused.fetch_add(sent, Ordering::Relaxed);
        let source = Arc::new(source);
        for (reply, _) in waiting {
            answer(reply, Err(Error::Append { events, full, source: source.clone() }));
        }
    }

    /// A log that is in doubt is closed, so that it can be opened again.
    fn close_if_poisoned(&mut self, error: &tidemark_wal::Error) {
        if error.is_poisoned() || self.wal.as_ref().is_some_and(Wal::is_poisoned) {
            self.wal = None;
            self.reopen_in = 1;
        }
    }
}

/// Whoever asked may have gone; what was written stays written.
fn answer<T>(reply: oneshot::Sender<T>, what: T) {
    if reply.send(what).is_err() {
        tracing::debug!("a sender went away before its answer");
    }
}
