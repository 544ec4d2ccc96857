//! Gini coefficient: how unequally exposure is spread over documents.
//!
//! ```text
//! G = sum_i (2i - n - 1) v_(i) / (n sum_i v_i)        v_(1) <= .. <= v_(n)
//! ```
//!
//! Unit: none. Bounds: [0, 1 - 1/n]; 0 if all are equal. It depends on whether documents that were never retrieved are
//! listed (with 0): list them, or neither window. Errors: `Empty`, `NonFinite`, `OutOfRange` (a negative value),
//! `Degenerate` (no mass). Source: Gini 1912; definition.

use crate::Result;
use crate::sample::{sorted, total_mass};

/// Gini coefficient of non-negative masses.
pub fn gini(masses: &[f64]) -> Result<f64> {
    let total = total_mass("masses", masses)?;
    let ascending = sorted("masses", masses)?;
    let n = ascending.len() as f64;
    let weighted: f64 =
        ascending.iter().enumerate().map(|(i, mass)| (2.0 * (i + 1) as f64 - n - 1.0) * (mass / total)).sum();
    Ok((weighted / n).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(masses: &[f64], expected: f64) {
        assert!((gini(masses).unwrap() - expected).abs() < 1e-15);
    }

    #[test]
    fn equal_exposure_has_no_inequality_and_one_document_the_most() {
        check(&[2.0; 5], 0.0);
        check(&[0.0, 0.0, 0.0, 7.0], 0.75);
    }
}
