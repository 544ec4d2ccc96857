//! Mann–Whitney U test: does one sample tend to be larger?
//!
//! ```text
//! U = sum_{i,j} [x_i > y_j] + 1/2 [x_i = y_j]
//! ```
//!
//! `U / (m n)` estimates `P(X > Y) + P(X = Y)/2`. Two-sided p-value from the normal approximation with correction for
//! ties and continuity (good from about 8 observations per sample). Unit: pairs. Bounds: [0, mn]. Assumes independent
//! observations. Errors: `Empty`, `NonFinite`, `Degenerate` (all observations equal).
//! Source: Mann & Whitney 1947 (Ann. Math. Stat. 18); tie correction as in `SciPy`.

use crate::ks::TestResult;
use crate::normal;
use crate::sample::{midranks, require_finite};
use crate::{Error, Result};

/// `U` of the first sample and its two-sided p-value.
pub fn mann_whitney_u(x: &[f64], y: &[f64]) -> Result<TestResult> {
    require_finite("x", x)?;
    require_finite("y", y)?;
    let (m, n) = (x.len() as f64, y.len() as f64);
    let (ranks, tie_term) = midranks(&[x, y].concat());
    let statistic = ranks[..x.len()].iter().sum::<f64>() - m * (m + 1.0) / 2.0;
    let total = m + n;
    let variance = m * n / 12.0 * ((total + 1.0) - tie_term / (total * (total - 1.0)));
    if variance <= 0.0 {
        return Err(Error::Degenerate { what: "the pooled sample" });
    }
    let excess = (statistic - m * n / 2.0).abs() - 0.5;
    let p_value = (2.0 * normal::upper_tail(excess / variance.sqrt())).min(1.0);
    Ok(TestResult { statistic, p_value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistic_counts_pairs_and_half_counts_ties() {
        assert!((mann_whitney_u(&[1.0, 3.0], &[2.0, 3.0]).unwrap().statistic - 1.5).abs() < 1e-12);
    }

    #[test]
    fn a_pooled_sample_without_variation_is_refused() {
        assert!(matches!(mann_whitney_u(&[1.0, 1.0], &[1.0]), Err(Error::Degenerate { .. })));
    }
}
