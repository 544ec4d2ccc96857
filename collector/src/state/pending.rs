//! The durable events that are not in the table yet, in the order of the log.

use std::collections::VecDeque;

use tidemark_schema::Stored;
use tidemark_wal::Sequence;

use crate::decode::Event;

/// One durable event.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// Its number in the log.
    pub(crate) sequence: Sequence,
    /// What it takes in memory.
    pub(crate) bytes: u64,
    pub(crate) row: Stored<Event>,
}

/// Events that wait for the table. They stay here until the table has them, whatever happens to the log meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: VecDeque<Waiting>,
    bytes: u64,
}

impl Pending {
    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.bytes;
        self.waiting.push_back(waiting);
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest events before number `before`: at most `events`, at most `bytes`, but at least one if there is one.
    pub(crate) fn oldest(&self, before: Sequence, events: usize, bytes: u64) -> Vec<Waiting> {
        let mut total = 0_u64;
        let fits = |waiting: &&Waiting| {
            let first = total == 0;
            total = total.saturating_add(waiting.bytes.max(1));
            waiting.sequence < before && (first || total <= bytes)
        };
        self.waiting.iter().take(events.max(1)).take_while(fits).cloned().collect()
    }

    /// Forgets the events before number `next`; says how many.
    pub(crate) fn forget_before(&mut self, next: Sequence) -> usize {
        let before = self.waiting.len();
        while let Some(oldest) = self.waiting.pop_front_if(|oldest| oldest.sequence < next) {
            self.bytes -= oldest.bytes;
        }
        before - self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use tidemark_schema::{Ingest, Timestamp};

    use super::*;
    use crate::tests::live;

    fn at(number: u64) -> Sequence {
        Sequence::try_from(number).unwrap_or(Sequence::MAX)
    }

    fn filled(sizes: &[u64]) -> Pending {
        let mut pending = Pending::default();
        for (number, bytes) in (10..).zip(sizes) {
            let sequence = at(number);
            let row = Stored { received_at: Timestamp::MIN, ingest: Ingest::Live, event: live(1) };
            pending.push(Waiting { sequence, bytes: *bytes, row });
        }
        pending
    }

    #[track_caller]
    fn check(before: u64, events: usize, bytes: u64, expected: &[u64]) {
        let oldest = filled(&[5, 50, 5, 5]).oldest(at(before), events, bytes);
        let numbers: Vec<u64> = oldest.iter().map(|waiting| waiting.sequence.get()).collect();
        assert_eq!(numbers, expected);
    }

    #[test]
    fn a_batch_is_bounded_by_events_by_bytes_and_by_the_position_asked_for() {
        check(u64::MAX, 100, 1000, &[10, 11, 12, 13]);
        check(u64::MAX, 3, 1000, &[10, 11, 12]);
        check(u64::MAX, 100, 55, &[10, 11]);
        check(12, 100, 1000, &[10, 11]);
        check(10, 100, 1000, &[]);
    }

    #[test]
    fn an_event_larger_than_a_batch_goes_alone() {
        check(u64::MAX, 100, 1, &[10]);
    }

    #[test]
    fn what_is_forgotten_no_longer_counts() {
        let mut pending = filled(&[5, 50, 5]);
        assert_eq!(pending.forget_before(at(12)), 2);
        assert_eq!((pending.len(), pending.bytes()), (1, 5));
        assert_eq!(pending.forget_before(at(3)), 0);
    }
}
