//! Hodges–Lehmann estimators: robust shift between two samples, and robust centre of paired differences.
//!
//! ```text
//! shift          = median over i, j of (y_j - x_i)
//! pseudo-median  = median over i <= j of (v_i + v_j) / 2
//! ```
//!
//! For an even number of pairs the median is the mean of the middle two. Unit: that of the values. Bounds: the shift
//! lies between `min y - max x` and `max y - min x`, the pseudo-median between the smallest and the largest value.
//! Breakdown point 29 %. Assumes: for the shift, distributions that differ only in place; for the pseudo-median,
//! symmetry of the differences. Errors: `Empty`, `NonFinite` (also where a difference overflows). Source: Hodges &
//! Lehmann 1963 (Ann. Math. Stat. 34).
//!
//! Both medians are exact at every sample size. Over sorted samples the pairs form a matrix whose rows and columns
//! ascend, so the pairs below a value are counted by a walk of `O(n)`; a bisection over the 2^64 ordered floating-point
//! numbers then finds the middle pair in at most 64 walks, without ever listing the `n^2` pairs.

use crate::Result;
use crate::sample::{require_finite, sorted};

/// How far `y` is above `x`.
pub fn hodges_lehmann_shift(x: &[f64], y: &[f64]) -> Result<f64> {
    let (x, y) = (sorted("x", x)?, sorted("y", y)?);
    let extremes = [y[0] - x[x.len() - 1], y[y.len() - 1] - x[0]];
    require_finite("differences", &extremes)?;
    let at_most = |value: f64| {
        // Going up in x, ever more of y qualifies.
        let mut qualifying = 0;
        x.iter()
            .map(|low| {
                while y.get(qualifying).is_some_and(|high| high - low <= value) {
                    qualifying += 1;
                }
                qualifying
            })
            .sum()
    };
    Ok(median_of_pairs(x.len() * y.len(), extremes, at_most))
}

/// Robust centre of one sample, of paired differences for instance.
pub fn hodges_lehmann_pseudo_median(values: &[f64]) -> Result<f64> {
    let values = sorted("values", values)?;
    let n = values.len();
    let at_most = |value: f64| {
        // Going up in the first of a pair, ever fewer seconds qualify; pairs with i <= j only.
        let mut qualifying = n;
        values
            .iter()
            .enumerate()
            .map(|(i, first)| {
                while qualifying > i && f64::midpoint(*first, values[qualifying - 1]) > value {
                    qualifying -= 1;
                }
                qualifying.saturating_sub(i)
            })
            .sum()
    };
    Ok(median_of_pairs(n * (n + 1) / 2, [values[0], values[n - 1]], at_most))
}

/// Median of `pairs` numbers in `[low, high]` of which `at_most` counts those not above a value.
fn median_of_pairs(pairs: usize, [low, high]: [f64; 2], at_most: impl Fn(f64) -> usize) -> f64 {
    let smallest_with = |rank: usize| {
        let (mut low, mut high) = (ordinal(low), ordinal(high));
        while low < high {
            let middle = low + (high - low) / 2;
            if at_most(from_ordinal(middle)) >= rank {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        from_ordinal(low)
    };
    let lower = smallest_with(pairs.div_ceil(2));
    if pairs % 2 == 1 || at_most(lower) > pairs / 2 {
        return lower;
    }
    f64::midpoint(lower, smallest_with(pairs / 2 + 1))
}

/// Number of a finite float in ascending order.
fn ordinal(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

fn from_ordinal(ordinal: u64) -> f64 {
    f64::from_bits(if ordinal >> 63 == 1 { ordinal & !(1 << 63) } else { !ordinal })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::median;

    fn check(x: &[f64], y: &[f64]) {
        let differences = y.iter().flat_map(|high| x.iter().map(move |low| high - low)).collect();
        let shift = hodges_lehmann_shift(x, y).unwrap();
        assert!((shift - median(differences)).abs() < 1e-15, "{shift}");
        let means = (0..x.len()).flat_map(|i| x[i..].iter().map(move |second| f64::midpoint(x[i], *second))).collect();
        let centre = hodges_lehmann_pseudo_median(x).unwrap();
        assert!((centre - median(means)).abs() < 1e-15, "{centre}");
    }

    #[test]
    fn the_bisection_finds_the_median_of_all_pairs() {
        check(&[0.3], &[-0.4]);
        check(&[3.0, -1.5, 0.0], &[2.0, 2.0, -7.5, 11.0]);
        check(&[-0.0, 0.0, -1e-300, 1e-300], &[0.0, -0.0]);
        let x: Vec<f64> = (0_u32..97).map(|i| f64::from(i * i % 89) / 7.0 - 3.0).collect();
        let y: Vec<f64> = (0_u32..64).map(|i| f64::from(i * i * i % 61) / 3.0 - 9.0).collect();
        check(&x, &y);
        check(&y, &x);
    }

    #[test]
    fn a_few_wild_values_do_not_move_the_shift() {
        let x: Vec<f64> = (0..50).map(f64::from).collect();
        let mut y: Vec<f64> = x.iter().map(|value| value + 2.0).collect();
        y[49] = 1e9;
        assert!((hodges_lehmann_shift(&x, &y).unwrap() - 2.0).abs() < 0.5);
    }
}
