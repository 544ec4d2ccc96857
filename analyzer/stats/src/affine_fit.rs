//! Robust straight line `y = scale x + shift` through pairs, after Theil and Sen.
//!
//! ```text
//! scale = median over pairs with x_i != x_j of (y_j - y_i) / (x_j - x_i),     shift = median_i (y_i - scale x_i)
//! ```
//!
//! A rescaled retriever shows as a line other than `y = x` that fits well. Up to a million pairs (1,414 points) all
//! are used; beyond, that many pairs drawn with `seed`, an incomplete U-statistic (Blom 1976, Biometrika 63) whose
//! standard error exceeds the complete one's by about a thousandth of the spread of the slopes.
//!
//! Unit: y per x (scale), y (shift). Unbounded. Breakdown point 29 %. Assumes errors in y only, independent of x.
//! Errors: `Empty`, `NonFinite`, `LengthMismatch`, `TooFew` (under 2 pairs), `Degenerate` (x does not vary).
//! Source: Theil 1950; Sen 1968 (J. Am. Stat. Assoc. 63).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::sample::{median, require_count, require_finite, require_same_length};
use crate::{Error, Result};

/// The most slopes that are looked at; a million doubles.
const MAX_PAIRS: usize = 1_000_000;

/// A robust line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AffineFit {
    /// Change of y per unit of x.
    pub scale: f64,
    /// y at x = 0.
    pub shift: f64,
    /// Median absolute deviation of y from the line, in the unit of y.
    pub residual: f64,
}

/// Fits `y = scale x + shift`; `seed` matters only above 1,414 points.
pub fn affine_fit(x: &[f64], y: &[f64], seed: u64) -> Result<AffineFit> {
    require_same_length(("x", x.len()), ("y", y.len()))?;
    require_finite("x", x)?;
    require_finite("y", y)?;
    require_count("points", x.len(), 2)?;
    let slope = |i: usize, j: usize| Some((y[j] - y[i]) / (x[j] - x[i])).filter(|slope| slope.is_finite());
    let n = x.len();
    let slopes: Vec<f64> = if n * (n - 1) / 2 <= MAX_PAIRS {
        (0..n).flat_map(|j| (0..j).filter_map(move |i| slope(i, j))).collect()
    } else {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..MAX_PAIRS).filter_map(|_| slope(rng.random_range(0..n), rng.random_range(0..n))).collect()
    };
    if slopes.is_empty() {
        return Err(Error::Degenerate { what: "x" });
    }
    let scale = median(slopes);
    let shift = median(x.iter().zip(y).map(|(x, y)| y - scale * x).collect());
    let residual = median(x.iter().zip(y).map(|(x, y)| (y - scale * x - shift).abs()).collect());
    Ok(AffineFit { scale, shift, residual })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(points: u32, scale: f64, shift: f64) {
        let x: Vec<f64> = (0..points).map(|i| f64::from(i * 37 % 101)).collect();
        // Every seventh point is wild.
        let y: Vec<f64> = x.iter().zip(0..).map(|(x, i)| if i % 7 == 3 { 1e3 } else { scale * x + shift }).collect();
        let fit = affine_fit(&x, &y, 5).unwrap();
        assert!((fit.scale - scale).abs() < 1e-9 && (fit.shift - shift).abs() < 1e-7, "{fit:?}");
        assert!(fit.residual < 1e-7);
        assert_eq!(fit, affine_fit(&x, &y, 5).unwrap());
    }

    #[test]
    fn wild_points_do_not_move_the_line() {
        check(40, 0.5, -3.0);
    }

    #[test]
    fn drawn_pairs_find_the_line_too() {
        check(2_000, -2.0, 10.0);
    }

    #[test]
    fn equal_x_have_no_line() {
        assert_eq!(affine_fit(&[1.0, 1.0], &[0.0, 1.0], 0), Err(Error::Degenerate { what: "x" }));
    }
}
