//! A ranking: distinct items, best first, with groups of tied scores.
//!
//! The order inside a tie group carries no information, so every statistic of this crate that says it is tie-aware
//! gives the same value for every order inside a group. Membership is then fractional: of a group that occupies the
//! positions `start..end`, each item counts `c(e,d) = (d - start) / (end - start)` at a depth `d` inside the group,
//! which is the share of the group that fits in the top `d` (Corsi & Urbano 2024).
//!
//! Positions count from 0, depths (how many items are looked at) from 1.
//!
//! Errors: `DuplicateItem`, `LengthMismatch` (scores), `NonFinite` (a known score).

use std::hash::Hash;
use std::ops::Range;

use crate::sample::require_same_length;
use crate::{Error, Result};

/// Below this product of lengths a scan beats sorting (and needs no memory).
const SCAN_LIMIT: usize = 4_096;

/// Distinct items, best first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ranking<T> {
    items: Vec<T>,
    /// The group of each position; empty where nothing ties.
    groups: Vec<Range<usize>>,
}

impl<T: Copy + Eq + Ord + Hash> Ranking<T> {
    /// A ranking without ties.
    pub fn new(items: Vec<T>) -> Result<Self> {
        require_distinct(&items)?;
        Ok(Self { items, groups: Vec::new() })
    }

    /// A ranking whose neighbours with exactly equal known scores form one group. An unknown score never ties.
    ///
    /// Scores are compared with their neighbours only; whether they descend is not checked, because some retrievers
    /// report distances.
    pub fn with_scores(items: Vec<T>, scores: &[Option<f64>]) -> Result<Self> {
        require_same_length(("items", items.len()), ("scores", scores.len()))?;
        if let Some(index) = scores.iter().position(|score| score.is_some_and(|s| !s.is_finite())) {
            return Err(Error::NonFinite { what: "scores", index });
        }
        require_distinct(&items)?;
        let mut groups = Vec::new();
        if scores.windows(2).any(|pair| ties(pair[0], pair[1])) {
            groups.reserve_exact(items.len());
            for group in scores.chunk_by(|left, right| ties(*left, *right)) {
                let start = groups.len();
                groups.extend(std::iter::repeat_n(start..start + group.len(), group.len()));
            }
        }
        Ok(Self { items, groups })
    }

    /// The items, best first.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The items in another order, given by their old positions, without ties.
    ///
    /// Positions must be those of [`closest_orders`]: each once.
    #[must_use]
    pub fn reordered(&self, order: &[usize]) -> Self {
        Self { items: order.iter().map(|&i| self.items[i]).collect(), groups: Vec::new() }
    }

    /// Whether the retriever returned nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The positions of the tie group at `position` (from 0); an untied item is alone in its group.
    ///
    /// `None` beyond the end.
    pub fn group_of(&self, position: usize) -> Option<Range<usize>> {
        (position < self.len()).then(|| self.group(position))
    }

    /// Whether any two items tie.
    pub fn is_tied(&self) -> bool {
        !self.groups.is_empty()
    }

    /// `group_of` for a position that is known to exist.
    pub(crate) fn group(&self, position: usize) -> Range<usize> {
        if self.groups.is_empty() { position..position + 1 } else { self.groups[position].clone() }
    }

    /// Whether both rankings hold the same items in the same groups, in the same order of groups.
    pub(crate) fn same_up_to_ties(&self, other: &Self) -> bool {
        if self.items == other.items {
            return self.groups == other.groups;
        }
        if self.len() != other.len() || self.groups.is_empty() || self.groups != other.groups {
            return false;
        }
        // Equal groups and, for every item, a partner inside the same group: items are distinct, so this is equality.
        let mut partners = 0;
        self.for_each_common(other, |i, j| partners += usize::from(self.groups[i] == other.groups[j]));
        partners == self.len()
    }

    /// Calls `found` with the positions of every common item, ascending in `self`.
    pub(crate) fn for_each_common(&self, other: &Self, mut found: impl FnMut(usize, usize)) {
        if self.len() * other.len() <= SCAN_LIMIT {
            for (i, item) in self.items.iter().enumerate() {
                if let Some(j) = other.items.iter().position(|candidate| candidate == item) {
                    found(i, j);
                }
            }
            return;
        }
        let mut positions: Vec<usize> = (0..other.len()).collect();
        positions.sort_unstable_by_key(|&j| other.items[j]);
        for (i, item) in self.items.iter().enumerate() {
            if let Ok(at) = positions.binary_search_by_key(item, |&j| other.items[j]) {
                found(i, positions[at]);
            }
        }
    }
}

/// Of the orders that two rankings allow, the two that are closest to each other: for each, the old positions in their new
/// order. `None` where nothing ties, and so nothing is open.
///
/// Inside of a tie group items are put in the order in which the other ranking has them; those that it lacks come last;
/// those that tie in both keep the order of `a`. A strict ranking that is one of the orders which a tied one allows is
/// then equal to it: a score that was rounded allows more orders, and says no less of which are right.
pub fn closest_orders<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>) -> Option<(Vec<usize>, Vec<usize>)> {
    if !a.is_tied() && !b.is_tied() {
        return None;
    }
    let mut in_b = vec![None; a.len()];
    let mut in_a = vec![None; b.len()];
    a.for_each_common(b, |i, j| {
        in_b[i] = Some(j);
        in_a[j] = Some(i);
    });
    let mut order_a: Vec<usize> = (0..a.len()).collect();
    order_a.sort_by_key(|&i| (a.group(i).start, in_b[i].map_or(usize::MAX, |j: usize| b.group(j).start), i));
    let mut order_b: Vec<usize> = (0..b.len()).collect();
    order_b.sort_by_key(|&j| {
        let before = in_a[j].map_or((usize::MAX, j), |i: usize| (a.group(i).start, i));
        (b.group(j).start, before)
    });
    Some((order_a, order_b))
}

/// How much of an item of `group` is inside the top `depth`.
pub(crate) fn membership(group: &Range<usize>, depth: usize) -> f64 {
    if depth >= group.end {
        1.0
    } else if depth <= group.start {
        0.0
    } else {
        (depth - group.start) as f64 / group.len() as f64
    }
}

#[expect(clippy::float_cmp, reason = "a tie is exact equality: close scores still carry an order")]
fn ties(left: Option<f64>, right: Option<f64>) -> bool {
    matches!((left, right), (Some(left), Some(right)) if left == right)
}

fn require_distinct<T: Copy + Ord>(items: &[T]) -> Result<()> {
    let duplicate = if items.len() * items.len() <= SCAN_LIMIT {
        items.iter().enumerate().find_map(|(second, item)| {
            let first = items[..second].iter().position(|earlier| earlier == item)?;
            Some((first, second))
        })
    } else {
        let mut positions: Vec<usize> = (0..items.len()).collect();
        positions.sort_unstable_by_key(|&i| (items[i], i));
        positions.windows(2).find(|pair| items[pair[0]] == items[pair[1]]).map(|pair| (pair[0], pair[1]))
    };
    match duplicate {
        Some((first, second)) => Err(Error::DuplicateItem { first, second }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scores: &[Option<f64>], groups: &[Range<usize>]) {
        let items = (0_u32..).take(scores.len()).collect();
        let ranking = Ranking::with_scores(items, scores).unwrap();
        let found: Vec<_> = (0..ranking.len()).filter_map(|i| ranking.group_of(i)).collect();
        assert_eq!(found, groups);
    }

    #[test]
    fn neighbours_with_equal_scores_form_one_group() {
        check(&[Some(0.9), Some(0.5), Some(0.5), Some(0.1)], &[0..1, 1..3, 1..3, 3..4]);
    }

    #[track_caller]
    fn check_closest(a: &[(u32, f64)], b: &[(u32, f64)], expected: (&[u32], &[u32])) {
        let ranking = |list: &[(u32, f64)]| {
            let scores: Vec<_> = list.iter().map(|&(_, score)| Some(score)).collect();
            Ranking::with_scores(list.iter().map(|&(item, _)| item).collect(), &scores).unwrap()
        };
        let (a, b) = (ranking(a), ranking(b));
        let (order_a, order_b) = closest_orders(&a, &b).unwrap();
        assert_eq!((a.reordered(&order_a).items(), b.reordered(&order_b).items()), expected);
    }

    #[test]
    fn a_strict_order_that_ties_allow_is_no_other_order() {
        check_closest(&[(1, 0.91), (2, 0.89), (3, 0.5)], &[(2, 0.9), (1, 0.9), (3, 0.5)], (&[1, 2, 3], &[1, 2, 3]));
        // Ties that overlap: 1, 2, 3 is allowed by both.
        check_closest(&[(2, 0.9), (1, 0.9), (3, 0.5)], &[(1, 0.9), (3, 0.5), (2, 0.5)], (&[1, 2, 3], &[1, 2, 3]));
        check_closest(&[(1, 0.9), (2, 0.9)], &[(2, 0.9), (1, 0.9)], (&[1, 2], &[1, 2]));
    }

    #[test]
    fn of_a_tie_what_the_other_lacks_comes_last() {
        check_closest(&[(1, 0.9), (2, 0.9)], &[(2, 0.9), (3, 0.8)], (&[2, 1], &[2, 3]));
    }

    #[test]
    fn unknown_scores_never_tie() {
        check(&[None, None, Some(0.5)], &[0..1, 1..2, 2..3]);
    }

    #[test]
    fn equal_scores_apart_from_each_other_do_not_tie() {
        check(&[Some(0.5), None, Some(0.5)], &[0..1, 1..2, 2..3]);
    }

    #[test]
    fn a_repeated_item_is_refused_in_short_and_long_rankings() {
        assert_eq!(Ranking::new(vec![7, 8, 7]), Err(Error::DuplicateItem { first: 0, second: 2 }));
        let mut long: Vec<u32> = (0..500).collect();
        long.push(42);
        assert_eq!(Ranking::new(long), Err(Error::DuplicateItem { first: 42, second: 500 }));
    }

    #[test]
    fn scores_must_be_finite_and_as_many_as_items() {
        assert_eq!(
            Ranking::with_scores(vec![1], &[Some(f64::NAN)]),
            Err(Error::NonFinite { what: "scores", index: 0 })
        );
        assert!(matches!(Ranking::with_scores(vec![1], &[]), Err(Error::LengthMismatch { .. })));
    }

    #[test]
    fn long_and_short_rankings_find_the_same_partners() {
        let ascending = Ranking::new((0_u32..300).collect()).unwrap();
        let descending = Ranking::new((0_u32..300).rev().collect()).unwrap();
        let mut found = Vec::new();
        ascending.for_each_common(&descending, |i, j| found.push((i, j)));
        assert_eq!(found, (0..300).map(|i| (i, 299 - i)).collect::<Vec<_>>());
    }
}
