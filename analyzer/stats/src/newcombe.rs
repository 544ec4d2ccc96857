//! Difference of two independent proportions with Newcombe's hybrid score interval.
//!
//! ```text
//! low  = d - sqrt((p1 - l1)^2 + (u2 - p2)^2),   high = d + sqrt((u1 - p1)^2 + (p2 - l2)^2),   d = p1 - p2
//! ```
//!
//! where `[l, u]` is Wilson's score interval of each proportion. Method 10 of the paper, no continuity correction.
//! Holds its coverage at small counts and proportions of 0 and 1. Unit: none. Bounds: [-1, 1]. Assumes independent
//! trials. Errors: `TooFew` (no trials), `OutOfRange` (more successes than trials; confidence outside (0, 1)). Source:
//! Newcombe 1998 (Stat. Med. 17); Wilson 1927 (J. Am. Stat. Assoc. 22).

use crate::mantel_haenszel::Interval;
use crate::normal;
use crate::sample::{require_between, require_count};
use crate::{Error, Result};

/// Successes among trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proportion {
    /// How often the event happened.
    pub successes: u64,
    /// How often it could have.
    pub trials: u64,
}

/// Wilson's score interval of one proportion.
pub fn wilson_interval(proportion: Proportion, confidence: f64) -> Result<Interval> {
    require_between("confidence", confidence, 0.0, 1.0, "(0, 1)")?;
    let Proportion { successes, trials } = proportion;
    require_count("trials", usize::try_from(trials).unwrap_or(usize::MAX), 1)?;
    if successes > trials {
        return Err(Error::OutOfRange { what: "successes", value: successes as f64, range: "[0, trials]" });
    }
    let (k, n) = (successes as f64, trials as f64);
    let square = normal::critical_value(confidence).powi(2);
    let estimate = k / n;
    let centre = k + square / 2.0;
    let reach = (square * (k * (1.0 - estimate) + square / 4.0)).sqrt();
    let bound = |numerator: f64| (numerator / (n + square)).clamp(0.0, 1.0);
    Ok(Interval { estimate, low: bound(centre - reach), high: bound(centre + reach) })
}

/// First proportion minus second.
pub fn risk_difference_newcombe(first: Proportion, second: Proportion, confidence: f64) -> Result<Interval> {
    let (first, second) = (wilson_interval(first, confidence)?, wilson_interval(second, confidence)?);
    let estimate = first.estimate - second.estimate;
    let below = (first.estimate - first.low).hypot(second.high - second.estimate);
    let above = (first.high - first.estimate).hypot(second.estimate - second.low);
    Ok(Interval { estimate, low: (estimate - below).max(-1.0), high: (estimate + above).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_in_ten_trials_still_leaves_room_for_one() {
        let interval = wilson_interval(Proportion { successes: 0, trials: 10 }, 0.95).unwrap();
        assert!(interval.low.abs() < 1e-12 && (interval.high - 0.277_532_8).abs() < 1e-6, "{interval:?}");
    }

    #[test]
    fn impossible_proportions_are_refused() {
        assert!(matches!(wilson_interval(Proportion { successes: 0, trials: 0 }, 0.95), Err(Error::TooFew { .. })));
        assert!(matches!(wilson_interval(Proportion { successes: 2, trials: 1 }, 0.95), Err(Error::OutOfRange { .. })));
    }
}
