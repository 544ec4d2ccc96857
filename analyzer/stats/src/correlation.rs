//! Rank correlations: Spearman's rho and Kendall's tau-b.
//!
//! ```text
//! rho   = Pearson correlation of the midranks
//! tau_b = (C - D) / sqrt((P - T_x)(P - T_y))      P = n(n-1)/2 pairs, T = pairs tied in one variable
//! ```
//!
//! Unit: none. Bounds: [-1, 1], symmetric, unchanged by increasing transformations. Assumes paired observations. tau-b
//! costs `O(n log n)` (Knight 1966, J. Am. Stat. Assoc. 61). Errors: `Empty`, `NonFinite`, `LengthMismatch`, `TooFew`
//! (under 2 pairs; no permutations), `Degenerate` (a variable without variation).
//! Source: Spearman 1904; Kendall 1945 (Biometrika 33).

use crate::permutation::{PermutationTest, permutation_test, shuffle_front};
use crate::sample::{midranks, require_count, require_finite, require_same_length};
use crate::{Error, Result};

/// Spearman's rank correlation.
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64> {
    require_paired(x, y)?;
    let (x, y) = (standardised_ranks("x", x)?, standardised_ranks("y", y)?);
    Ok(dot(&x, &y).clamp(-1.0, 1.0))
}

/// Two-sided permutation test of Spearman's correlation: the statistic is rho, and `|rho|` is what counts as extreme.
pub fn spearman_permutation_test(x: &[f64], y: &[f64], permutations: u32, seed: u64) -> Result<PermutationTest> {
    require_paired(x, y)?;
    let (x, mut y) = (standardised_ranks("x", x)?, standardised_ranks("y", y)?);
    let statistic = dot(&x, &y).clamp(-1.0, 1.0);
    let test = permutation_test(statistic.abs(), permutations, seed, |rng| {
        let places = y.len();
        shuffle_front(&mut y, places, rng);
        dot(&x, &y).abs()
    })?;
    Ok(PermutationTest { statistic, ..test })
}

/// Kendall's tau-b.
pub fn kendall_tau_b(x: &[f64], y: &[f64]) -> Result<f64> {
    require_paired(x, y)?;
    let mut pairs: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).collect();
    // Adding 0.0 turns -0.0 into 0.0, so that the total order agrees with equality.
    for pair in &mut pairs {
        *pair = (pair.0 + 0.0, pair.1 + 0.0);
    }
    pairs.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1)));
    let tied = |size: usize| (size as f64) * (size as f64 - 1.0) / 2.0;
    let ties_x: f64 = pairs.chunk_by(|left, right| left.0 >= right.0).map(|group| tied(group.len())).sum();
    let ties_both: f64 = pairs
        .chunk_by(|left, right| left.0 >= right.0 && left.1.total_cmp(&right.1).is_eq())
        .map(|group| tied(group.len()))
        .sum();
    let mut second: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
    let discordant = sort_counting_inversions(&mut second) as f64;
    let ties_y: f64 = second.chunk_by(|left, right| left >= right).map(|group| tied(group.len())).sum();
    let all = tied(x.len());
    for (what, ties) in [("x", ties_x), ("y", ties_y)] {
        if all - ties <= 0.0 {
            return Err(Error::Degenerate { what });
        }
    }
    let surplus = all - ties_x - ties_y + ties_both - 2.0 * discordant;
    Ok((surplus / (all - ties_x).sqrt() / (all - ties_y).sqrt()).clamp(-1.0, 1.0))
}

/// Refuses what no correlation is defined for.
pub(crate) fn require_paired(x: &[f64], y: &[f64]) -> Result<()> {
    require_same_length(("x", x.len()), ("y", y.len()))?;
    require_finite("x", x)?;
    require_finite("y", y)?;
    require_count("pairs", x.len(), 2)
}

/// Midranks with mean 0 and length 1, so that a correlation is a dot product.
fn standardised_ranks(what: &'static str, values: &[f64]) -> Result<Vec<f64>> {
    let (mut ranks, _) = midranks(values);
    let mean = f64::midpoint(values.len() as f64, 1.0);
    for rank in &mut ranks {
        *rank -= mean;
    }
    let length = dot(&ranks, &ranks).sqrt();
    if length <= 0.0 {
        return Err(Error::Degenerate { what });
    }
    for rank in &mut ranks {
        *rank /= length;
    }
    Ok(ranks)
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Merge sort, bottom up; returns how many pairs were in the wrong order.
fn sort_counting_inversions(values: &mut [f64]) -> usize {
    let mut merged = values.to_vec();
    let mut inversions = 0;
    let mut width = 1;
    while width < values.len() {
        for (source, target) in values.chunks(2 * width).zip(merged.chunks_mut(2 * width)) {
            let (left, right) = source.split_at(width.min(source.len()));
            let (mut i, mut j) = (0, 0);
            for slot in target {
                if j == right.len() || (i < left.len() && left[i] <= right[j]) {
                    *slot = left[i];
                    i += 1;
                } else {
                    inversions += left.len() - i;
                    *slot = right[j];
                    j += 1;
                }
            }
        }
        values.copy_from_slice(&merged);
        width *= 2;
    }
    inversions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(x: &[f64], y: &[f64]) {
        let (mut surplus, mut untied_x, mut untied_y) = (0.0, 0.0, 0.0);
        for j in 0..x.len() {
            for i in 0..j {
                let sign = |difference: f64| if difference == 0.0 { 0.0 } else { difference.signum() };
                let (dx, dy) = (sign(x[j] - x[i]), sign(y[j] - y[i]));
                surplus += dx * dy;
                untied_x += dx * dx;
                untied_y += dy * dy;
            }
        }
        let tau: f64 = surplus / f64::sqrt(untied_x * untied_y);
        assert!((kendall_tau_b(x, y).unwrap() - tau).abs() < 1e-12);
    }

    #[test]
    fn the_merge_sort_counts_what_all_pairs_count() {
        check(&[1.0, 2.0, 2.0, 3.0, 0.0], &[0.0, -0.0, 1.0, 1.0, 5.0]);
        let x: Vec<f64> = (0_u32..83).map(|i| f64::from(i * i % 17)).collect();
        let y: Vec<f64> = (0_u32..83).map(|i| f64::from(i * 31 % 23)).collect();
        check(&x, &y);
    }

    #[test]
    fn a_variable_without_variation_has_no_correlation() {
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), Err(Error::Degenerate { what: "x" }));
        assert_eq!(kendall_tau_b(&[1.0, 2.0], &[3.0, 3.0]), Err(Error::Degenerate { what: "y" }));
    }

    #[test]
    fn a_decreasing_dose_response_is_found_two_sided() {
        let x: Vec<f64> = (0..30).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| -x * x).collect();
        let test = spearman_permutation_test(&x, &y, 199, 3).unwrap();
        assert!((test.statistic + 1.0).abs() < 1e-12 && (test.p_value - 0.005).abs() < 1e-12, "{test:?}");
    }
}
