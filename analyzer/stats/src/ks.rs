//! Two-sample Kolmogorov–Smirnov test.
//!
//! ```text
//! D = max_t |F_x(t) - F_y(t)|
//! ```
//!
//! Two-sided. *Exact:* the probability that a random lattice path from (0,0) to (m,n) leaves the band of half-width `D`
//! (Schröer & Trenkler 1995), summed from the outside so that small values keep their digits; `O(mn)`. *Asymptotic:*
//! the one-sample distribution of `D` at the effective size `round(mn / (m+n))`, as `SciPy` does.
//!
//! Unit: none. Bounds: [0, 1] for both. Assumes independent observations of continuous distributions; with ties both
//! p-values are conservative. Most sensitive in the middle of the distribution. Errors: `Empty`, `NonFinite`.

use crate::Result;
use crate::ecdf::steps;
use crate::kolmogorov;
use crate::sample::sorted;

/// Up to this product of sample sizes [`KsMethod::Auto`] is exact (a few milliseconds).
const EXACT_PAIRS: usize = 1_000_000;

/// How to compute the p-value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KsMethod {
    /// Exact where that is cheap.
    #[default]
    Auto,
    /// Count lattice paths.
    Exact,
    /// One-sample distribution at the effective size.
    Asymptotic,
}

/// A statistic with its p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TestResult {
    /// The statistic.
    pub statistic: f64,
    /// Probability, under the null hypothesis, of a statistic at least as extreme.
    pub p_value: f64,
}

/// Two-sided two-sample test of one distribution.
pub fn ks_two_sample(x: &[f64], y: &[f64], method: KsMethod) -> Result<TestResult> {
    let (x, y) = (sorted("x", x)?, sorted("y", y)?);
    let (m, n) = (x.len(), y.len());
    // In units of 1/(mn) the statistic is an integer, which keeps the comparison with lattice points exact.
    let gap = steps(&x, &y).map(|step| (step.below_x * n).abs_diff(step.below_y * m)).max().unwrap_or(0);
    let statistic = gap as f64 / (m as f64 * n as f64);
    let exact = match method {
        KsMethod::Auto => m.saturating_mul(n) <= EXACT_PAIRS,
        KsMethod::Exact => true,
        KsMethod::Asymptotic => false,
    };
    let p_value = if exact {
        path_leaves_band(m, n, gap)
    } else {
        let effective = (m as f64 * n as f64 / (m + n) as f64).round_ties_even().max(1.0);
        kolmogorov::survival(effective, statistic)
    };
    Ok(TestResult { statistic, p_value })
}

/// Probability that a random path from (0,0) to (m,n) meets a point with `|i n - j m| >= gap`.
fn path_leaves_band(m: usize, n: usize, gap: usize) -> f64 {
    let outside = |i: usize, j: usize| (i * n).abs_diff(j * m) >= gap;
    let mut left = vec![0.0; n + 1];
    for i in 0..=m {
        for j in 0..=n {
            left[j] = if outside(i, j) {
                1.0
            } else {
                // A random path through (i,j) came from the left with probability i/(i+j); inside the band i+j > 0,
                // because a gap of 0 puts the origin outside.
                let came_from_left = if i > 0 { left[j] * i as f64 } else { 0.0 };
                let came_from_below = if j > 0 { left[j - 1] * j as f64 } else { 0.0 };
                (came_from_left + came_from_below) / (i + j).max(1) as f64
            };
        }
    }
    left[n]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(x: &[f64], y: &[f64], statistic: f64, p_value: f64) {
        let test = ks_two_sample(x, y, KsMethod::Auto).unwrap();
        assert!((test.statistic - statistic).abs() < 1e-12 && (test.p_value - p_value).abs() < 1e-12, "{test:?}");
    }

    #[test]
    fn separated_samples_are_the_two_extreme_arrangements() {
        check(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], 1.0, 2.0 / 20.0);
    }

    #[test]
    fn equal_samples_give_no_evidence() {
        check(&[1.0, 2.0], &[1.0, 2.0], 0.0, 1.0);
    }

    #[test]
    fn exact_and_asymptotic_agree_for_large_samples() {
        let x: Vec<f64> = (0..900).map(|i| f64::from(i) + 0.5).collect();
        let y: Vec<f64> = (0..1_000).map(|i| f64::from(i) * 0.85).collect();
        let exact = ks_two_sample(&x, &y, KsMethod::Exact).unwrap().p_value;
        let asymptotic = ks_two_sample(&x, &y, KsMethod::Asymptotic).unwrap().p_value;
        assert!((exact - asymptotic).abs() < 0.05 * exact + 1e-4, "{exact} {asymptotic}");
    }
}
