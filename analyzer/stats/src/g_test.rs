//! G-test (log-likelihood ratio) of homogeneity: do two windows spread their counts over categories alike?
//!
//! ```text
//! G = 2 sum observed ln(observed / expected),   expected = row total * column total / total,   df = columns - 1
//! ```
//!
//! Categories empty in both windows are dropped; no continuity correction. p-value from the chi-squared distribution,
//! good where expected counts are about 5 or more. Assumes independent counts: events of one session are not. Unit:
//! nats times two. Bounds: [0, inf). With one category left there is nothing to compare: G = 0, df = 0, p = 1. Errors:
//! `Empty`, `LengthMismatch`, `Degenerate` (a window without counts). Source: Wilks 1938; Sokal & Rohlf, *Biometry*.

use statrs::function::gamma::checked_gamma_ur;

use crate::sample::require_same_length;
use crate::{Error, Result};

/// Outcome of a G-test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GTest {
    /// G.
    pub statistic: f64,
    /// Degrees of freedom.
    pub df: usize,
    /// Upper tail of the chi-squared distribution.
    pub p_value: f64,
}

/// Tests counts of the same categories, in the same order, for homogeneity.
pub fn g_test(reference: &[u64], current: &[u64]) -> Result<GTest> {
    require_same_length(("reference", reference.len()), ("current", current.len()))?;
    if reference.is_empty() {
        return Err(Error::Empty { what: "reference" });
    }
    let sum = |counts: &[u64]| counts.iter().map(|&count| count as f64).sum::<f64>();
    let (before, after) = (sum(reference), sum(current));
    for (what, total) in [("reference", before), ("current", after)] {
        if total <= 0.0 {
            return Err(Error::Degenerate { what });
        }
    }
    let mut half = 0.0;
    let mut columns = 0_usize;
    for (&p, &q) in reference.iter().zip(current) {
        let column = p as f64 + q as f64;
        columns += usize::from(column > 0.0);
        for (observed, row) in [(p as f64, before), (q as f64, after)] {
            // 0 ln 0 = 0.
            if observed > 0.0 {
                half += observed * (observed * (before + after) / (row * column)).ln();
            }
        }
    }
    let statistic = (2.0 * half).max(0.0);
    let df = columns - 1;
    let p_value = if df == 0 || statistic <= 0.0 {
        1.0
    } else {
        // Both arguments are positive and finite, which is all the function asks for.
        checked_gamma_ur(df as f64 / 2.0, statistic / 2.0).unwrap_or(0.0)
    };
    Ok(GTest { statistic, df, p_value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &[u64], current: &[u64], statistic: f64, df: usize, p_value: f64) {
        let test = g_test(reference, current).unwrap();
        assert!((test.statistic - statistic).abs() < 1e-9 && test.df == df, "{test:?}");
        assert!((test.p_value - p_value).abs() < 1e-9, "{test:?}");
    }

    #[test]
    fn proportional_counts_are_homogeneous() {
        check(&[10, 20, 0], &[20, 40, 0], 0.0, 1, 1.0);
    }

    #[test]
    fn one_category_leaves_nothing_to_compare() {
        check(&[10, 0], &[3, 0], 0.0, 0, 1.0);
    }

    #[test]
    fn a_window_without_counts_is_refused() {
        assert_eq!(g_test(&[1, 2], &[0, 0]), Err(Error::Degenerate { what: "current" }));
    }
}
