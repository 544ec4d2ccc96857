//! When the server may be asked again, whatever there is to send.

use std::time::{Duration, Instant};

use crate::settings::Settings;

/// The longest pause that a server can ask for.
const ASKED_MAX: Duration = Duration::from_mins(10);

#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// Requests that failed one after the other.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// How long it is until the next request may be made.
    pub(crate) fn left(&self) -> Duration {
        self.not_before.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// A request was answered, and all of it taken or refused.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A part was taken; the rest is to come later.
    pub(crate) fn progressed(&mut self, settings: &Settings, asked: Option<Duration>) {
        self.failures = 0;
        self.not_before = Some(Instant::now() + pause(settings, 1, asked, random()));
    }

    /// Nothing was taken.
    pub(crate) fn failed(&mut self, settings: &Settings, asked: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + pause(settings, self.failures, asked, random()));
    }
}

/// What the server asks for, and besides twice as long each time, of which half is left to chance ("equal jitter", Brooker,
/// AWS Architecture Blog, 2015): clients that were sent away together do not come back together.
fn pause(settings: &Settings, failures: u32, asked: Option<Duration>, chance: u64) -> Duration {
    let doubled = settings.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let half = doubled.min(settings.longest_pause) / 2;
    #[expect(clippy::cast_precision_loss, reason = "a chance needs no 64 bits")]
    let part = chance as f64 / u64::MAX as f64;
    asked.unwrap_or_default().min(ASKED_MAX) + half + half.mul_f64(part)
}

pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_leave_half_to_chance() {
        let settings = Settings::new("http://localhost");
        let check = |failures, chance, milliseconds| {
            assert_eq!(pause(&settings, failures, None, chance).as_millis(), milliseconds, "{failures} failures");
        };
        check(1, 0, 50);
        check(1, u64::MAX, 100);
        check(3, 0, 200);
        check(30, u64::MAX, 10_000);
    }

    #[test]
    fn what_the_server_asks_for_is_kept_to_within_ten_minutes() {
        let settings = Settings::new("http://localhost");
        let asked = |seconds| pause(&settings, 1, Some(Duration::from_secs(seconds)), 0).as_millis();
        assert_eq!((asked(30), asked(86_400)), (30_050, 600_050));
    }

    #[test]
    fn one_answer_ends_the_pauses() {
        let (settings, mut backoff) = (Settings::new("http://localhost"), Backoff::default());
        (0..5).for_each(|_| backoff.failed(&settings, None));
        assert_eq!(backoff.failures(), 5);
        assert!(backoff.left() > Duration::from_millis(700));
        backoff.progressed(&settings, Some(Duration::from_secs(3)));
        assert_eq!(backoff.failures(), 0);
        assert!(backoff.left() > Duration::from_secs(2));
        backoff.succeeded();
        assert_eq!(backoff.left(), Duration::ZERO);
    }
}
