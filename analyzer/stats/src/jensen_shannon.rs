//! Jensen–Shannon distance between two distributions over the same categories.
//!
//! ```text
//! JSD = sqrt( KL(p || m)/2 + KL(q || m)/2 ),   m = (p + q)/2,   logarithms to base 2
//! ```
//!
//! Input: counts or exposures per category, in the same order, normalised here. Unit: square root of bits. Bounds: [0,
//! 1], 1 for disjoint support. A metric, symmetric. Finite samples of one distribution are not at distance 0: compare
//! with the distance between two halves of the reference. Errors: `Empty`, `NonFinite`, `LengthMismatch`, `OutOfRange`
//! (negative mass), `Degenerate` (no mass). Source: Lin 1991 (IEEE Trans. Inf. Theory 37); Endres & Schindelin 2003.

use crate::Result;
use crate::mass::shares;

/// Jensen–Shannon distance, base 2.
pub fn jensen_shannon_distance(reference: &[f64], current: &[f64]) -> Result<f64> {
    let divergence: f64 = shares(reference, current)?
        .map(|(p, q)| {
            let mean = f64::midpoint(p, q);
            // 0 log 0 = 0.
            let part = |share: f64| if share > 0.0 { share * (share / mean).log2() } else { 0.0 };
            f64::midpoint(part(p), part(q))
        })
        .sum();
    Ok(divergence.clamp(0.0, 1.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disjoint_exposures_are_as_far_apart_as_distributions_can_be() {
        assert!((jensen_shannon_distance(&[3.0, 0.0], &[0.0, 5.0]).unwrap() - 1.0).abs() < 1e-15);
    }
}
