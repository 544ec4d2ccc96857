//! What waits to be sent. A caller takes the lock for the push of one pointer-sized move; the sender swaps everything out.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::event::Event;

/// Room that is made before it is needed.
const ROOM: usize = 1 << 14;

/// Events with the bytes that each takes. In boxes, so that a push moves a pointer and not the event while others wait.
pub(crate) type Waiting = VecDeque<(Box<Event>, usize)>;

/// What the queue gives the sender.
#[derive(Debug)]
pub(crate) enum Next {
    /// All that waited.
    Events(Waiting),
    /// Nothing came.
    Nothing,
    /// Nothing will come.
    End,
}

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
    events: Waiting,
    /// Of all that is here or in hand.
    bytes: usize,
    /// Events that were taken out and are not settled yet.
    in_hand: usize,
    /// How many are waiting for everything to be settled.
    flushing: usize,
    closed: bool,
    /// When the sender has to be done; from the end on.
    deadline: Option<Instant>,
}

impl State {
    fn is_settled(&self) -> bool {
        self.events.is_empty() && self.in_hand == 0
    }
}

impl Queue {
    pub(crate) fn new(events_max: usize, bytes_max: usize, batch: usize) -> Self {
        let state = State { events: VecDeque::with_capacity(events_max.min(ROOM)), ..State::default() };
        let (wake, idle) = (Condvar::new(), Condvar::new());
        Self { state: Mutex::new(state), wake, idle, events_max, bytes_max, batch: batch.max(1) }
    }

    /// Whether there was room.
    pub(crate) fn push(&self, event: Box<Event>, bytes: usize) -> bool {
        let mut state = self.lock();
        let events = state.events.len() + state.in_hand;
        if state.closed || events >= self.events_max || state.bytes.saturating_add(bytes) > self.bytes_max {
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

    /// All that waits: when it fills a batch, after `linger` when it does not, at once when somebody waits for it. After
    /// `idle`, if there is nothing.
    pub(crate) fn next_batch(&self, linger: Duration, idle: Duration) -> Next {
        let room = self.room();
        let begun = Instant::now();
        let mut state = self.lock();
        let mut since: Option<Instant> = None;
        loop {
            if !state.events.is_empty() {
                let waited = since.get_or_insert_with(Instant::now).elapsed();
                if state.events.len() >= self.batch || waited >= linger || state.flushing > 0 || state.closed {
                    return Next::Events(swap(&mut state, room));
                }
                state = self.wait(state, linger.saturating_sub(waited));
            } else if state.closed {
                return Next::End;
            } else {
                let left = idle.saturating_sub(begun.elapsed());
                if left.is_zero() {
                    return Next::Nothing;
                }
                state = self.wait(state, left);
            }
        }
    }

    /// All that waits, now.
    pub(crate) fn take_all(&self) -> Waiting {
        let room = self.room();
        swap(&mut self.lock(), room)
    }

    /// Whether new events will soon find no room.
    pub(crate) fn is_crowded(&self) -> bool {
        let state = self.lock();
        !state.events.is_empty()
            && (state.events.len() + state.in_hand > self.events_max / 2 || state.bytes > self.bytes_max / 2)
    }

    /// Events that were taken out are sent, put aside or dropped.
    pub(crate) fn settled(&self, events: usize, bytes: usize) {
        let mut state = self.lock();
        state.in_hand = state.in_hand.saturating_sub(events);
        state.bytes = state.bytes.saturating_sub(bytes);
        if state.is_settled() {
            self.idle.notify_all();
        }
    }

    /// Waits for at most `pause`; ends early at the end.
    pub(crate) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let until = state.deadline.map_or(until, |deadline| until.min(deadline));
            let left = until.saturating_duration_since(Instant::now());
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
        while !state.is_settled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.flushing -= 1;
        state.is_settled()
    }

    /// Takes nothing more from now on.
    pub(crate) fn close(&self, deadline: Instant) {
        let mut state = self.lock();
        state.closed = true;
        state.deadline = Some(deadline);
        drop(state);
        self.wake.notify_all();
    }

    /// The time that is left for the end; none if it has not come.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.lock().deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether the time for the end is over.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Made without the lock, so that nobody waits for it.
    fn room(&self) -> Waiting {
        VecDeque::with_capacity(self.events_max.min(ROOM))
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        self.wake.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Nothing that holds the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn swap(state: &mut State, room: Waiting) -> Waiting {
    state.in_hand += state.events.len();
    std::mem::replace(&mut state.events, room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Retrieval;

    fn event() -> Box<Event> {
        Box::new(Event::Retrieval(Retrieval::default()))
    }

    #[test]
    fn what_is_in_hand_takes_room_until_it_is_settled() {
        let queue = Queue::new(3, 100, 10);
        assert!(queue.push(event(), 60));
        assert!(!queue.push(event(), 60), "there are forty bytes left");
        let Next::Events(taken) = queue.next_batch(Duration::ZERO, Duration::ZERO) else { panic!() };
        assert_eq!(taken.len(), 1);
        assert!(!queue.push(event(), 60), "what was taken out is still in memory");
        assert!(queue.push(event(), 20) && queue.push(event(), 10));
        assert!(!queue.push(event(), 1), "three events are three events");
        queue.settled(1, 60);
        assert!(queue.push(event(), 60));
        assert!(!queue.flush(Duration::ZERO));
    }

    #[test]
    fn a_closed_queue_gives_out_what_it_has_and_takes_nothing() {
        let queue = Queue::new(10, 100, 10);
        assert!(queue.push(event(), 1));
        queue.close(Instant::now());
        assert!(!queue.push(event(), 1));
        let hour = Duration::from_hours(1);
        assert!(matches!(queue.next_batch(hour, hour), Next::Events(events) if events.len() == 1));
        assert!(matches!(queue.next_batch(hour, hour), Next::End));
        assert!(queue.is_over());
    }
}
