//! The exact account of a change between two rankings: how much of the distance each item carries.
//!
//! With `K = max(|a|, |b|)`, `w_d = p^(d-1) / sum_{j=1..K} p^(j-1)` and the fractional membership `c(e,d)` of
//! [`crate::ranking`] (0 or 1 where nothing ties):
//!
//! ```text
//! charge(x)  = sum_d w_d/d max(0, c_a(x,d) - c_b(x,d))          for every item x of a
//! unfilled   = sum_{d>|a|} w_d (d - |a|)/d                      0 unless b is longer
//! distance   = sum_x charge(x) + unfilled = 1 - k(a,b),   k(a,b) = sum_d w_d/d sum_e min(c_a(e,d), c_b(e,d))
//! ```
//!
//! An item is charged if it left or moved down. *Uneven lengths:* if `b` is shorter, what it no longer shows is charged
//! to the items that left. If `b` is longer, no item of `a` gave way to the added places, so those depths are the
//! separate term `unfilled`, which belongs to the items that are new in `b`. *Ties:* the memberships of a list sum to
//! `min(d, length)`, and `max(0, x - y) = x - min(x, y)`, which gives the identity; items that only change order inside
//! one tie group are charged exactly 0. `k` is the kernel of [`mod@crate::ranking_kernel`] at depth `K`, which is the
//! truncated, normalised RBO where nothing ties; RBO^b (see [`mod@crate::rbo`]) measures the same memberships by their
//! cosine, so the two distances differ between 0 and 1 but vanish together.
//!
//! Unit: none. Bounds: every charge and the distance are in [0, 1]; 0 for two empty rankings, 1 if one is empty. The
//! distance is symmetric, its split into charges is not. Cannot fail. Source: the identity of the design, section 5;
//! Webber, Moffat & Zobel 2010 for the weights.

use std::hash::Hash;

use crate::persistence::Persistence;
use crate::ranking::{Ranking, membership};

/// Who carries the distance between a reference ranking and a current one.
#[derive(Debug, Clone, PartialEq)]
pub struct ChargeAccount {
    /// The charge of each item of the reference, in its order.
    pub by_item: Vec<f64>,
    /// The part due to places that the reference did not have: the current ranking is longer.
    pub unfilled: f64,
}

impl ChargeAccount {
    /// Sum of all charges, equal to [`truncated_distance`] up to rounding.
    pub fn total(&self) -> f64 {
        self.by_item.iter().sum::<f64>() + self.unfilled
    }
}

/// Charges every unit of distance from `reference` to `current` to an item of `reference`.
pub fn charges<T: Copy + Eq + Ord + Hash>(
    reference: &Ranking<T>,
    current: &Ranking<T>,
    p: Persistence,
) -> ChargeAccount {
    let depths = reference.len().max(current.len());
    let weights = p.item_weights(depths);
    let mut positions = vec![None; reference.len()];
    reference.for_each_common(current, |i, j| positions[i] = Some(j));
    let charge = |(i, position): (usize, &Option<usize>)| {
        let before = reference.group(i);
        let after = position.map_or(depths..depths, |j| current.group(j));
        // Once the item is wholly in the current top d, no deeper d can charge it.
        let last = if position.is_some() { after.end } else { depths };
        (before.start + 1..=last)
            .map(|d| {
                let now = if position.is_some() { membership(&after, d) } else { 0.0 };
                weights[d - 1] * (membership(&before, d) - now).max(0.0)
            })
            // Not `sum`, which starts at -0.0 and leaves that to items that moved up.
            .fold(0.0, |charge, part| charge + part)
    };
    let by_item = positions.iter().enumerate().map(charge).collect();
    ChargeAccount { by_item, unfilled: unfilled(reference.len(), &weights) }
}

/// `1 - k(a,b)`, summed depth by depth and exactly 0 for rankings that differ at most inside tie groups.
pub fn truncated_distance<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>, p: Persistence) -> f64 {
    if a.same_up_to_ties(b) {
        return 0.0;
    }
    let depths = a.len().max(b.len());
    let weights = p.item_weights(depths);
    let mut missing: Vec<f64> = (1..=depths).map(|d| d as f64).collect();
    a.for_each_common(b, |i, j| {
        let (left, right) = (a.group(i), b.group(j));
        for depth in left.start.max(right.start) + 1..=depths {
            missing[depth - 1] -= membership(&left, depth).min(membership(&right, depth));
        }
    });
    weights.iter().zip(missing).map(|(weight, missing)| weight * missing).sum::<f64>().clamp(0.0, 1.0)
}

fn unfilled(length: usize, weights: &[f64]) -> f64 {
    (length + 1..=weights.len())
        .map(|depth| weights[depth - 1] * (depth - length) as f64)
        .fold(0.0, |sum, part| sum + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &[(u32, f64)], current: &[(u32, f64)], by_item: &[f64], unfilled: f64) {
        let ranking = |list: &[(u32, f64)]| {
            let scores: Vec<_> = list.iter().map(|&(_, score)| Some(score)).collect();
            Ranking::with_scores(list.iter().map(|&(item, _)| item).collect(), &scores).unwrap()
        };
        let (reference, current) = (ranking(reference), ranking(current));
        let p = Persistence::new(0.5).unwrap();
        let account = charges(&reference, &current, p);
        assert_eq!(account.by_item.len(), by_item.len());
        for (found, expected) in account.by_item.iter().zip(by_item) {
            assert!((found - expected).abs() < 1e-15, "{found} is not {expected}");
        }
        assert!((account.unfilled - unfilled).abs() < 1e-15);
        assert!((account.total() - truncated_distance(&reference, &current, p)).abs() < 1e-15);
    }

    #[test]
    fn an_item_that_moved_down_carries_the_depths_it_lost() {
        // Weights of depth 1 and 2: 2/3 and 1/3.
        check(&[(1, 0.9), (2, 0.8)], &[(2, 0.9), (1, 0.8)], &[2.0 / 3.0, 0.0], 0.0);
    }

    #[test]
    fn an_item_that_left_carries_every_depth_it_was_in() {
        check(&[(1, 0.9), (2, 0.8)], &[(3, 0.9), (2, 0.8)], &[2.0 / 3.0 + 1.0 / 6.0, 0.0], 0.0);
    }

    #[test]
    fn added_places_are_charged_to_nobody_who_was_there_before() {
        check(&[(1, 0.9)], &[(1, 0.9), (2, 0.8)], &[0.0], 1.0 / 6.0);
    }

    #[test]
    fn lost_places_are_charged_to_the_items_that_left() {
        check(&[(1, 0.9), (2, 0.8)], &[(1, 0.9)], &[0.0, 1.0 / 6.0], 0.0);
    }

    #[test]
    fn a_change_of_order_inside_a_tie_group_is_charged_to_nobody() {
        check(&[(1, 0.9), (2, 0.9), (3, 0.1)], &[(2, 0.9), (1, 0.9), (3, 0.1)], &[0.0, 0.0, 0.0], 0.0);
    }

    #[test]
    fn nothing_differs_from_nothing_and_everything_from_nothing() {
        check(&[], &[], &[], 0.0);
        check(&[], &[(1, 0.9)], &[], 1.0);
        check(&[(1, 0.9)], &[], &[1.0], 0.0);
    }
}
