//! The thread that decides what is sent, when again, and what is put aside. It alone writes files.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tidemark_schema::{Clock, SystemClock};

use crate::answer::{Answered, Outcome};
use crate::backoff::{Backoff, random};
use crate::counters::{Counting, add, subtract};
use crate::event::Kind;
use crate::queue::{Next, Queue, Waiting};
use crate::settings::Settings;
use crate::spill::Spilled;
use crate::transport::Transport;

/// Events of one request at most; the server takes 20,000.
pub(crate) const REQUEST_EVENTS: usize = 5_000;
/// Bytes of one request; the server takes 32 MiB.
const REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Requests that fail one after the other before events are put aside, if there is a place for them.
const FAILURES_BEFORE_SPILL: u32 = 3;
/// How often the thread looks up while a request runs.
const LOOK_UP: Duration = Duration::from_millis(50);

pub(crate) struct Sender {
    pub(crate) queue: Arc<Queue>,
    pub(crate) counting: Arc<Counting>,
    pub(crate) settings: Settings,
    pub(crate) transport: Transport,
    pub(crate) spilled: Option<Spilled>,
    /// What makes event ids unlike those of every other recorder.
    pub(crate) run: String,
    pub(crate) next: u64,
    /// What was taken out of the queue and is still to be sent.
    pub(crate) backlog: Waiting,
    pub(crate) backoff: Backoff,
}

/// Events as they are sent, and what they take in the queue until they are settled.
struct Batch {
    requests: Vec<(Kind, Vec<Vec<u8>>)>,
    events: usize,
    bytes: usize,
}

/// What is counted when events are dropped.
type Dropped = fn(&Counting) -> &AtomicU64;

impl Sender {
    /// One batch of new events and one that was put aside, in turns: neither waits for all of the other.
    pub(crate) fn run(mut self) {
        loop {
            let mut ended = false;
            if self.backlog.is_empty() {
                let idle = if self.spill_is_due() { Duration::ZERO } else { self.settings.linger };
                match self.queue.next_batch(self.settings.linger, idle) {
                    Next::Events(events) => self.backlog = events,
                    Next::Nothing => {}
                    Next::End => ended = true,
                }
            }
            self.send_batch();
            let sent = self.send_spilled();
            if self.queue.is_over() || (ended && !sent) {
                break;
            }
        }
        self.backlog.extend(self.queue.take_all());
        self.put_backlog_aside(|counting| &counting.dropped_at_end);
        if let Some(spilled) = self.spilled {
            spilled.end();
        }
    }

    fn send_batch(&mut self) {
        let batch = self.next_batch();
        for (kind, lines) in batch.requests {
            self.deliver(kind, lines);
        }
        self.queue.settled(batch.events, batch.bytes);
    }

    /// The next events of the backlog as lines, by kind, in requests of a size that is taken. Each event is freed as soon
    /// as it is written.
    fn next_batch(&mut self) -> Batch {
        let count = self.settings.batch_events.clamp(1, REQUEST_EVENTS).min(self.backlog.len());
        let mut batch = Batch { requests: Vec::new(), events: count, bytes: 0 };
        let mut sizes: Vec<usize> = Vec::new();
        for (mut event, bytes) in self.backlog.drain(..count) {
            batch.bytes += bytes;
            event.identify(|| format!("{}-{}", self.run, self.next));
            self.next += 1;
            if event.leave_out_not_finite() {
                add(&self.counting.not_finite, 1);
            }
            let line = match serde_json::to_vec(&event) {
                Ok(line) => line,
                Err(error) => {
                    self.counting.tell(format!("an event cannot be written as JSON: {error}"));
                    subtract(&self.counting.waiting, 1);
                    add(&self.counting.rejected, 1);
                    continue;
                }
            };
            let kind = Kind::of(&event);
            let open = batch.requests.iter_mut().zip(&mut sizes).rfind(|((of, _), _)| *of == kind);
            match open {
                Some(((_, lines), size)) if *size + line.len() < REQUEST_BYTES => {
                    *size += line.len() + 1;
                    lines.push(line);
                }
                _ => {
                    sizes.push(line.len() + 1);
                    batch.requests.push((kind, vec![line]));
                }
            }
        }
        batch
    }

    /// Sends until it is answered, put aside or given up.
    fn deliver(&mut self, kind: Kind, mut lines: Vec<Vec<u8>>) {
        let mut tries = 0;
        while !lines.is_empty() {
            if self.queue.is_over() {
                return self.put_aside(kind, &lines, |counting| &counting.dropped_at_end);
            }
            if tries > self.settings.retries || (self.spilled.is_some() && self.is_down()) {
                return self.put_aside(kind, &lines, |counting| &counting.dropped_gave_up);
            }
            let left = self.backoff.left();
            if !left.is_zero() {
                self.queue.pause(left);
                self.relieve();
                continue;
            }
            if tries > 0 {
                add(&self.counting.retries, 1);
            }
            let later = self.exchange(kind, &lines);
            let settled = lines.len() - later.len();
            subtract(&self.counting.waiting, settled);
            tries = if settled == 0 { tries + 1 } else { 0 };
            lines = kept(lines, &later);
        }
    }

    /// Whether it is no use to wait for the server with what could be put aside.
    fn is_down(&self) -> bool {
        let left = self.backoff.left();
        left > self.settings.longest_pause || (!left.is_zero() && self.backoff.failures() >= FAILURES_BEFORE_SPILL)
    }

    fn spill_is_due(&self) -> bool {
        self.spilled.as_ref().is_some_and(|spilled| !spilled.is_empty()) && self.backoff.left().is_zero()
    }

    /// Sends the oldest batch that was put aside, if the server may be asked now; whether all of it was answered.
    fn send_spilled(&mut self) -> bool {
        if !self.spill_is_due() || self.queue.is_over() {
            return false;
        }
        let Some(spilled) = &mut self.spilled else { return false };
        let batch = match spilled.oldest() {
            Ok(Some(batch)) => batch,
            Ok(None) => return false,
            Err(error) => {
                let events = spilled.pass_over();
                self.counting.tell(format!("a file of the spill directory cannot be read: {error}"));
                subtract(&self.counting.spilled, events);
                add(&self.counting.dropped_spill_full, events);
                return true;
            }
        };
        let later = self.exchange(batch.kind, &batch.lines);
        let settled = batch.lines.len() - later.len();
        if settled == 0 && !batch.lines.is_empty() {
            return false;
        }
        subtract(&self.counting.spilled, settled);
        let left = kept(batch.lines, &later);
        if let Some(Err(error)) = self.spilled.as_mut().map(|spilled| spilled.settle(&left)) {
            self.counting.tell(format!("the spill directory cannot be written: {error}"));
        }
        left.is_empty()
    }

    /// Sends lines, in parts if they are too large together; the places of those that have to be sent again.
    fn exchange(&mut self, kind: Kind, lines: &[Vec<u8>]) -> Vec<usize> {
        match self.post(kind, lines) {
            Outcome::Answered(answered) => self.count(answered, lines.len()),
            Outcome::TooLarge if lines.len() > 1 => {
                let (first, second) = lines.split_at(lines.len() / 2);
                let mut later = self.exchange(kind, first);
                if self.backoff.left().is_zero() {
                    later.extend(self.exchange(kind, second).into_iter().map(|place| first.len() + place));
                } else {
                    later.extend(first.len()..lines.len());
                }
                later
            }
            Outcome::TooLarge => {
                self.reject(lines.len(), "413: an event is larger than what the server takes".to_owned())
            }
            Outcome::Rejected(reason) => self.reject(lines.len(), reason),
            Outcome::Failed { reason, pause } => {
                self.counting.tell(reason);
                self.backoff.failed(&self.settings, pause);
                (0..lines.len()).collect()
            }
        }
    }

    fn count(&mut self, answered: Answered, sent: usize) -> Vec<usize> {
        let Answered { acknowledged, again, rejected, later, pause, reason } = answered;
        add(&self.counting.acknowledged, acknowledged);
        add(&self.counting.acknowledged_again, again);
        add(&self.counting.rejected, rejected);
        if let Some(reason) = reason {
            self.counting.tell(reason);
        }
        if later.is_empty() {
            self.backoff.succeeded();
        } else if later.len() < sent {
            self.backoff.progressed(&self.settings, pause);
        } else {
            self.backoff.failed(&self.settings, pause);
        }
        later
    }

    fn reject(&mut self, events: usize, reason: String) -> Vec<usize> {
        add(&self.counting.rejected, events);
        self.counting.tell(reason);
        self.backoff.succeeded();
        Vec::new()
    }

    /// One request. It is left behind when the time for the end is over.
    fn post(&mut self, kind: Kind, lines: &[Vec<u8>]) -> Outcome {
        let left = self.queue.left().unwrap_or(self.settings.timeout);
        if !left.is_zero() {
            self.transport.post(kind, lines, left.min(self.settings.timeout));
        }
        while !self.queue.is_over() {
            if let Some(outcome) = self.transport.outcome(LOOK_UP.min(self.queue.left().unwrap_or(LOOK_UP))) {
                return outcome;
            }
            self.relieve();
        }
        Outcome::failed("the recorder was closed before the server answered; give it more time with `shutdown`")
    }

    /// Makes room for new events while the server does not answer.
    fn relieve(&mut self) {
        if self.spilled.is_some() && self.queue.is_crowded() {
            self.backlog.extend(self.queue.take_all());
            self.put_backlog_aside(|counting| &counting.dropped_gave_up);
        }
    }

    fn put_backlog_aside(&mut self, without: Dropped) {
        while !self.backlog.is_empty() {
            let batch = self.next_batch();
            for (kind, lines) in &batch.requests {
                self.put_aside(*kind, lines, without);
            }
            self.queue.settled(batch.events, batch.bytes);
        }
    }

    /// Writes events into the spill directory; `without` one they are dropped.
    fn put_aside(&mut self, kind: Kind, lines: &[Vec<u8>], without: Dropped) {
        let counter = match self.spilled.as_mut().map(|spilled| spilled.put(kind, lines)) {
            None => without(&self.counting),
            Some(Ok(true)) => &self.counting.spilled,
            Some(Ok(false)) => {
                self.counting.tell("the spill directory is full; give it more bytes");
                &self.counting.dropped_spill_full
            }
            Some(Err(error)) => {
                self.counting.tell(format!("the spill directory cannot be written: {error}"));
                &self.counting.dropped_spill_full
            }
        };
        add(counter, lines.len());
        subtract(&self.counting.waiting, lines.len());
    }
}

/// The lines at these places, which ascend.
fn kept(lines: Vec<Vec<u8>>, places: &[usize]) -> Vec<Vec<u8>> {
    let mut places = places.iter().peekable();
    let lines = lines.into_iter().enumerate();
    lines.filter_map(|(place, line)| places.next_if_eq(&&place).map(|_| line)).collect()
}

/// The ids of a run have nothing in common with those of another, and sort by when it began.
pub(crate) fn run_id() -> String {
    format!("{:014x}-{:016x}{:016x}", SystemClock.now().micros(), random(), random())
}
