//! Kendall's distance between top-k lists, `K^(q)`.
//!
//! Every pair of items of the union costs 1 if the lists order it in opposite ways, `q` if exactly one of them orders
//! it, and 0 otherwise. An item that a list does not show stands behind all it shows, unordered against the other
//! absent ones, so the absent items form one last tie group; that view yields the four cases of Fagin, Kumar &
//! Sivakumar (2003, SIAM J. Discrete Math 17:1) and, for tied scores, the partial rankings of Fagin et al. (2006, SIAM
//! J. Discrete Math 20:3). `q = 1/2` makes it a near metric.
//!
//! Normalised by its value for disjoint lists of the same lengths, `|a||b| + q (C(|a|,2) + C(|b|,2))`, which is `k^2 +
//! q k (k-1)` for two lists of length `k`. Unit: pairs (raw), none (normalised). Bounds: [0, 1] normalised; 0 for two
//! empty lists. Symmetric, tie-aware. Errors: `NonFinite`, `OutOfRange` (penalty outside [0, 1]).

use std::hash::Hash;

use crate::ranking::Ranking;
use crate::{Error, Result};

/// A distance between top-k lists.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopKDistance {
    /// In the unit of the distance.
    pub raw: f64,
    /// Divided by the value for disjoint lists of the same lengths, in [0, 1].
    pub normalised: f64,
}

impl TopKDistance {
    /// Two empty lists do not differ.
    pub(crate) fn of(raw: f64, disjoint: f64) -> Self {
        Self { raw, normalised: if disjoint > 0.0 { raw / disjoint } else { 0.0 } }
    }
}

/// Where one item of the union stands: the start of its tie group in each list, the length of a list it is absent from.
pub(crate) type TieStarts = (usize, usize);

/// Kendall's distance with penalty `q` for a pair that only one list orders.
pub fn kendall_top_k<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>, penalty: f64) -> Result<TopKDistance> {
    if !penalty.is_finite() {
        return Err(Error::NonFinite { what: "penalty", index: 0 });
    }
    if !(0.0..=1.0).contains(&penalty) {
        return Err(Error::OutOfRange { what: "penalty", value: penalty, range: "[0, 1]" });
    }
    let tie_starts = tie_starts(a, b);
    let mut opposed = 0_usize;
    let mut half_known = 0_usize;
    for (index, first) in tie_starts.iter().enumerate() {
        for second in &tie_starts[index + 1..] {
            let (left, right) = (first.0.cmp(&second.0), first.1.cmp(&second.1));
            half_known += usize::from(left.is_eq() != right.is_eq());
            opposed += usize::from(left.is_ne() && left == right.reverse());
        }
    }
    let pairs = |length: usize| (length * length.saturating_sub(1) / 2) as f64;
    let disjoint = (a.len() * b.len()) as f64 + penalty * (pairs(a.len()) + pairs(b.len()));
    Ok(TopKDistance::of(opposed as f64 + penalty * half_known as f64, disjoint))
}

/// The items of `a` in their order, then those only `b` has.
fn tie_starts<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>) -> Vec<TieStarts> {
    let mut tie_starts: Vec<TieStarts> = (0..a.len()).map(|i| (a.group(i).start, b.len())).collect();
    let mut common = vec![false; b.len()];
    a.for_each_common(b, |i, j| {
        tie_starts[i].1 = b.group(j).start;
        common[j] = true;
    });
    tie_starts.extend((0..b.len()).filter(|&j| !common[j]).map(|j| (a.len(), b.group(j).start)));
    tie_starts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &[(u32, f64)], b: &[(u32, f64)], raw: f64) {
        let ranking = |list: &[(u32, f64)]| {
            let scores: Vec<_> = list.iter().map(|&(_, score)| Some(score)).collect();
            Ranking::with_scores(list.iter().map(|&(item, _)| item).collect(), &scores).unwrap()
        };
        let distance = kendall_top_k(&ranking(a), &ranking(b), 0.5).unwrap();
        assert!((distance.raw - raw).abs() < 1e-15, "{} is not {raw}", distance.raw);
    }

    #[test]
    fn a_swap_costs_one_pair() {
        check(&[(1, 0.9), (2, 0.8)], &[(2, 0.9), (1, 0.8)], 1.0);
    }

    #[test]
    fn a_pair_tied_in_one_list_costs_the_penalty_and_in_both_nothing() {
        check(&[(1, 0.9), (2, 0.9)], &[(2, 0.9), (1, 0.8)], 0.5);
        check(&[(1, 0.9), (2, 0.9)], &[(2, 0.9), (1, 0.9)], 0.0);
    }

    #[test]
    fn items_that_left_behind_their_neighbour_cost_nothing() {
        check(&[(1, 0.9), (2, 0.8)], &[(1, 0.9)], 0.0);
    }

    #[test]
    fn a_penalty_that_is_no_share_is_refused() {
        let ranking = Ranking::new(vec![1_u32]).unwrap();
        assert!(matches!(kendall_top_k(&ranking, &ranking, 1.5), Err(Error::OutOfRange { .. })));
    }
}
