//! Energy distance between two samples.
//!
//! ```text
//! D = sqrt(2 E|X-Y| - E|X-X'| - E|Y-Y'|) = sqrt(2 integral (F_x(t) - F_y(t))^2 dt)
//! ```
//!
//! The integral form costs `O(n log n)` instead of `O(n^2)`. Unit: square root of that of the values. Bounds: [0, inf),
//! 0 only for equal distributions. Symmetric. Assumes finite means. Errors: `Empty`, `NonFinite`. Source: Székely &
//! Rizzo 2013 (J. Stat. Plan. Inference 143).

use crate::Result;
use crate::ecdf::steps;
use crate::sample::sorted;

/// Energy distance (the root, as in `SciPy`).
pub fn energy_distance(x: &[f64], y: &[f64]) -> Result<f64> {
    let (x, y) = (sorted("x", x)?, sorted("y", y)?);
    let (m, n) = (x.len() as f64, y.len() as f64);
    let integral: f64 =
        steps(&x, &y).map(|step| step.width * (step.below_x as f64 / m - step.below_y as f64 / n).powi(2)).sum();
    Ok((2.0 * integral).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_are_apart_by_the_root_of_twice_their_distance() {
        assert!((energy_distance(&[0.0], &[3.0]).unwrap() - 6.0_f64.sqrt()).abs() < 1e-12);
    }
}
