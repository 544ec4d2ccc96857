//! Rank-biased overlap of two rankings, extrapolated, for uneven lengths and ties.
//!
//! With `S` the shorter ranking (length `s`), `L` the longer (length `l`), `c(e,d)` the share of the tie group of `e`
//! that fits in the top `d` (see [`crate::ranking`]), `X_d = sum_e c_S(e,d) c_L(e,d)` and `N_d = sum_e c(e,d)^2`:
//!
//! ```text
//! A_d = X_d / sqrt(N_S,d N_L,d)                                       for d <= s
//! A_d = (X_d + (d - s) A_s u_d) / sqrt(d N_L,d)                       for s < d <= l
//! RBO = (1 - p) sum_{d=1..l} p^(d-1) A_d  +  p^l (X_l + (l - s) A_s) / l
//! ```
//!
//! where `u_d` is the mean of `c_L(e,d)` over the items of `L` that reach depth `d` and are not in `S`: beyond its end,
//! `S` is taken to go on at the agreement it has shown. That is the variant RBO^b of Corsi & Urbano (2024, SIGIR).
//! Where nothing ties `X_d` is the size of the overlap, `N_d = d` and `u_d = 1`, and the formula is equation 32 of
//! Webber, Moffat & Zobel (2010, TOIS 28:4).
//!
//! Unit: none. Bounds: [0, 1]; exactly 1 for rankings that differ at most inside tie groups, two empty ones included;
//! 0 for disjoint rankings and for one empty ranking. Symmetric. Assumes that each ranking is the visible prefix of a
//! longer one. Cannot fail: its arguments are checked when they are made.
//!
//! Called for every matched pair of a window, so up to 64 depths it touches neither the heap nor a hash table.

use std::hash::Hash;

use crate::persistence::Persistence;
use crate::ranking::{Ranking, membership};

/// Depths that are kept on the stack. Context windows are about ten documents deep.
const INLINE: usize = 64;

/// Extrapolated rank-biased overlap.
pub fn rbo<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>, p: Persistence) -> f64 {
    // Answered first, because a sum of weights rounds to 0.9999999999999999.
    if a.same_up_to_ties(b) {
        return 1.0;
    }
    let (short, long) = by_length(a, b);
    if short.is_empty() {
        return 0.0;
    }
    with_overlaps(short, long, |overlaps| extrapolated(short, long, overlaps, p.get())).clamp(0.0, 1.0)
}

/// Bounds of the overlap of two indefinite rankings of which only prefixes were seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RboBounds {
    /// The overlap if nothing beyond the prefixes agrees (equation 11).
    pub min: f64,
    /// The overlap if everything beyond them agrees as far as it can.
    pub max: f64,
}

impl RboBounds {
    /// How much of the overlap the prefixes leave open, in [0, 1].
    pub fn residual(self) -> f64 {
        self.max - self.min
    }
}

/// The lower bound alone: no agreement beyond what was seen.
pub fn rbo_min<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>, p: Persistence) -> f64 {
    rbo_bounds(a, b, p).min
}

/// Both bounds of the indefinite overlap. Two empty rankings show nothing, so theirs are 0 and 1.
pub fn rbo_bounds<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>, p: Persistence) -> RboBounds {
    let (short, long) = by_length(a, b);
    let (min, max) = with_overlaps(short, long, |overlaps| bounds(short, long, overlaps, p.get()));
    let min = min.clamp(0.0, 1.0);
    RboBounds { min, max: max.clamp(min, 1.0) }
}

fn by_length<'r, T: Copy + Eq + Ord + Hash>(a: &'r Ranking<T>, b: &'r Ranking<T>) -> (&'r Ranking<T>, &'r Ranking<T>) {
    if a.len() <= b.len() { (a, b) } else { (b, a) }
}

/// What the common items add to the overlap at one depth.
#[derive(Clone, Copy, Default)]
struct Depth {
    /// Items whose groups both end here: they count in full from this depth on.
    entered: f64,
    /// Products of fractional memberships.
    partial: f64,
}

/// Hands `use_overlaps` the overlap `X_d` at index `d - 1`, for every depth of the longer ranking.
fn with_overlaps<T: Copy + Eq + Ord + Hash, R>(
    short: &Ranking<T>,
    long: &Ranking<T>,
    use_overlaps: impl FnOnce(&[f64]) -> R,
) -> R {
    let depth = long.len();
    if depth <= INLINE {
        let mut depths = [Depth::default(); INLINE];
        let mut overlaps = [0.0; INLINE];
        fill_overlaps(short, long, &mut depths[..depth], &mut overlaps[..depth]);
        use_overlaps(&overlaps[..depth])
    } else {
        let mut overlaps = vec![0.0; depth];
        fill_overlaps(short, long, &mut vec![Depth::default(); depth], &mut overlaps);
        use_overlaps(&overlaps)
    }
}

fn fill_overlaps<T: Copy + Eq + Ord + Hash>(
    short: &Ranking<T>,
    long: &Ranking<T>,
    depths: &mut [Depth],
    overlaps: &mut [f64],
) {
    short.for_each_common(long, |i, j| {
        let (left, right) = (short.group(i), long.group(j));
        let entered = left.end.max(right.end);
        depths[entered - 1].entered += 1.0;
        for depth in left.start.max(right.start) + 1..entered {
            depths[depth - 1].partial += membership(&left, depth) * membership(&right, depth);
        }
    });
    let mut entered = 0.0;
    for (depth, overlap) in depths.iter().zip(overlaps) {
        entered += depth.entered;
        *overlap = entered + depth.partial;
    }
}

/// `sum_e c(e,d)^2`; beyond its end a ranking is taken to go on without ties.
fn squared_norm<T: Copy + Eq + Ord + Hash>(ranking: &Ranking<T>, depth: usize) -> f64 {
    if !ranking.is_tied() || depth >= ranking.len() {
        return depth as f64;
    }
    let group = ranking.group(depth - 1);
    let inside = (depth - group.start) as f64;
    group.start as f64 + inside * inside / group.len() as f64
}

/// The normaliser of the agreement at one depth: the depth itself where nothing ties.
fn size<T: Copy + Eq + Ord + Hash>(short: &Ranking<T>, long: &Ranking<T>, depth: usize) -> f64 {
    if short.is_tied() || long.is_tied() {
        (squared_norm(short, depth) * squared_norm(long, depth)).sqrt()
    } else {
        depth as f64
    }
}

fn extrapolated<T: Copy + Eq + Ord + Hash>(short: &Ranking<T>, long: &Ranking<T>, overlaps: &[f64], p: f64) -> f64 {
    let mut sum = 0.0;
    let mut power = 1.0;
    let mut agreement = 0.0;
    for depth in 1..=short.len() {
        agreement = overlaps[depth - 1] / size(short, long, depth);
        sum += power * agreement;
        power *= p;
    }
    for depth in short.len() + 1..=long.len() {
        let overlap = overlaps[depth - 1];
        let continued = (depth - short.len()) as f64 * agreement * unseen_membership(short, long, overlap, depth);
        sum += power * (overlap + continued) / size(short, long, depth);
        power *= p;
    }
    let unseen = (long.len() - short.len()) as f64 * agreement;
    let last = (overlaps[long.len() - 1] + unseen) / long.len() as f64;
    (1.0 - p) * sum + power * last
}

/// Mean membership, at a depth beyond `short`, of the items of `long` that reach that depth and are not in `short`.
///
/// The memberships of `long` sum to the depth and those of the common items to the overlap, which leaves the rest.
fn unseen_membership<T: Copy + Eq + Ord + Hash>(
    short: &Ranking<T>,
    long: &Ranking<T>,
    overlap: f64,
    depth: usize,
) -> f64 {
    if !long.is_tied() {
        return 1.0;
    }
    let reach = long.group(depth - 1).end;
    let mut common = 0;
    short.for_each_common(long, |_, j| common += usize::from(j < reach));
    (depth as f64 - overlap) / (reach - common) as f64
}

fn bounds<T: Copy + Eq + Ord + Hash>(short: &Ranking<T>, long: &Ranking<T>, overlaps: &[f64], p: f64) -> (f64, f64) {
    let (s, l) = (short.len(), long.len());
    let mut in_short = vec![false; l];
    short.for_each_common(long, |_, j| in_short[j] = true);
    let unseen: Vec<_> = (0..l).filter(|&j| !in_short[j]).map(|j| long.group(j)).collect();

    let (mut min, mut max) = (0.0, 0.0);
    let mut power = p;
    let mut harmonic = 0.0;
    for depth in 1..=l {
        let overlap = overlaps[depth - 1];
        // At best the unseen items of the shorter ranking are the first that only the longer one has shown.
        let gained: f64 = unseen.iter().take(depth.saturating_sub(s)).map(|group| membership(group, depth)).sum();
        let size = size(short, long, depth);
        min += power * overlap / size;
        max += power * (overlap + gained) / size;
        harmonic += power / depth as f64;
        power *= p;
    }
    let common = overlaps.last().copied().unwrap_or(0.0);
    min += common * (-(-p).ln_1p() - harmonic);
    // From this depth on two conjoint continuations agree in full.
    let conjoint = l + s - (l - unseen.len());
    for depth in l + 1..=conjoint {
        max += power * ((2 * depth - l - s) as f64 + common) / depth as f64;
        power *= p;
    }
    max += power / (1.0 - p);
    let scale = (1.0 - p) / p;
    (scale * min, scale * max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &[(u32, f64)], b: &[(u32, f64)], expected: f64) {
        let ranking = |list: &[(u32, f64)]| {
            let scores: Vec<_> = list.iter().map(|&(_, score)| Some(score)).collect();
            Ranking::with_scores(list.iter().map(|&(item, _)| item).collect(), &scores).unwrap()
        };
        let value = rbo(&ranking(a), &ranking(b), Persistence::default());
        assert!((value - expected).abs() < 1e-12, "{value} is not {expected}");
    }

    #[test]
    fn a_tie_group_that_the_other_ranking_orders_costs_the_information_it_lacks() {
        // A_1 = 0.5 / sqrt(1 * 0.5), A_2 = 1.
        check(&[(1, 0.9), (2, 0.9)], &[(1, 0.9), (2, 0.8)], 0.1 * (0.5_f64.sqrt() + 0.9) + 0.81);
    }

    #[test]
    fn a_longer_ranking_that_begins_like_the_shorter_one_agrees_with_it() {
        check(&[(1, 0.9), (2, 0.8)], &[(1, 0.9), (2, 0.8), (3, 0.1)], 1.0);
    }

    #[test]
    fn a_tie_group_across_the_end_of_the_shorter_ranking_counts_by_its_share() {
        // A_1 = 1; A_2 = 1.5 / sqrt(2 * 1.5); at depth 3 nothing ties any more: X = 2, u = 1.
        let second = 1.5 / 3.0_f64.sqrt();
        let third = (2.0 + second) / 3.0;
        check(
            &[(1, 0.9), (2, 0.8)],
            &[(1, 0.9), (2, 0.5), (3, 0.5)],
            0.1 * (1.0 + 0.9 * second + 0.81 * third) + 0.729 * third,
        );
    }

    #[test]
    fn rankings_equal_up_to_ties_agree_exactly() {
        let a = Ranking::with_scores((0..10).collect::<Vec<u32>>(), &[Some(0.5); 10]).unwrap();
        let b = Ranking::with_scores((0..10).rev().collect::<Vec<u32>>(), &[Some(0.5); 10]).unwrap();
        assert_eq!(rbo(&a, &b, Persistence::default()).to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn nothing_seen_leaves_everything_open() {
        let nothing = Ranking::<u32>::new(Vec::new()).unwrap();
        assert!((rbo_bounds(&nothing, &nothing, Persistence::default()).residual() - 1.0).abs() < 1e-12);
    }
}
