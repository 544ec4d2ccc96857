//! Holm's step-down adjustment of p-values for the family-wise error rate.
//!
//! ```text
//! adjusted_(i) = max over j <= i of min(1, p_(j) (n - j + 1))        p_(1) <= .. <= p_(n)
//! ```
//!
//! Rejecting every hypothesis with `adjusted <= alpha` keeps the probability of any false rejection at most `alpha`,
//! whatever the dependence. Bounds: [p, 1], in the order of the input. No p-values give no adjusted ones. Errors:
//! `NonFinite`, `OutOfRange`. Source: Holm 1979 (Scand. J. Stat. 6).

use crate::Result;
use crate::sample::require_probabilities;

/// Adjusted p-values, in the order given.
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>> {
    require_probabilities("p_values", p_values)?;
    let n = p_values.len();
    let mut ascending: Vec<usize> = (0..n).collect();
    ascending.sort_unstable_by(|&i, &j| p_values[i].total_cmp(&p_values[j]).then(i.cmp(&j)));
    let mut adjusted = vec![1.0; n];
    let mut most: f64 = 0.0;
    for (above, &index) in ascending.iter().enumerate() {
        most = most.max((p_values[index] * (n - above) as f64).min(1.0));
        adjusted[index] = most;
    }
    Ok(adjusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")` of R 4.
    #[test]
    fn adjusted_values_are_those_of_r() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]).unwrap();
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-15, "{adjusted:?}");
        }
    }

    #[test]
    fn one_hypothesis_needs_no_adjustment() {
        assert_eq!(holm(&[0.03]), Ok(vec![0.03]));
        assert_eq!(holm(&[]), Ok(Vec::new()));
    }
}
