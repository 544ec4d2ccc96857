//! Total variation distance between two distributions over the same categories.
//!
//! ```text
//! TV = 1/2 sum |p - q|
//! ```
//!
//! The share of the mass that would have to move. Input: counts or exposures per category, in the same order,
//! normalised here. Unit: none. Bounds: [0, 1], 1 for disjoint support. A metric, symmetric. Errors: `Empty`,
//! `NonFinite`, `LengthMismatch`, `OutOfRange` (negative mass), `Degenerate` (no mass). Source: definition.

use crate::Result;
use crate::mass::shares;

/// Total variation distance.
pub fn total_variation(reference: &[f64], current: &[f64]) -> Result<f64> {
    let sum: f64 = shares(reference, current)?.map(|(p, q)| (p - q).abs()).sum();
    Ok((sum / 2.0).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_quarter_of_the_mass_is_a_quarter() {
        assert!((total_variation(&[2.0, 2.0], &[1.0, 3.0]).unwrap() - 0.25).abs() < 1e-15);
    }
}
