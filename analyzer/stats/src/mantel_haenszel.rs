//! Mantel–Haenszel estimates across strata: does exposure go with the event once the stratum is held fixed?
//!
//! Per stratum with exposed events `a`, exposed without `b`, unexposed events `c`, unexposed without `d`, `n1 = a + b`,
//! `n0 = c + d`, `n = n1 + n0`:
//!
//! ```text
//! odds ratio      = sum a d / n  /  sum b c / n
//! risk difference = sum (a n0 - c n1) / n  /  sum n1 n0 / n
//! ```
//!
//! Intervals are normal: on the logarithm of the odds ratio with the variance of Robins, Breslow & Greenland (1986,
//! Biometrics 42), and on the risk difference with that of Greenland & Robins (1985, Biometrics 41). Both variances
//! hold for few large strata and for many sparse ones. Strata with one side empty carry no information and drop out.
//! Unit: none. Bounds: (0, inf), [-1, 1]. Assumes one effect common to the strata, independent observations. Errors:
//! `Empty`, `Degenerate` (no stratum with both sides; for the odds ratio also no discordance either way), `OutOfRange`
//! (confidence). Source: Mantel & Haenszel 1959 (J. Natl. Cancer Inst. 22).

use crate::normal;
use crate::sample::require_between;
use crate::{Error, Result};

/// One stratum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TwoByTwo {
    /// Exposed, with the event.
    pub exposed_events: u64,
    /// Exposed, without it.
    pub exposed_others: u64,
    /// Unexposed, with the event.
    pub unexposed_events: u64,
    /// Unexposed, without it.
    pub unexposed_others: u64,
}

/// An estimate with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Common odds ratio.
pub fn mantel_haenszel_odds_ratio(strata: &[TwoByTwo], confidence: f64) -> Result<Interval> {
    let mut sums = [0.0; 5];
    for [a, b, c, d] in informative(strata, confidence)? {
        let n = a + b + c + d;
        let (concordant, discordant) = (a * d / n, b * c / n);
        let (same, other) = ((a + d) / n, (b + c) / n);
        let terms =
            [concordant, discordant, same * concordant, same * discordant + other * concordant, other * discordant];
        sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
    }
    let [r, s, same_r, mixed, other_s] = sums;
    if r <= 0.0 || s <= 0.0 {
        return Err(Error::Degenerate { what: "the odds" });
    }
    let variance = same_r / (2.0 * r * r) + mixed / (2.0 * r * s) + other_s / (2.0 * s * s);
    let reach = (normal::critical_value(confidence) * variance.sqrt()).exp();
    let estimate = r / s;
    Ok(Interval { estimate, low: estimate / reach, high: estimate * reach })
}

/// Common risk difference.
pub fn mantel_haenszel_risk_difference(strata: &[TwoByTwo], confidence: f64) -> Result<Interval> {
    let (mut difference, mut weight, mut spread) = (0.0, 0.0, 0.0);
    for [a, b, c, d] in informative(strata, confidence)? {
        let (n1, n0) = (a + b, c + d);
        let n = n1 + n0;
        difference += (a * n0 - c * n1) / n;
        weight += n1 * n0 / n;
        spread += (a * b * n0.powi(3) + c * d * n1.powi(3)) / (n1 * n0 * n * n);
    }
    let estimate = difference / weight;
    let reach = normal::critical_value(confidence) * spread.sqrt() / weight;
    Ok(Interval { estimate, low: (estimate - reach).max(-1.0), high: (estimate + reach).min(1.0) })
}

/// The strata in which both sides were observed, as `[a, b, c, d]`.
fn informative(strata: &[TwoByTwo], confidence: f64) -> Result<Vec<[f64; 4]>> {
    require_between("confidence", confidence, 0.0, 1.0, "(0, 1)")?;
    if strata.is_empty() {
        return Err(Error::Empty { what: "strata" });
    }
    let cells = |stratum: &TwoByTwo| {
        [stratum.exposed_events, stratum.exposed_others, stratum.unexposed_events, stratum.unexposed_others]
            .map(|count| count as f64)
    };
    let informative: Vec<_> = strata.iter().map(cells).filter(|[a, b, c, d]| a + b > 0.0 && c + d > 0.0).collect();
    if informative.is_empty() { Err(Error::Degenerate { what: "the exposure" }) } else { Ok(informative) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stratum([[a, b], [c, d]]: [[u64; 2]; 2]) -> TwoByTwo {
        TwoByTwo { exposed_events: a, exposed_others: b, unexposed_events: c, unexposed_others: d }
    }

    fn check(interval: Interval, estimate: f64, low: f64, high: f64) {
        for (found, expected) in [(interval.estimate, estimate), (interval.low, low), (interval.high, high)] {
            assert!((found - expected).abs() < 1e-9, "{interval:?}");
        }
    }

    #[test]
    fn one_stratum_gives_the_plain_odds_ratio_with_woolf_s_interval() {
        let interval = mantel_haenszel_odds_ratio(&[stratum([[10, 20], [5, 40]])], 0.95).unwrap();
        let reach = (normal::critical_value(0.95) * (0.1_f64 + 0.05 + 0.2 + 0.025).sqrt()).exp();
        check(interval, 4.0, 4.0 / reach, 4.0 * reach);
    }

    #[test]
    fn one_stratum_gives_the_plain_risk_difference() {
        let interval = mantel_haenszel_risk_difference(&[stratum([[10, 10], [5, 15]])], 0.95).unwrap();
        let reach = normal::critical_value(0.95) * (0.25_f64 / 20.0 + 0.1875 / 20.0).sqrt();
        check(interval, 0.25, 0.25 - reach, 0.25 + reach);
    }

    #[test]
    fn strata_without_a_comparison_are_refused() {
        let one_sided = stratum([[10, 10], [0, 0]]);
        assert!(matches!(mantel_haenszel_risk_difference(&[one_sided], 0.95), Err(Error::Degenerate { .. })));
        assert!(matches!(mantel_haenszel_odds_ratio(&[], 0.95), Err(Error::Empty { .. })));
        let without_events = stratum([[0, 10], [0, 10]]);
        assert!(matches!(mantel_haenszel_odds_ratio(&[without_events], 0.95), Err(Error::Degenerate { .. })));
    }
}
