//! Does a label split what it stands on? Whether things that share a label are more alike than things that do not.
//!
//! ```text
//! split(s) = mean of sim(i,j) over pairs of one label - mean over pairs of two labels        in a stratum s
//! split    = mean over the strata that hold pairs of both kinds
//! p_value  = (1 + #{split of permuted labels >= split}) / (1 + B)        labels are permuted inside of each stratum
//! ```
//!
//! Two samples that differ in mean alone give a positive split, and so do labels that stand for different distributions of
//! any kind that the similarity sees: it is the between-group part of an analysis of similarities (ANOSIM; Clarke 1993,
//! Australian Journal of Ecology 18), taken of the similarities themselves and within strata.
//!
//! Unit: that of the similarity. Bounds: those of a difference of two similarities; the p-value in (0, 1]. Assumes that
//! members of a stratum are exchangeable if the label means nothing. Errors: `TooFew` (no stratum that holds both kinds of
//! pairs, no permutation), `LengthMismatch` (a matrix that is not square in its labels).

use crate::Result;
use crate::permutation::{PermutationTest, permutation_test, shuffle_front};
use crate::sample::{require_count, require_same_length};
use ndarray::Array2;

/// The members of one stratum: how alike they are, and the label of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// Symmetric; its diagonal is not looked at.
    pub similarity: Array2<f64>,
    /// One for each row.
    pub labels: Vec<u32>,
}

impl Labelled {
    /// From the similarities row by row; one that is missing is 0.
    pub fn new(labels: Vec<u32>, similarity: &[f64]) -> Self {
        let n = labels.len();
        let at = |(i, j): (usize, usize)| similarity.get(i * n + j).copied().unwrap_or(0.0);
        Self { similarity: Array2::from_shape_fn((n, n), at), labels }
    }

    /// The difference of the two means; `None` without pairs of both kinds.
    fn split(&self, labels: &[u32]) -> Option<f64> {
        let (mut same, mut other) = ((0.0, 0.0), (0.0, 0.0));
        for i in 0..labels.len() {
            for j in 0..i {
                let of = if labels[i] == labels[j] { &mut same } else { &mut other };
                of.0 += self.similarity[(i, j)];
                of.1 += 1.0;
            }
        }
        (same.1 > 0.0 && other.1 > 0.0).then(|| same.0 / same.1 - other.0 / other.1)
    }
}

/// Tests whether labels split the strata; the statistic is the mean split.
pub fn label_split_test(strata: &[Labelled], permutations: u32, seed: u64) -> Result<PermutationTest> {
    for stratum in strata {
        require_same_length(("labels", stratum.labels.len()), ("similarities", stratum.similarity.nrows()))?;
        require_same_length(("labels", stratum.labels.len()), ("similarities", stratum.similarity.ncols()))?;
    }
    let informative: Vec<(&Labelled, f64)> =
        strata.iter().filter_map(|stratum| Some((stratum, stratum.split(&stratum.labels)?))).collect();
    require_count("strata with pairs of both kinds", informative.len(), 1)?;
    let count = informative.len() as f64;
    let statistic = informative.iter().map(|(_, split)| split).sum::<f64>() / count;
    let mut labels: Vec<Vec<u32>> = informative.iter().map(|(stratum, _)| stratum.labels.clone()).collect();
    permutation_test(statistic, permutations, seed, |rng| {
        let mut sum = 0.0;
        for ((stratum, _), labels) in informative.iter().zip(&mut labels) {
            let all = labels.len();
            shuffle_front(labels, all, rng);
            sum += stratum.split(labels).unwrap_or(0.0);
        }
        sum / count
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members of one group are alike by `same`, all others by `other`.
    fn stratum(groups: &[u32], labels: &[u32], same: f64, other: f64) -> Labelled {
        let n = groups.len();
        let similarity = Array2::from_shape_fn((n, n), |(i, j)| if groups[i] == groups[j] { same } else { other });
        Labelled { similarity, labels: labels.to_vec() }
    }

    fn check(strata: &[Labelled], statistic: f64, significant: bool) {
        let test = label_split_test(strata, 999, 7).unwrap();
        assert!((test.statistic - statistic).abs() < 1e-12, "{test:?}");
        assert_eq!(test.p_value < 0.01, significant, "{test:?}");
        assert_eq!(test, label_split_test(strata, 999, 7).unwrap());
    }

    #[test]
    fn labels_that_are_the_groups_split_them() {
        check(&vec![stratum(&[0, 0, 1, 1], &[5, 5, 8, 8], 1.0, 0.4); 10], 0.6, true);
    }

    #[test]
    fn labels_that_cross_the_groups_do_not() {
        check(&vec![stratum(&[0, 0, 1, 1], &[5, 8, 5, 8], 1.0, 0.4); 10], 0.4 - (1.0 + 1.0 + 0.4 + 0.4) / 4.0, false);
    }

    #[test]
    fn where_all_are_alike_nothing_splits() {
        check(&vec![stratum(&[0; 4], &[5, 5, 8, 8], 1.0, 1.0); 10], 0.0, false);
    }

    #[test]
    fn without_pairs_of_both_kinds_there_is_nothing_to_test() {
        assert!(label_split_test(&[stratum(&[0, 1], &[1, 2], 1.0, 0.0)], 99, 1).is_err());
        assert!(label_split_test(&[stratum(&[0, 1], &[1, 1], 1.0, 0.0)], 99, 1).is_err());
    }
}
