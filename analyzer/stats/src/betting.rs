//! Betting e-process for a bounded mean: evidence that may be looked at after every observation.
//!
//! Null hypothesis: `E[x_t | past] <= m` for observations in [0, 1]. Before each observation a share of the wealth is
//! bet on a larger mean; under the null hypothesis the wealth is a supermartingale, so it ever reaches `1/alpha` with
//! probability at most `alpha` (Ville 1939), however often one looks.
//!
//! ```text
//! factor_t = 1 + bet_t (x_t - m),   bet_t = clip((mu - m) / (var + (mu - m)^2), 0, clip/m)
//! mu  = (1/2 + sum_{i<t} x_i) / t,  var = (1/4 + sum_{i<t} (x_i - mu_i)^2) / t,  mu_i = (1/2 + sum_{j<=i} x_j) / (i+1)
//! ```
//!
//! The aGRAPA bets of Waudby-Smith & Ramdas (2024, JRSS B 86). `clip < 1` keeps every factor positive. To watch for a
//! mean that falls, observe `1 - x` against `1 - m`. Unit: none. Bounds: factors in `[1 - clip, 1 + clip (1 - m)/m]`.
//! Assumes nothing about dependence or distribution beyond the null hypothesis. Errors: `NonFinite`, `OutOfRange`.
//!
//! The state is pure and serialisable: the same observations in the same order give the same state, across restarts
//! too.

use serde::{Deserialize, Serialize};

use crate::sample::require_between;
use crate::{Error, Result};

/// Turns observations into one-step e-values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredBettor")]
pub struct Bettor {
    null_mean: f64,
    clip: f64,
    observations: u64,
    sum: f64,
    squared_deviations: f64,
}

/// A bettor as stored, before its numbers are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBettor {
    null_mean: f64,
    clip: f64,
    observations: u64,
    sum: f64,
    squared_deviations: f64,
}

impl TryFrom<StoredBettor> for Bettor {
    type Error = Error;

    fn try_from(stored: StoredBettor) -> Result<Self> {
        let fresh = Self::new(stored.null_mean, stored.clip)?;
        // Each observation adds at most 1 to either sum; a slack for their rounding.
        let most = stored.observations as f64 * (1.0 + 1e-9);
        for (what, value) in [("sum", stored.sum), ("squared_deviations", stored.squared_deviations)] {
            if !(0.0..=most).contains(&value) {
                return Err(Error::OutOfRange { what, value, range: "[0, observations]" });
            }
        }
        Ok(Self {
            observations: stored.observations,
            sum: stored.sum,
            squared_deviations: stored.squared_deviations,
            ..fresh
        })
    }
}

impl Bettor {
    /// Bets against a mean of at most `null_mean`, risking at most the share `clip` of the wealth per observation.
    pub fn new(null_mean: f64, clip: f64) -> Result<Self> {
        require_between("null_mean", null_mean, 0.0, 1.0, "(0, 1)")?;
        require_between("clip", clip, 0.0, 1.0, "(0, 1)")?;
        Ok(Self { null_mean, clip, observations: 0, sum: 0.0, squared_deviations: 0.0 })
    }

    /// Forgets every observation.
    pub(crate) fn forget(&mut self) {
        self.observations = 0;
        self.sum = 0.0;
        self.squared_deviations = 0.0;
    }

    /// How many observations were seen.
    pub fn observations(&self) -> u64 {
        self.observations
    }

    /// Mean of the observations, pulled to 1/2 by one half-observation.
    pub fn mean(&self) -> f64 {
        (0.5 + self.sum) / (self.observations + 1) as f64
    }

    /// Takes in the next observation and returns its one-step e-value. A refused observation changes nothing.
    pub fn observe(&mut self, observation: f64) -> Result<f64> {
        if !observation.is_finite() {
            return Err(Error::NonFinite { what: "observation", index: 0 });
        }
        if !(0.0..=1.0).contains(&observation) {
            return Err(Error::OutOfRange { what: "observation", value: observation, range: "[0, 1]" });
        }
        let edge = self.mean() - self.null_mean;
        let variance = (0.25 + self.squared_deviations) / (self.observations + 1) as f64;
        let bet = (edge / (variance + edge * edge)).clamp(0.0, self.clip / self.null_mean);
        // The bet is settled before the observation may influence the next one.
        self.sum += observation;
        self.observations += 1;
        self.squared_deviations += (observation - self.mean()).powi(2);
        Ok(1.0 + bet * (observation - self.null_mean))
    }
}

/// The wealth of a bettor who started with 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BettingProcess {
    bettor: Bettor,
    log_wealth: f64,
}

impl BettingProcess {
    /// Starts with wealth 1.
    pub fn new(null_mean: f64, clip: f64) -> Result<Self> {
        Ok(Self { bettor: Bettor::new(null_mean, clip)?, log_wealth: 0.0 })
    }

    /// Takes in the next observation and returns the logarithm of the wealth after it.
    pub fn observe(&mut self, observation: f64) -> Result<f64> {
        self.log_wealth += self.bettor.observe(observation)?.ln();
        Ok(self.log_wealth)
    }

    /// Natural logarithm of the wealth.
    pub fn log_wealth(&self) -> f64 {
        self.log_wealth
    }

    /// The wealth, an e-value at any stopping time; infinite where it exceeds a double.
    pub fn e_value(&self) -> f64 {
        self.log_wealth.exp()
    }

    /// How many observations were seen.
    pub fn observations(&self) -> u64 {
        self.bettor.observations()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_being_stored_between_any_two_observations() {
        let mut kept = BettingProcess::new(0.1, 0.5).unwrap();
        let mut stored = kept.clone();
        for step in 0_u32..200 {
            let observation = f64::from(step * 37 % 101) / 100.0;
            let before = kept.observe(observation).unwrap();
            stored = serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap();
            assert_eq!(before.to_bits(), stored.observe(observation).unwrap().to_bits());
        }
        assert_eq!(kept, stored);
    }

    #[test]
    fn a_refused_observation_changes_nothing() {
        let mut process = BettingProcess::new(0.1, 0.5).unwrap();
        let before = process.clone();
        assert!(matches!(process.observe(1.5), Err(Error::OutOfRange { .. })));
        assert!(matches!(process.observe(f64::NAN), Err(Error::NonFinite { .. })));
        assert_eq!(process, before);
    }

    #[test]
    fn a_stored_state_that_cannot_have_happened_is_refused() {
        let stored = r#"{"null_mean":0.1,"clip":0.5,"observations":3,"sum":4.0,"squared_deviations":0.0}"#;
        assert!(serde_json::from_str::<Bettor>(stored).is_err());
    }
}
