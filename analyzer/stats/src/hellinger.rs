//! Hellinger distance between two distributions over the same categories.
//!
//! ```text
//! H = sqrt( 1/2 sum (sqrt p - sqrt q)^2 )
//! ```
//!
//! Input: counts or exposures per category, in the same order, normalised here. Unit: none. Bounds: [0, 1], 1 for
//! disjoint support; `H^2 <= TV <= sqrt(2) H`. A metric, symmetric. Errors: `Empty`, `NonFinite`, `LengthMismatch`,
//! `OutOfRange` (negative mass), `Degenerate` (no mass). Source: Hellinger 1909; definition.

use crate::Result;
use crate::mass::shares;

/// Hellinger distance.
pub fn hellinger(reference: &[f64], current: &[f64]) -> Result<f64> {
    let sum: f64 = shares(reference, current)?.map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2)).sum();
    Ok((sum / 2.0).min(1.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_does_not_matter() {
        assert!(hellinger(&[1.0, 3.0], &[10.0, 30.0]).unwrap() < 1e-12);
    }
}
