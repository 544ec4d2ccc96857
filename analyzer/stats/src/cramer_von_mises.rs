//! Two-sample Cramér–von Mises test.
//!
//! ```text
//! U = m sum_i (r_i - i)^2 + n sum_j (s_j - j)^2           r, s: midranks of x, y in the pooled sample
//! T = U / (m n N) - (4 m n - 1) / (6 N),   N = m + n
//! ```
//!
//! The p-value standardises `T` to the mean 1/6 and variance 1/45 of its limit and takes the tail of that limit. It
//! sees the whole distribution, where KS sees the largest gap. Unit: none. Bounds: `T >= 0`, p in [0, 1]; below about
//! 1e-12 the p-value is rounding. Assumes independent observations of continuous distributions (ties get midranks).
//! Errors: `Empty`, `NonFinite`, `TooFew` (under 2 in a sample). Source: Anderson 1962 (Ann. Math. Stat. 33); the limit
//! is Anderson & Darling 1952 (Ann. Math. Stat. 23), eq. 4.35.

use std::f64::consts::PI;

use statrs::function::gamma::ln_gamma;

use crate::Result;
use crate::ks::TestResult;
use crate::sample::{midranks, require_count, sorted};

/// Two-sample test of one distribution.
pub fn cramer_von_mises_two_sample(x: &[f64], y: &[f64]) -> Result<TestResult> {
    let (x, y) = (sorted("x", x)?, sorted("y", y)?);
    require_count("x", x.len(), 2)?;
    require_count("y", y.len(), 2)?;
    let (m, n) = (x.len() as f64, y.len() as f64);
    let (ranks, _) = midranks(&[x.as_slice(), y.as_slice()].concat());
    // Both samples are sorted, so the i-th value of a sample is also its i-th smallest.
    let (ranks_x, ranks_y) = ranks.split_at(x.len());
    let deviation = |ranks: &[f64]| -> f64 {
        ranks.iter().zip(1_u32..).map(|(rank, place)| (rank - f64::from(place)).powi(2)).sum()
    };
    let (product, total) = (m * n, m + n);
    let deviations = m * deviation(ranks_x) + n * deviation(ranks_y);
    let statistic = deviations / (product * total) - (4.0 * product - 1.0) / (6.0 * total);

    let expected = (1.0 + 1.0 / total) / 6.0;
    let variance = (total + 1.0) * (4.0 * product * total - 3.0 * (m * m + n * n) - 2.0 * product)
        / (45.0 * total * total * 4.0 * product);
    let standardised = 1.0 / 6.0 + (statistic - expected) / (45.0 * variance).sqrt();
    Ok(TestResult { statistic, p_value: limit_survival(standardised) })
}

/// Upper tail of the limit distribution.
fn limit_survival(x: f64) -> f64 {
    // Below this the distribution function is under 1e-15 and its terms underflow.
    if x < 0.003 {
        return 1.0;
    }
    let mut below = 0.0;
    for k in 0..50 {
        let k = f64::from(k);
        let y = 4.0 * k + 1.0;
        let q = y * y / (16.0 * x);
        let coefficient = (ln_gamma(k + 0.5) - ln_gamma(k + 1.0)).exp() / (PI.powf(1.5) * x.sqrt());
        let term = coefficient * y.sqrt() * scaled_bessel_k_quarter(q);
        below += term;
        if term < 1e-15 {
            break;
        }
    }
    (1.0 - below).clamp(0.0, 1.0)
}

/// `exp(-q) K_{1/4}(q)` from `K_v(q) = integral_0^inf exp(-q cosh t) cosh(v t) dt`.
///
/// The integrand decays doubly exponentially, so the trapezoid rule converges exponentially; where `q` is large the
/// integrand is narrow and the step shrinks with it.
fn scaled_bessel_k_quarter(q: f64) -> f64 {
    // The integrand has fallen by exp(-40) where q (cosh t - 1) = 40.
    let end = (1.0 + 40.0 / q).acosh();
    let intervals = 200;
    let step = end / f64::from(intervals);
    let integrand = |t: f64| (-q * (1.0 + t.cosh())).exp() * (0.25 * t).cosh();
    let inner: f64 = (1..intervals).map(|i| integrand(f64::from(i) * step)).sum();
    step * (f64::midpoint(integrand(0.0), integrand(end)) + inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(x: f64, below: f64) {
        let value = 1.0 - limit_survival(x);
        assert!((value - below).abs() < 5e-6, "P(W < {x}) = {value}, not {below}");
    }

    #[test]
    fn the_limit_has_the_percentage_points_of_anderson_and_darling() {
        check(0.347_30, 0.90);
        check(0.461_36, 0.95);
        check(0.743_46, 0.99);
        check(1.167_86, 0.999);
    }

    #[test]
    fn equal_samples_give_no_evidence() {
        let sample: Vec<f64> = (0..50).map(f64::from).collect();
        assert!(cramer_von_mises_two_sample(&sample, &sample).unwrap().p_value > 0.999);
    }
}
