//! e-BH: control of the false discovery rate with e-values, under any dependence between them.
//!
//! ```text
//! reject the k largest,   k = max { k : e_(k) >= n / (k alpha) }        e_(1) >= .. >= e_(n)
//! ```
//!
//! An e-value is a non-negative statistic with mean at most 1 under its null hypothesis, such as the wealth of a
//! betting process at any stopping time. Infinite wealth is evidence too. No e-values give no rejections. Errors:
//! `NonFinite` (NaN), `OutOfRange` (a negative e-value, alpha outside (0, 1)). Source: Wang & Ramdas 2022 (JRSS B 84).

use crate::sample::require_between;
use crate::{Error, Result};

/// Positions of the rejected hypotheses, ascending.
pub fn e_bh(e_values: &[f64], alpha: f64) -> Result<Vec<usize>> {
    require_between("alpha", alpha, 0.0, 1.0, "(0, 1)")?;
    if let Some(index) = e_values.iter().position(|value| value.is_nan()) {
        return Err(Error::NonFinite { what: "e_values", index });
    }
    if let Some(&value) = e_values.iter().find(|&&value| value < 0.0) {
        return Err(Error::OutOfRange { what: "e_values", value, range: "[0, inf]" });
    }
    let n = e_values.len() as f64;
    let mut descending: Vec<usize> = (0..e_values.len()).collect();
    descending.sort_unstable_by(|&i, &j| e_values[j].total_cmp(&e_values[i]).then(i.cmp(&j)));
    let large_enough = |(below, index): (usize, &usize)| e_values[*index] >= n / ((below + 1) as f64 * alpha);
    let rejected = descending.iter().enumerate().rposition(large_enough).map_or(0, |last| last + 1);
    descending.truncate(rejected);
    descending.sort_unstable();
    Ok(descending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(e_values: &[f64], rejected: &[usize]) {
        assert_eq!(e_bh(e_values, 0.05).unwrap(), rejected);
    }

    #[test]
    fn one_monitor_rejects_at_one_over_alpha() {
        check(&[20.0], &[0]);
        check(&[19.9], &[]);
    }

    #[test]
    fn the_more_monitors_agree_the_less_each_needs() {
        check(&[25.0, 30.0, 1.0], &[]);
        check(&[31.0, 1.0, 30.0], &[0, 2]);
        check(&[1.0, f64::INFINITY], &[1]);
    }
}
