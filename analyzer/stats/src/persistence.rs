//! The persistence `p` of rank-biased measures: the probability that a reader of depth `d` goes on to depth `d + 1`.
//!
//! Depth `d` weighs `p^(d-1)`; with `p = 0.9` the first ten ranks carry 86 % of the weight of an evaluation to any
//! depth (Webber, Moffat & Zobel 2010, eq. 21).
//!
//! Errors: `NonFinite`, `OutOfRange` (outside the open interval (0, 1)).

use crate::Result;
use crate::sample::require_between;

/// A probability strictly between 0 and 1; 0.9 unless configured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Persistence(f64);

impl Persistence {
    /// Admits `0 < p < 1`.
    pub fn new(p: f64) -> Result<Self> {
        require_between("persistence", p, 0.0, 1.0, "(0, 1)")?;
        Ok(Self(p))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// `w_d / d` for `d = 1..=depth`, where `w_d = p^(d-1) / sum_j p^(j-1)`: what one item counts at each depth.
    pub(crate) fn item_weights(self, depth: usize) -> Vec<f64> {
        let mut weights = Vec::with_capacity(depth);
        let mut power = 1.0;
        let mut total = 0.0;
        for d in 1..=depth {
            weights.push(power / d as f64);
            total += power;
            power *= self.0;
        }
        for weight in &mut weights {
            *weight /= total;
        }
        weights
    }
}

impl Default for Persistence {
    fn default() -> Self {
        Self(0.9)
    }
}
