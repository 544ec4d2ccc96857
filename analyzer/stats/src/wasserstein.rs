//! Wasserstein-1 distance between two samples, the work it takes to turn one into the other.
//!
//! ```text
//! W_1 = integral |F_x(t) - F_y(t)| dt
//! ```
//!
//! Unit: that of the values (divide by the reference's standard deviation to compare scores of different retrievers).
//! Bounds: [0, range of both samples]. Symmetric. Assumes finite means. `O(n log n)`.
//! Errors: `Empty`, `NonFinite`. Source: Vallender 1974 (Theory Probab. Appl. 18).

use crate::Result;
use crate::ecdf::steps;
use crate::sample::sorted;

/// Wasserstein-1 distance.
pub fn wasserstein_1(x: &[f64], y: &[f64]) -> Result<f64> {
    let (x, y) = (sorted("x", x)?, sorted("y", y)?);
    let (m, n) = (x.len() as f64, y.len() as f64);
    Ok(steps(&x, &y).map(|step| step.width * (step.below_x as f64 / m - step.below_y as f64 / n).abs()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_costs_its_length() {
        assert!((wasserstein_1(&[1.0, 2.0, 5.0], &[3.5, 4.5, 7.5]).unwrap() - 2.5).abs() < 1e-12);
    }
}
