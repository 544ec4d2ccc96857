//! What waits to be sent. A caller takes the lock for the push of one pointer-sized move; the sender takes everything at once.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::event::Event;

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The sender waits here; it is woken when a batch is full, when somebody flushes and at the end.
    wake: Condvar,
    /// Whoever flushes waits here.
    idle: Condvar,
    events_max: usize,
    bytes_max: usize,
    batch: usize,
}

#[derive(Debug, Default)]
struct State {
    // A box, so that a push moves a pointer and not the event while others wait.
    events: VecDeque<(Box<Event>, usize)>,
    bytes: usize,
    /// Events that were taken out and are not settled yet.
    in_hand: usize,
    /// How many are waiting for everything to be settled.
    flushing: usize,
    closed: bool,
    /// When the sender has to be done; from the end on.
    deadline: Option<Instant>,
}

impl Queue {
    pub(crate) fn new(events_max: usize, bytes_max: usize, batch: usize) -> Self {
        let state = State { events: VecDeque::with_capacity(events_max.min(1 << 14)), ..State::default() };
        let (wake, idle) = (Condvar::new(), Condvar::new());
        Self { state: Mutex::new(state), wake, idle, events_max, bytes_max, batch: batch.max(1) }
    }

    /// Whether there was room.
    pub(crate) fn push(&self, event: Box<Event>, bytes: usize) -> bool {
        let mut state = self.lock();
        if state.closed || state.events.len() >= self.events_max || state.bytes + bytes > self.bytes_max {
            return false;
        }
        state.events.push_back((event, bytes));
        state.bytes += bytes;
        // Waking costs a system call, so it is done once per batch; the sender looks for less by itself.
        let full = state.events.len() == self.batch;
        drop(state);
        if full {
            self.wake.notify_one();
        }
        true
    }

    /// The next batch: when one is full, after `linger` when there are fewer, at once when somebody waits for it. `None` at
    /// the end, when nothing is left.
    pub(crate) fn take(&self, linger: Duration) -> Option<Vec<Event>> {
        let mut state = self.lock();
        let mut since: Option<Instant> = None;
        loop {
            if !state.events.is_empty() {
                let waited = since.get_or_insert_with(Instant::now).elapsed();
                if state.events.len() >= self.batch || waited >= linger || state.flushing > 0 || state.closed {
                    return Some(self.drain(&mut state, self.batch));
                }
                state = self.wait(state, linger.saturating_sub(waited));
            } else if state.closed {
                return None;
            } else {
                since = None;
                state = self.wait(state, linger);
            }
        }
    }

    /// Everything beyond half of the room, so that new events find some; nothing if there is less.
    pub(crate) fn take_excess(&self) -> Vec<Event> {
        let mut state = self.lock();
        let crowded = state.events.len() > self.events_max / 2 || state.bytes > self.bytes_max / 2;
        let count = if crowded { state.events.len() } else { 0 };
        self.drain(&mut state, count)
    }

    /// Everything that is left.
    pub(crate) fn take_all(&self) -> Vec<Event> {
        let mut state = self.lock();
        let count = state.events.len();
        self.drain(&mut state, count)
    }

    #[expect(clippy::unused_self, reason = "it belongs to what holds the lock")]
    fn drain(&self, state: &mut State, most: usize) -> Vec<Event> {
        let count = most.min(state.events.len());
        let mut bytes = 0;
        let taken = state.events.drain(..count).map(|(event, size)| {
            bytes += size;
            *event
        });
        let taken: Vec<Event> = taken.collect();
        state.bytes -= bytes;
        state.in_hand += taken.len();
        taken
    }

    /// Events that were taken out are sent, put aside or dropped.
    pub(crate) fn settled(&self, count: usize) {
        let mut state = self.lock();
        state.in_hand -= count;
        if state.events.is_empty() && state.in_hand == 0 {
            self.idle.notify_all();
        }
    }

    /// Waits for at most `pause`; ends early at the end.
    pub(crate) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left =
                state.deadline.map_or(left, |deadline| left.min(deadline.saturating_duration_since(Instant::now())));
            if left.is_zero() {
                return;
            }
            state = self.wait(state, left);
        }
    }

    /// Waits until everything is settled; whether it is.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.lock();
        state.flushing += 1;
        self.wake.notify_one();
        let mut settled = state.events.is_empty() && state.in_hand == 0;
        while !settled {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            settled = state.events.is_empty() && state.in_hand == 0;
        }
        state.flushing -= 1;
        settled
    }

    /// Takes nothing more from now on.
    pub(crate) fn close(&self, deadline: Instant) {
        let mut state = self.lock();
        state.closed = true;
        state.deadline = Some(deadline);
        drop(state);
        self.wake.notify_all();
    }

    /// Whether the time for the end is over.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        self.wake.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Nothing that holds the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
