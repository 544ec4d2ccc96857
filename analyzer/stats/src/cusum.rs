//! Textbook CUSUM, the peer that the e-detector is measured against. It has no guarantee without a model: looked at
//! long enough it alarms on every stable stream.
//!
//! ```text
//! S_0 = 0,   S_t = max(0, S_{t-1} + (x_t - mean)/deviation - k),   alarm at S_t > h
//! ```
//!
//! One-sided, upwards. Unit: standard deviations. Bounds: [0, inf). Assumes independent normal observations of known
//! mean and deviation; with `k = 0.5, h = 5` the average run length is then about 930 without and 10 with a shift of
//! one standard deviation. Errors: `NonFinite`, `OutOfRange` (deviation, k or h not positive). Source: Page 1954
//! (Biometrika 41); Montgomery, *Introduction to Statistical Quality Control*.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::sample::{require_between, require_finite};

/// State of one chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cusum {
    mean: f64,
    deviation: f64,
    allowance: f64,
    threshold: f64,
    sum: f64,
}

impl Cusum {
    /// A chart around a known mean and standard deviation, with the textbook's `k = 0.5` and `h = 5`.
    pub fn textbook(mean: f64, deviation: f64) -> Result<Self> {
        Self::new(mean, deviation, 0.5, 5.0)
    }

    /// A chart with allowance `k` and threshold `h`, in standard deviations.
    pub fn new(mean: f64, deviation: f64, allowance: f64, threshold: f64) -> Result<Self> {
        require_finite("mean", &[mean])?;
        for (what, value) in [("deviation", deviation), ("allowance", allowance), ("threshold", threshold)] {
            require_between(what, value, 0.0, f64::INFINITY, "(0, inf)")?;
        }
        Ok(Self { mean, deviation, allowance, threshold, sum: 0.0 })
    }

    /// Takes in the next observation and says whether the chart is above its threshold.
    pub fn observe(&mut self, observation: f64) -> Result<bool> {
        require_finite("observation", &[observation])?;
        self.sum = (self.sum + (observation - self.mean) / self.deviation - self.allowance).clamp(0.0, f64::MAX);
        Ok(self.sum > self.threshold)
    }

    /// `S_t`.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_of_one_deviation_alarms_after_eleven_even_steps() {
        let mut chart = Cusum::textbook(0.0, 2.0).unwrap();
        assert_eq!((1..100).find(|_| chart.observe(2.0).unwrap()), Some(11));
    }
}
