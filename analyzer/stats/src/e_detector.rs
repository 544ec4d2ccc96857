//! e-detector: raises an alarm soon after a bounded mean rises, with a controlled run length to a false one.
//!
//! ```text
//! M_0 = 0,   M_t = (M_{t-1} + 1) factor_t,   alarm at M_t >= 1/alpha
//! ```
//!
//! The Shiryaev–Roberts sum of the e-processes that start at every time, with the one-step e-values of
//! [`crate::Bettor`]: whenever the mean rises, one of the summed processes started just then. While the null hypothesis
//! holds, the expected number of observations to the first alarm is at least `1/alpha`, whatever the dependence and the
//! schedule of looks. Unit: none. Bounds: [0, inf), held at the largest double. Errors: `NonFinite`, `OutOfRange`.
//! Source: Shin, Ramdas & Rinaldo 2023 (NEJSDS).
//!
//! The first alarm stays until [`EDetector::reset`], so that an alarm between two looks is not lost.

use serde::{Deserialize, Serialize};

use crate::betting::Bettor;
use crate::sample::require_between;
use crate::{Error, Result};

/// State of one monitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredDetector")]
pub struct EDetector {
    bettor: Bettor,
    alpha: f64,
    statistic: f64,
    alarm_at: Option<u64>,
}

/// A detector as stored, before its numbers are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredDetector {
    bettor: Bettor,
    alpha: f64,
    statistic: f64,
    alarm_at: Option<u64>,
}

impl TryFrom<StoredDetector> for EDetector {
    type Error = Error;

    fn try_from(stored: StoredDetector) -> Result<Self> {
        let StoredDetector { bettor, alpha, statistic, alarm_at } = stored;
        require_between("alpha", alpha, 0.0, 1.0, "(0, 1)")?;
        if !(0.0..=f64::MAX).contains(&statistic) {
            return Err(Error::OutOfRange { what: "statistic", value: statistic, range: "[0, inf)" });
        }
        if let Some(observation) = alarm_at.filter(|&at| at == 0 || at > bettor.observations()) {
            let value = observation as f64;
            return Err(Error::OutOfRange { what: "alarm_at", value, range: "[1, observations]" });
        }
        Ok(Self { bettor, alpha, statistic, alarm_at })
    }
}

impl EDetector {
    /// Watches for a mean above `null_mean`; at most one false alarm per `1/alpha` observations on average.
    pub fn new(null_mean: f64, clip: f64, alpha: f64) -> Result<Self> {
        require_between("alpha", alpha, 0.0, 1.0, "(0, 1)")?;
        Ok(Self { bettor: Bettor::new(null_mean, clip)?, alpha, statistic: 0.0, alarm_at: None })
    }

    /// Takes in the next observation and says whether an alarm stands. A refused observation changes nothing.
    pub fn observe(&mut self, observation: f64) -> Result<bool> {
        let factor = self.bettor.observe(observation)?;
        self.statistic = ((self.statistic + 1.0) * factor).min(f64::MAX);
        if self.alarm_at.is_none() && self.statistic >= 1.0 / self.alpha {
            self.alarm_at = Some(self.bettor.observations());
        }
        Ok(self.alarm_at.is_some())
    }

    /// `M_t`.
    pub fn statistic(&self) -> f64 {
        self.statistic
    }

    /// `1/alpha`.
    pub fn threshold(&self) -> f64 {
        1.0 / self.alpha
    }

    /// The observation, from 1, at which the first alarm was raised since the last reset.
    pub fn alarm_at(&self) -> Option<u64> {
        self.alarm_at
    }

    /// How many observations were seen since the last reset.
    pub fn observations(&self) -> u64 {
        self.bettor.observations()
    }

    /// Starts over, with the same null hypothesis and level: after an alarm was dealt with, or a new baseline.
    pub fn reset(&mut self) {
        self.bettor.forget();
        self.statistic = 0.0;
        self.alarm_at = None;
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// First alarm on observations that are 0 or 1/5, with a mean that moves from 0.06 to `mean` after 200.
    fn check(mean: f64, alpha: f64, seed: u64) -> Option<u64> {
        let mut detector = EDetector::new(0.06, 0.5, alpha).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..5_000)
            .find(|&step| {
                let share = if step < 200 { 0.06 } else { mean } / 0.2;
                detector.observe(if rng.random_bool(share) { 0.2 } else { 0.0 }).unwrap()
            })
            .inspect(|&step| assert_eq!(detector.alarm_at(), Some(step + 1)))
    }

    #[test]
    fn a_mean_that_doubled_is_found_within_a_hundred_looks() {
        for seed in 0..20 {
            let step = check(0.12, 0.001, seed);
            assert!(step.is_some_and(|step| (200..300).contains(&step)), "seed {seed}: {step:?}");
        }
    }

    #[test]
    fn the_mean_run_length_to_a_false_alarm_is_at_least_one_over_alpha() {
        let total: u64 = (0..50).map(|seed| check(0.06, 0.001, seed).unwrap_or(5_000)).sum();
        assert!(total / 50 >= 1_000, "{}", total / 50);
    }

    #[test]
    fn an_alarm_stands_until_it_is_reset() {
        let mut detector = EDetector::new(0.1, 0.5, 0.01).unwrap();
        while !detector.observe(1.0).unwrap() {}
        assert!(detector.observe(0.0).unwrap());
        detector.reset();
        assert_eq!(detector, EDetector::new(0.1, 0.5, 0.01).unwrap());
    }

    #[test]
    fn the_statistic_never_overflows_and_the_state_can_be_stored() {
        let mut detector = EDetector::new(0.01, 0.9, 0.01).unwrap();
        for _ in 0..1_000 {
            detector.observe(1.0).unwrap();
        }
        let stored = serde_json::to_string(&detector).unwrap();
        assert_eq!(serde_json::from_str::<EDetector>(&stored).unwrap(), detector);
    }
}
