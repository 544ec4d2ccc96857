use std::collections::HashMap;

use tidemark_schema::{Label, Timestamp};

use crate::policy::Bounds;

/// How often each principal may send, with [`Bounds::events_per_second`] and [`Bounds::burst`].
///
/// A token bucket in the form of the generic cell rate algorithm (ITU-T I.371, annex A): of each principal one number is
/// kept, the time at which its bucket will be full again. Over any interval of `t` seconds a principal gets at most
/// `burst + events_per_second * t` events accepted.
///
/// A bounded number of principals is tracked. Only those are forgotten whose bucket is full, for which nothing is lost.
/// When none can be forgotten, all further principals share one bucket, so invented principals slow down each other and
/// those who are new, and nobody gets more by being forgotten. Events without principal share a bucket too.
#[derive(Debug)]
pub struct Quotas {
    capacity: usize,
    full_at: HashMap<Option<Label>, i128>,
    /// The bucket of all principals that are not tracked.
    others_full_at: i128,
    /// Time that has passed since the first call. A clock that was set back has stood still.
    now: i128,
    last: Option<Timestamp>,
    /// When full buckets are looked for next.
    sweep_at: i128,
}

/// Why events are not accepted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverQuota {
    /// They would be later.
    #[error("the quota of this principal is used up; send again after {seconds} s")]
    Wait {
        /// Whole seconds until as many events are accepted, at least 1.
        seconds: u64,
    },
    /// They never would be at once.
    #[error("{events} events at once are more than the quota's burst of {burst}; send at most so many together")]
    TooMany {
        /// How many were sent.
        events: u32,
        /// How many may be.
        burst: u32,
    },
}

/// Fine enough that the time that one event takes is exact to a millionth of an event at any rate below 10^9 per second.
const TICKS_PER_SECOND: i128 = 1_000_000_000_000_000;
const TICKS_PER_MICROSECOND: i128 = TICKS_PER_SECOND / 1_000_000;

/// The time in which this many events come at this rate, rounded up.
fn time_of(events: u32, rate: u32) -> i128 {
    let rate = i128::from(rate.max(1));
    (i128::from(events) * TICKS_PER_SECOND + rate - 1) / rate
}

impl Quotas {
    /// How many principals are tracked unless said otherwise; they take some 4 MB.
    pub const PRINCIPALS: usize = 10_000;

    /// Tracks at most this many principals.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, full_at: HashMap::new(), others_full_at: 0, now: 0, last: None, sweep_at: 0 }
    }

    /// Accepts as many events of a principal, or none of them.
    pub fn take(
        &mut self,
        now: Timestamp,
        principal: Option<&Label>,
        bounds: &Bounds,
        events: u32,
    ) -> Result<(), OverQuota> {
        self.advance(now);
        let Some(rate) = bounds.events_per_second else { return Ok(()) };
        let burst = bounds.burst.unwrap_or_else(|| rate.saturating_mul(10));
        if events > burst {
            return Err(OverQuota::TooMany { events, burst });
        }
        let now = self.now;
        let bucket = self.bucket(principal);
        let full_at = (*bucket).max(now) + time_of(events, rate);
        let over = full_at - now - time_of(burst, rate);
        if over > 0 {
            let seconds = (over + TICKS_PER_SECOND - 1) / TICKS_PER_SECOND;
            return Err(OverQuota::Wait { seconds: u64::try_from(seconds).unwrap_or(u64::MAX) });
        }
        *bucket = full_at;
        Ok(())
    }

    /// How many principals are tracked now.
    pub fn tracked(&self) -> usize {
        self.full_at.len()
    }

    fn advance(&mut self, now: Timestamp) {
        let passed = self.last.map_or(0, |last| i128::from(now.micros()) - i128::from(last.micros()));
        self.now += passed.max(0) * TICKS_PER_MICROSECOND;
        self.last = Some(now);
    }

    fn bucket(&mut self, principal: Option<&Label>) -> &mut i128 {
        let key = principal.cloned();
        if !self.full_at.contains_key(&key) {
            if self.full_at.len() >= self.capacity && self.now >= self.sweep_at {
                let now = self.now;
                self.full_at.retain(|_, full_at| *full_at > now);
                // Looking through all of them for each stranger would make a flood of strangers expensive.
                self.sweep_at = now + TICKS_PER_SECOND;
            }
            if self.full_at.len() >= self.capacity {
                return &mut self.others_full_at;
            }
        }
        // Who comes out of the shared bucket begins with its level, for it may have emptied that.
        self.full_at.entry(key).or_insert(self.others_full_at)
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self::new(Self::PRINCIPALS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds(rate: u32, burst: u32) -> Bounds {
        Bounds { events_per_second: Some(rate), burst: Some(burst), ..Bounds::default() }
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(Timestamp::MIN.micros() + micros).unwrap()
    }

    fn label(name: &str) -> Label {
        name.parse().unwrap()
    }

    #[track_caller]
    fn check(quotas: &mut Quotas, seconds: i64, who: &str, events: u32, expected: Result<(), OverQuota>) {
        let taken = quotas.take(at(seconds * 1_000_000), Some(&label(who)), &bounds(2, 10), events);
        assert_eq!(taken, expected, "{who} after {seconds} s");
    }

    #[test]
    fn a_burst_is_accepted_at_once_and_the_rate_afterwards() {
        let mut quotas = Quotas::default();
        check(&mut quotas, 0, "a", 10, Ok(()));
        check(&mut quotas, 0, "a", 3, Err(OverQuota::Wait { seconds: 2 }));
        check(&mut quotas, 0, "b", 10, Ok(()));
        check(&mut quotas, 1, "a", 3, Err(OverQuota::Wait { seconds: 1 }));
        check(&mut quotas, 2, "a", 4, Ok(()));
        check(&mut quotas, 1_000, "a", 10, Ok(()));
        check(&mut quotas, 1_000, "a", 1, Err(OverQuota::Wait { seconds: 1 }));
    }

    #[test]
    fn more_than_a_burst_is_never_accepted_and_nothing_unbounded_refused() {
        let mut quotas = Quotas::default();
        check(&mut quotas, 0, "a", 11, Err(OverQuota::TooMany { events: 11, burst: 10 }));
        assert_eq!(quotas.take(at(0), None, &Bounds::default(), u32::MAX), Ok(()));
        assert_eq!(quotas.tracked(), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_stands_still_for_once() {
        let mut quotas = Quotas::default();
        check(&mut quotas, 3_600, "a", 10, Ok(()));
        check(&mut quotas, 0, "a", 2, Err(OverQuota::Wait { seconds: 1 }));
        check(&mut quotas, 1, "a", 2, Ok(()));
    }

    #[test]
    fn a_flood_of_invented_principals_neither_grows_nor_frees_anybody() {
        let mut quotas = Quotas::new(3);
        check(&mut quotas, 0, "known", 10, Ok(()));
        for number in 0..100 {
            let refused = quotas.take(at(0), Some(&label(&format!("invented{number}"))), &bounds(2, 10), 10).is_err();
            assert_eq!(refused, number >= 3, "two own buckets and the shared one");
        }
        assert_eq!(quotas.tracked(), 3);
        check(&mut quotas, 1, "known", 3, Err(OverQuota::Wait { seconds: 1 }));
        check(&mut quotas, 1, "late", 3, Err(OverQuota::Wait { seconds: 1 }));
        check(&mut quotas, 10, "late", 10, Ok(()));
    }

    #[test]
    fn who_leaves_the_shared_bucket_takes_its_level_along() {
        let mut quotas = Quotas::new(1);
        check(&mut quotas, 0, "first", 1, Ok(()));
        check(&mut quotas, 0, "second", 10, Ok(()));
        check(&mut quotas, 2, "second", 5, Err(OverQuota::Wait { seconds: 1 }));
        assert_eq!(quotas.full_at.keys().flatten().map(Label::as_str).collect::<Vec<_>>(), ["second"]);
        check(&mut quotas, 2, "second", 4, Ok(()));
    }

    proptest! {
        #[test]
        fn over_any_interval_at_most_the_burst_and_the_rate_are_accepted(
            rate in 1_u32..2_000,
            burst in 1_u32..3_000,
            capacity in 0_usize..3,
            calls in proptest::collection::vec((0_i64..400_000, 0_usize..4, 1_u32..400), 1..120),
        ) {
            let mut quotas = Quotas::new(capacity);
            let mut now = 0;
            let mut accepted: Vec<(i64, usize, u32)> = Vec::new();
            for (passed, who, events) in calls {
                now += passed;
                if quotas.take(at(now), Some(&label(&who.to_string())), &bounds(rate, burst), events).is_ok() {
                    accepted.push((now, who, events));
                }
                prop_assert!(quotas.tracked() <= capacity);
            }
            for who in 0..4 {
                let own: Vec<_> = accepted.iter().filter(|(_, of, _)| *of == who).collect();
                for (first, (from, _, _)) in own.iter().enumerate() {
                    let mut sum = 0_i64;
                    for (to, _, events) in &own[first..] {
                        sum += i64::from(*events);
                        let most = i64::from(burst) * 1_000_000 + i64::from(rate) * (to - from);
                        prop_assert!(sum * 1_000_000 <= most, "{sum} from {from} to {to}");
                    }
                }
            }
        }
    }
}
