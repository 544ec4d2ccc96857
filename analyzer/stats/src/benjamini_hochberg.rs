//! Benjamini–Hochberg adjustment of p-values for the false discovery rate.
//!
//! ```text
//! adjusted_(i) = min over j >= i of p_(j) n / j        p_(1) <= .. <= p_(n)
//! ```
//!
//! Rejecting every hypothesis with `adjusted <= alpha` keeps the expected share of false rejections at most `alpha`.
//! Assumes p-values that are independent or positively dependent (PRDS); under other dependence use [`crate::e_bh()`].
//! Bounds: [p, 1], in the order of the input. No p-values give no adjusted ones. Errors: `NonFinite`, `OutOfRange`.
//! Source: Benjamini & Hochberg 1995 (JRSS B 57).

use crate::Result;
use crate::sample::require_probabilities;

/// Adjusted p-values, in the order given.
pub fn benjamini_hochberg(p_values: &[f64]) -> Result<Vec<f64>> {
    require_probabilities("p_values", p_values)?;
    let n = p_values.len();
    let mut descending: Vec<usize> = (0..n).collect();
    descending.sort_unstable_by(|&i, &j| p_values[j].total_cmp(&p_values[i]).then(i.cmp(&j)));
    let mut adjusted = vec![1.0; n];
    let mut least: f64 = 1.0;
    for (below, &index) in descending.iter().enumerate() {
        // The ratio first: it is at least 1, so rounding cannot bring the product below the p-value.
        least = least.min(p_values[index] * (n as f64 / (n - below) as f64));
        adjusted[index] = least;
    }
    Ok(adjusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hypothesis_needs_no_adjustment() {
        assert_eq!(benjamini_hochberg(&[0.03]), Ok(vec![0.03]));
    }

    #[test]
    fn no_hypotheses_are_no_discoveries() {
        assert_eq!(benjamini_hochberg(&[]), Ok(Vec::new()));
    }
}
