use std::collections::{HashSet, VecDeque};

use tidemark_schema::{EventId, Timestamp};

/// The ids of the events that were received lately: a bounded window in which a resend is recognised at once.
///
/// The window knows from when on it is complete. An event that happened before that may be a resend of something it has
/// forgotten; it is marked as late, and the table is asked when it is written (see `Ingest::Late`).
#[derive(Debug)]
pub struct RecentIds {
    capacity: usize,
    complete_since: Timestamp,
    ids: HashSet<EventId>,
    order: VecDeque<(Timestamp, EventId)>,
}

impl RecentIds {
    /// A window that holds everything received since `complete_since`, which is what `received` says.
    pub fn new(capacity: usize, complete_since: Timestamp, mut received: Vec<(Timestamp, EventId)>) -> Self {
        received.sort();
        let mut window =
            Self { capacity: capacity.max(1), complete_since, ids: HashSet::new(), order: VecDeque::new() };
        for (time, id) in received {
            window.insert(time, id);
        }
        window
    }

    /// Whether the id is in the window.
    pub fn contains(&self, id: &EventId) -> bool {
        self.ids.contains(id)
    }

    /// Takes an id in; the oldest goes when the window is full.
    pub fn insert(&mut self, received_at: Timestamp, id: EventId) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back((received_at, id));
        while self.order.len() > self.capacity {
            if let Some((time, id)) = self.order.pop_front() {
                self.ids.remove(&id);
                // Others of the same instant may have been forgotten too, so the window is complete only after it.
                self.complete_since = self.complete_since.max(time.plus_seconds(1));
            }
        }
    }

    /// Whether a resend of an event that happened at `occurred_at` would be recognised, given that an event is never
    /// received more than `ahead_s` seconds before it happens (the sender's clock may be fast by that much).
    pub fn reaches_back_to(&self, occurred_at: Timestamp, ahead_s: i64) -> bool {
        occurred_at >= self.complete_since.plus_seconds(ahead_s)
    }

    /// How many ids it holds.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::MIN.plus_seconds(second)
    }

    fn id(n: u8) -> EventId {
        EventId::from_bytes([n; 16])
    }

    #[test]
    fn a_full_window_forgets_the_oldest_and_knows_that_it_did() {
        let mut window = RecentIds::new(2, at(0), vec![(at(10), id(1))]);
        window.insert(at(20), id(2));
        assert!(window.reaches_back_to(at(5), 5));
        window.insert(at(30), id(3));
        assert!(!window.contains(&id(1)) && window.contains(&id(2)) && window.contains(&id(3)));
        assert!(!window.reaches_back_to(at(10), 0));
        assert!(window.reaches_back_to(at(20), 5));
    }

    #[test]
    fn an_id_that_comes_twice_takes_one_place() {
        let mut window = RecentIds::new(2, at(0), Vec::new());
        window.insert(at(1), id(1));
        window.insert(at(2), id(1));
        assert_eq!(window.len(), 1);
    }
}
