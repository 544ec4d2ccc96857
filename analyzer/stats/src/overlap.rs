//! Set overlap of two rankings at a cut-off.
//!
//! ```text
//! jaccard@k = |a_k & b_k| / |a_k | b_k|          overlap@k = |a_k & b_k| / min(k, max(|a|, |b|))
//! ```
//!
//! `a_k` is the first `k` items as returned. Unit: none. Bounds: [0, 1]; two empty sets agree (1). Symmetric. Blind to
//! order, and therefore to ties, except that a cut-off inside a tie group cuts where the retriever cut; use
//! [`crate::rbo()`] where that matters. Cannot fail.
//!
//! Source: Jaccard 1901; overlap@k as in Webber, Moffat & Zobel 2010, section 2.

use std::hash::Hash;

use crate::ranking::Ranking;

/// Jaccard similarity of everything returned.
pub fn jaccard<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>) -> f64 {
    jaccard_at(a, b, a.len().max(b.len()))
}

/// Jaccard similarity of the first `k` items.
pub fn jaccard_at<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>, k: usize) -> f64 {
    let common = common_at(a, b, k);
    let union = a.len().min(k) + b.len().min(k) - common;
    if union == 0 { 1.0 } else { common as f64 / union as f64 }
}

/// Share of the first `k` places that both rankings fill with the same items.
///
/// Rankings shorter than `k` are measured against the longer one, so that a pair which returned all there is can agree.
pub fn overlap_at<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>, k: usize) -> f64 {
    let places = k.min(a.len().max(b.len()));
    if places == 0 { 1.0 } else { common_at(a, b, k) as f64 / places as f64 }
}

fn common_at<T: Copy + Eq + Ord + Hash>(a: &Ranking<T>, b: &Ranking<T>, k: usize) -> usize {
    let mut common = 0;
    a.for_each_common(b, |i, j| common += usize::from(i < k && j < k));
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &[u32], b: &[u32], k: usize, jaccard: f64, overlap: f64) {
        let (a, b) = (Ranking::new(a.to_vec()).unwrap(), Ranking::new(b.to_vec()).unwrap());
        assert!((jaccard_at(&a, &b, k) - jaccard).abs() < 1e-15);
        assert!((overlap_at(&a, &b, k) - overlap).abs() < 1e-15);
    }

    #[test]
    fn only_the_first_k_items_count() {
        check(&[1, 2, 3, 4], &[2, 1, 5, 3], 2, 1.0, 1.0);
        check(&[1, 2, 3, 4], &[2, 1, 5, 3], 3, 0.5, 2.0 / 3.0);
    }

    #[test]
    fn rankings_shorter_than_k_are_measured_against_the_longer_one() {
        check(&[1, 2], &[2, 1], 10, 1.0, 1.0);
        check(&[1], &[1, 2], 10, 0.5, 0.5);
    }

    #[test]
    fn nothing_agrees_with_nothing() {
        check(&[], &[], 5, 1.0, 1.0);
        check(&[1], &[], 5, 0.0, 0.0);
    }
}
