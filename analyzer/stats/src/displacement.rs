//! How far each item moved between two rankings.
//!
//! Unit: ranks, from 1; tied items share the mean of their ranks, so a move inside a tie group is no move. An item that
//! one ranking does not show has no rank there: it was not retrieved, which is not the same as a large move.
//!
//! Cannot fail. Source: definition.

use std::hash::Hash;

use crate::ranking::Ranking;

/// The ranks of one item in two rankings; at least one of them is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Displacement<T> {
    /// The item.
    pub item: T,
    /// Its rank in the reference, from 1; `None` if it is new.
    pub reference_rank: Option<f64>,
    /// Its rank in the current ranking, from 1; `None` if it left.
    pub current_rank: Option<f64>,
}

impl<T> Displacement<T> {
    /// Ranks by which the item moved, positive if it moved down; `None` if it is new or left.
    pub fn ranks_down(&self) -> Option<f64> {
        Some(self.current_rank? - self.reference_rank?)
    }
}

/// The items of the reference in their order, then the new items in the order of the current ranking.
pub fn displacements<T: Copy + Eq + Ord + Hash>(reference: &Ranking<T>, current: &Ranking<T>) -> Vec<Displacement<T>> {
    let mut displacements: Vec<_> = (0..reference.len())
        .map(|i| Displacement {
            item: reference.items()[i],
            reference_rank: Some(midrank(reference, i)),
            current_rank: None,
        })
        .collect();
    let mut known = vec![false; current.len()];
    reference.for_each_common(current, |i, j| {
        displacements[i].current_rank = Some(midrank(current, j));
        known[j] = true;
    });
    displacements.extend((0..current.len()).filter(|&j| !known[j]).map(|j| Displacement {
        item: current.items()[j],
        reference_rank: None,
        current_rank: Some(midrank(current, j)),
    }));
    displacements
}

/// Mean rank, from 1, of the tie group at a position.
fn midrank<T: Copy + Eq + Ord + Hash>(ranking: &Ranking<T>, position: usize) -> f64 {
    let group = ranking.group(position);
    f64::midpoint((group.start + 1) as f64, group.end as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &[(u32, f64)], current: &[(u32, f64)], expected: &[(u32, Option<f64>)]) {
        let ranking = |list: &[(u32, f64)]| {
            let scores: Vec<_> = list.iter().map(|&(_, score)| Some(score)).collect();
            Ranking::with_scores(list.iter().map(|&(item, _)| item).collect(), &scores).unwrap()
        };
        let moved = displacements(&ranking(reference), &ranking(current));
        let found: Vec<_> = moved.iter().map(|moved| (moved.item, moved.ranks_down())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_item_that_moved_down_has_a_positive_displacement() {
        check(&[(1, 0.9), (2, 0.8)], &[(2, 0.9), (1, 0.8)], &[(1, Some(1.0)), (2, Some(-1.0))]);
    }

    #[test]
    fn a_move_inside_a_tie_group_is_no_move() {
        check(&[(1, 0.9), (2, 0.9)], &[(2, 0.9), (1, 0.9)], &[(1, Some(0.0)), (2, Some(0.0))]);
    }

    #[test]
    fn new_and_departed_items_have_no_displacement() {
        check(&[(1, 0.9)], &[(2, 0.9)], &[(1, None), (2, None)]);
    }
}
