//! Tails and quantiles of the standard normal distribution, through the complementary error function so that small
//! tails keep their digits.

use std::f64::consts::SQRT_2;

use statrs::function::erf::{erfc, erfc_inv};

/// `P(Z > z)`.
pub(crate) fn upper_tail(z: f64) -> f64 {
    0.5 * erfc(z / SQRT_2)
}

/// The two-sided critical value: `z` with `P(|Z| <= z) = confidence`.
pub(crate) fn critical_value(confidence: f64) -> f64 {
    SQRT_2 * erfc_inv(1.0 - confidence)
}
