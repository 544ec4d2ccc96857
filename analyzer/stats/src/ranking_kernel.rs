//! A positive semidefinite kernel on rankings, and the two-sample test that it allows.
//!
//! ```text
//! k(a,b)  = sum_{d=1..K} w_d/d sum_e min(c_a(e,d), c_b(e,d)),      w_d = p^(d-1) / sum_{j=1..K} p^(j-1)
//! MMD^2_u = mean_{i!=j} k(x_i,x_j) + mean_{i!=j} k(y_i,y_j) - 2 mean_{i,j} k(x_i,y_j)
//! ```
//!
//! `c(e,d)` is the fractional membership of [`crate::ranking`]; where nothing ties the inner sum is `|a_d & b_d|` and
//! `k` is RBO truncated at depth `K` and normalised (Webber, Moffat & Zobel 2010). It is positive semidefinite for one
//! fixed `K`, because the minimum of two non-negative numbers is a kernel and sums of kernels are kernels; so a sample
//! is always compared at the depth of its longest ranking. A ranking that ends above `K` contributes what it has, and
//! an empty one nothing, which still tells it from a full one.
//!
//! Unit: none. Bounds: `k` in [0, 1], 1 for equal rankings that reach `K`; `MMD^2_u` in [-1, 2] and about 0 (also
//! below) when both samples come from one distribution. Source: Gretton et al. 2012 (JMLR 13), eq. 3. Errors: `TooFew`
//! (less than two rankings in a sample, no stratum, no permutation).

use std::hash::Hash;

use ndarray::Array2;

use crate::Result;
use crate::permutation::{PermutationTest, permutation_test, shuffle_front};
use crate::persistence::Persistence;
use crate::ranking::{Ranking, membership};
use crate::sample::require_count;

/// The kernel at depth `depth`. Compare kernel values of one depth only; at depth 0 everything is alike (1).
pub fn ranking_kernel<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>, p: Persistence, depth: usize) -> f64 {
    similarity(a, b, &tail_sums(p, depth))
}

/// Weights per depth, and what an item adds if it counts in full from a depth on.
struct Tail {
    weights: Vec<f64>,
    /// `sum_{d >= i+1} w_d/d` at index `i`, and 0 at the end.
    from: Vec<f64>,
}

fn tail_sums(p: Persistence, depth: usize) -> Tail {
    let weights = p.item_weights(depth);
    let mut from = vec![0.0; depth + 1];
    for index in (0..depth).rev() {
        from[index] = from[index + 1] + weights[index];
    }
    Tail { weights, from }
}

fn similarity<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>, tail: &Tail) -> f64 {
    let depth = tail.weights.len();
    if depth == 0 {
        return 1.0;
    }
    let mut sum = 0.0;
    a.for_each_common(b, |i, j| {
        let (left, right) = (a.group(i), b.group(j));
        let full = left.end.max(right.end);
        sum += tail.from[(full - 1).min(depth)];
        for d in left.start.max(right.start) + 1..full.min(depth + 1) {
            sum += tail.weights[d - 1] * membership(&left, d).min(membership(&right, d));
        }
    });
    sum.clamp(0.0, 1.0)
}

/// Repeats of one query in two windows, reduced to the kernel values of all their pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelStratum {
    /// Symmetric; reference rankings first. Its diagonal is 0, because the unbiased statistic leaves it out.
    kernel: Array2<f64>,
    reference: usize,
}

impl KernelStratum {
    /// Needs at least two rankings in the reference and one in the current window.
    pub fn new<T: Copy + Eq + Ord + Hash>(
        reference: &[&Ranking<T>],
        current: &[&Ranking<T>],
        p: Persistence,
    ) -> Result<Self> {
        require_count("reference rankings", reference.len(), 2)?;
        require_count("current rankings", current.len(), 1)?;
        let all: Vec<_> = reference.iter().chain(current).collect();
        let tail = tail_sums(p, all.iter().map(|ranking| ranking.len()).max().unwrap_or(0));
        Self::of(reference.len(), current.len(), |i, j| similarity(all[i], all[j], &tail))
    }

    /// The same from similarities of any other kind: `similarity(i, j)` of two places, the reference's first. The tests
    /// permute labels, so they hold for every symmetric one.
    pub fn of(reference: usize, current: usize, mut similarity: impl FnMut(usize, usize) -> f64) -> Result<Self> {
        require_count("reference rankings", reference, 2)?;
        require_count("current rankings", current, 1)?;
        let all = reference + current;
        let mut kernel = Array2::zeros((all, all));
        for i in 0..all {
            for j in 0..i {
                let value = similarity(i, j);
                kernel[(i, j)] = value;
                kernel[(j, i)] = value;
            }
        }
        Ok(Self { kernel, reference })
    }

    /// Whether both windows hold at least two rankings.
    pub fn is_repeated(&self) -> bool {
        self.kernel.nrows() >= self.reference + 2
    }

    /// The unbiased squared distance between the two samples. Needs at least two rankings on both sides.
    pub fn mmd2_unbiased(&self) -> Result<f64> {
        require_count("current rankings", self.kernel.nrows() - self.reference, 2)?;
        Ok(self.mmd2(&self.natural_order()))
    }

    fn natural_order(&self) -> Vec<usize> {
        (0..self.kernel.nrows()).collect()
    }

    /// How much more alike the first places of `order` are to each other than to the other places.
    fn excess(&self, order: &[usize]) -> f64 {
        let (left, right) = order.split_at(self.reference);
        let sum = |rows: &[usize], columns: &[usize]| -> f64 {
            rows.iter().map(|&i| columns.iter().map(|&j| self.kernel[(i, j)]).sum::<f64>()).sum()
        };
        let (m, n) = (left.len() as f64, right.len() as f64);
        sum(left, left) / (m * (m - 1.0)) - sum(left, right) / (m * n)
    }

    /// The statistic if the first places of `order` were the reference.
    fn mmd2(&self, order: &[usize]) -> f64 {
        let (left, right) = order.split_at(self.reference);
        let mean = |rows: &[usize], columns: &[usize], pairs: usize| {
            let sum: f64 = rows.iter().map(|&i| columns.iter().map(|&j| self.kernel[(i, j)]).sum::<f64>()).sum();
            sum / pairs as f64
        };
        let (m, n) = (left.len(), right.len());
        mean(left, left, m * (m - 1)) + mean(right, right, n * (n - 1)) - 2.0 * mean(left, right, m * n)
    }
}

/// Unbiased squared maximum mean discrepancy between two samples of rankings.
pub fn mmd2_unbiased<T: Copy + Eq + Ord + Hash>(x: &[&Ranking<T>], y: &[&Ranking<T>], p: Persistence) -> Result<f64> {
    KernelStratum::new(x, y, p)?.mmd2_unbiased()
}

/// Tests whether, query by query, both windows draw their rankings from one distribution.
///
/// The statistic is the sum of the unbiased MMD^2 over the queries. Window labels are permuted inside each query only,
/// so a change of query mix cannot look like a change of retrieval. Assumes that repeats of a query are exchangeable
/// (retries of one operation are not: leave them out).
pub fn mmd_permutation_test(strata: &[KernelStratum], permutations: u32, seed: u64) -> Result<PermutationTest> {
    require_count("queries", strata.len(), 1)?;
    let distances: Vec<f64> = strata.iter().map(KernelStratum::mmd2_unbiased).collect::<Result<_>>()?;
    permute_labels(strata, distances.into_iter().sum(), KernelStratum::mmd2, permutations, seed)
}

/// Tests whether, query by query, the current window's rankings are farther from the reference's than those are from each
/// other.
///
/// The statistic is the sum over the queries of `mean k(a,a') - mean k(a,b)`: the half of the MMD^2 that compares with the
/// reference alone. A change that reached a share `s` of the current window moves it by `s`, and the whole MMD^2 by `s^2`,
/// because that one takes the current window's own spread for noise; so this is the test for partial rollouts and
/// flapping replicas, and it needs only one ranking of the current window. Window labels are permuted as above, under the
/// same assumption; one-sided.
pub fn excess_permutation_test(strata: &[KernelStratum], permutations: u32, seed: u64) -> Result<PermutationTest> {
    require_count("queries", strata.len(), 1)?;
    let observed = strata.iter().map(|stratum| stratum.excess(&stratum.natural_order())).sum();
    permute_labels(strata, observed, KernelStratum::excess, permutations, seed)
}

fn permute_labels(
    strata: &[KernelStratum],
    observed: f64,
    statistic: fn(&KernelStratum, &[usize]) -> f64,
    permutations: u32,
    seed: u64,
) -> Result<PermutationTest> {
    let mut orders: Vec<Vec<usize>> = strata.iter().map(KernelStratum::natural_order).collect();
    permutation_test(observed, permutations, seed, |rng| {
        strata
            .iter()
            .zip(&mut orders)
            .map(|(stratum, order)| {
                shuffle_front(order, stratum.reference, rng);
                statistic(stratum, order)
            })
            .sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn check(reference: &[&[u32]], current: &[&[u32]], p_value: std::ops::RangeInclusive<f64>) {
        let rankings =
            |lists: &[&[u32]]| -> Vec<_> { lists.iter().map(|list| Ranking::new(list.to_vec()).unwrap()).collect() };
        let (reference, current) = (rankings(reference), rankings(current));
        let stratum = KernelStratum::new(
            &reference.iter().collect::<Vec<_>>(),
            &current.iter().collect::<Vec<_>>(),
            Persistence::default(),
        )
        .unwrap();
        let test = mmd_permutation_test(&vec![stratum; 12], 499, 7).unwrap();
        assert!(p_value.contains(&test.p_value), "{test:?}");
    }

    #[test]
    fn queries_that_moved_away_from_their_own_repeats_are_found() {
        check(&[&[1, 2, 3], &[1, 2, 3], &[1, 3, 2]], &[&[4, 2, 3], &[4, 3, 2], &[4, 2, 3]], 0.002..=0.002);
    }

    #[test]
    fn identical_repeats_give_no_evidence_at_all() {
        check(&[&[1, 2], &[1, 2]], &[&[1, 2], &[1, 2]], 1.0..=1.0);
    }

    #[test]
    fn empty_answers_are_told_from_full_ones() {
        check(&[&[1, 2], &[1, 2]], &[&[], &[]], 0.002..=0.01);
    }

    /// A third of the current answers come from another system: the distance to the reference rises by a third of what it
    /// would, the whole statistic by a ninth, less the spread that the mixture brings.
    #[test]
    fn a_change_of_a_part_of_the_answers_is_found_by_the_excess_alone() {
        let ranking = |items: &[u32]| Ranking::new(items.to_vec()).unwrap();
        let stratum = |current: [&[u32]; 3]| {
            let reference = [ranking(&[1, 2, 3]), ranking(&[1, 2, 3]), ranking(&[1, 2, 4])];
            let current = current.map(ranking);

            KernelStratum::new(
                &reference.iter().collect::<Vec<_>>(),
                &current.iter().collect::<Vec<_>>(),
                Persistence::default(),
            )
            .unwrap()
        };
        let strata: Vec<KernelStratum> = (0..24)
            .map(|i| {
                if i % 2 == 0 {
                    stratum([&[1, 2, 3], &[7, 8, 9], &[1, 2, 4]])
                } else {
                    stratum([&[1, 2, 3], &[1, 2, 4], &[1, 2, 3]])
                }
            })
            .collect();
        let excess = excess_permutation_test(&strata, 1_999, 3).unwrap();
        let whole = mmd_permutation_test(&strata, 1_999, 3).unwrap();
        assert!(excess.p_value < 0.01 && whole.p_value > 0.2, "{excess:?} {whole:?}");
    }

    /// By hand: similarities 1 within the reference and 0 to the current window, so 1 - 0 over each of three queries.
    #[test]
    fn the_excess_of_answers_with_nothing_in_common_is_one_per_query() {
        let (same, other) = (Ranking::new(vec![1_u32, 2]).unwrap(), Ranking::new(vec![3_u32, 4]).unwrap());
        let stratum = KernelStratum::new(&[&same, &same], &[&other], Persistence::default()).unwrap();
        let test = excess_permutation_test(&[stratum.clone(), stratum.clone(), stratum], 99, 1).unwrap();
        assert!((test.statistic - 3.0).abs() < 1e-12, "{test:?}");
    }

    #[test]
    fn a_query_asked_once_is_refused() {
        let ranking = Ranking::new(vec![1_u32]).unwrap();
        assert_eq!(
            mmd2_unbiased(&[&ranking], &[&ranking, &ranking], Persistence::default()),
            Err(Error::TooFew { what: "reference rankings", have: 1, need: 2 })
        );
    }
}
