//! How long to wait before the next try.

use std::time::Duration;

/// The pauses between tries of something that fails: the first, then twice the one before, up to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

/// Where a series of tries is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    backoff: Backoff,
    next: Duration,
}

impl Pauses {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { backoff, next: backoff.first }
    }

    /// The pause after one more failure.
    pub(crate) fn after_failure(&mut self) -> Duration {
        let pause = self.next.min(self.backoff.longest);
        self.next = pause.saturating_mul(2);
        pause
    }

    /// It worked: the next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.next = self.backoff.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again_after_a_success() {
        let seconds = |s| Duration::from_secs(s);
        let mut pauses = Pauses::new(Backoff { first: seconds(1), longest: seconds(5) });
        let waited: Vec<u64> = (0..5).map(|_| pauses.after_failure().as_secs()).collect();
        assert_eq!(waited, [1, 2, 4, 5, 5]);
        pauses.reset();
        assert_eq!(pauses.after_failure(), seconds(1));
    }
}
