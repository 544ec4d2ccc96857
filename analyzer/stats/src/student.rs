//! Mean of few values with Student's t interval, for where a bootstrap of so few values would be too sure.
//!
//! ```text
//! [low, high] = mean -+ t_(n-1) s / sqrt(n)          p_value = P(T_(n-1) >= (mean - threshold) / (s / sqrt(n)))
//! ```
//!
//! One value per cluster. Assumes independent, roughly normal values; with a long upper tail, as excess changes have, the
//! lower end errs on the cautious side (the mean and the deviation rise together). Without variation the interval is the
//! value and the p-value 1/2^n, that of n equal signs, or 1. Unit: that of the values. Errors: `TooFew` (under 2 values),
//! `NonFinite`, `OutOfRange` (confidence). Source: Student 1908 (Biometrika 6).

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::sample::{require_between, require_count, require_finite};
use crate::{BootstrapMean, Error, Result};

/// Mean of one value per cluster, tested against `threshold`; in the shape of [`crate::bootstrap_mean`]'s answer.
pub fn student_mean(values: &[f64], threshold: f64, confidence: f64) -> Result<BootstrapMean> {
    require_finite("values", values)?;
    require_finite("threshold", &[threshold])?;
    require_count("values", values.len(), 2)?;
    require_between("confidence", confidence, 0.0, 1.0, "(0, 1)")?;
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let error = (variance / n).sqrt();
    if error <= 0.0 {
        let p_value = if mean > threshold { 0.5_f64.powf(n) } else { 1.0 };
        return Ok(BootstrapMean { estimate: mean, low: mean, high: mean, p_value });
    }
    let t = StudentsT::new(0.0, 1.0, n - 1.0).map_err(|_| Error::Degenerate { what: "values" })?;
    let reach = t.inverse_cdf(f64::midpoint(1.0, confidence)) * error;
    Ok(BootstrapMean {
        estimate: mean,
        low: mean - reach,
        high: mean + reach,
        p_value: t.sf((mean - threshold) / error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `t.test(1:5, mu = 2, alternative = "greater")$p.value` and `t.test(1:5)$conf.int` of R 4.
    #[test]
    fn a_small_sample_gets_the_interval_and_the_p_value_of_r() {
        let found = student_mean(&[1.0, 2.0, 3.0, 4.0, 5.0], 2.0, 0.95).unwrap();
        for (found, expected) in
            [(found.estimate, 3.0), (found.low, 1.036_757), (found.high, 4.963_243), (found.p_value, 0.115_100)]
        {
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
    }

    #[test]
    fn values_without_variation_are_as_sure_as_so_many_equal_signs() {
        let found = student_mean(&[0.5; 10], 0.02, 0.95).unwrap();
        assert!((found.p_value - 1.0 / 1_024.0).abs() < 1e-15 && found.low >= 0.5, "{found:?}");
    }
}
