//! Spearman's footrule between top-k lists, `F^(l)`.
//!
//! ```text
//! F = sum over the union of |rank_a(e) - rank_b(e)|,   an absent item stands at l = max(|a|, |b|) + 1
//! ```
//!
//! Ranks count from 1; tied items share the mean of their ranks. Normalised by the value for disjoint lists of the same
//! lengths, which is `k(k+1)` for two lists of length `k`. Unit: ranks (raw), none (normalised). Bounds: [0, 1]
//! normalised; 0 for two empty lists. Symmetric, tie-aware. Cannot fail.
//!
//! Source: Fagin, Kumar & Sivakumar 2003 (SIAM J. Discrete Math 17:1), `F^(k+1)`; the location for uneven lists is
//! ours.

use std::hash::Hash;

use crate::displacement::displacements;
use crate::kendall_top_k::TopKDistance;
use crate::ranking::Ranking;

/// Footrule with absent items one rank below the longer list.
pub fn footrule_top_k<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>) -> TopKDistance {
    let absent = (a.len().max(b.len()) + 1) as f64;
    let raw = displacements(a, b)
        .iter()
        .map(|moved| (moved.reference_rank.unwrap_or(absent) - moved.current_rank.unwrap_or(absent)).abs())
        .fold(0.0, |sum, ranks| sum + ranks);
    // Tied ranks are means, so the sum over a list is the same with and without ties.
    let alone = |length: usize| length as f64 * (absent - f64::midpoint(length as f64, 1.0));
    TopKDistance::of(raw, alone(a.len()) + alone(b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &[u32], b: &[u32], raw: f64, normalised: f64) {
        let (a, b) = (Ranking::new(a.to_vec()).unwrap(), Ranking::new(b.to_vec()).unwrap());
        let distance = footrule_top_k(&a, &b);
        assert!((distance.raw - raw).abs() < 1e-12 && (distance.normalised - normalised).abs() < 1e-12);
    }

    #[test]
    fn a_swap_moves_two_items_by_one_rank() {
        check(&[1, 2, 3], &[2, 1, 3], 2.0, 2.0 / 12.0);
    }

    #[test]
    fn disjoint_lists_are_as_far_apart_as_lists_can_be_whatever_their_lengths() {
        check(&[1, 2], &[3, 4], 6.0, 1.0);
        check(&[1, 2, 3], &[4], 9.0, 1.0);
        check(&[1], &[], 1.0, 1.0);
    }
}
