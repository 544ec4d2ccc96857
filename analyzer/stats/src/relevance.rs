//! Quality of a ranking against relevance labels: nDCG@k, recall@k, reciprocal rank; and the paired test of two
//! windows.
//!
//! ```text
//! nDCG@k = DCG@k of the ranking / DCG@k of the best ranking,   DCG@k = sum_{r=1..k} gain_r / log2(r + 1)
//! recall@k = relevant among the first k / relevant at all,     RR = 1 / rank of the first relevant, 0 if there is none
//! ```
//!
//! The gain of a document is its label as given (linear; pass `2^label - 1` for the exponential form). MRR is the mean
//! of RR over queries. A query without any relevant document has no quality: it is refused, not scored 0. Unit: none.
//! Bounds: [0, 1]. Ties are not looked at: the order served is the order judged. Errors: `Empty`, `NonFinite`,
//! `OutOfRange` (negative gain, k = 0, more relevant retrieved than exist), `Degenerate` (nothing relevant),
//! `LengthMismatch`, `TooFew` (permutations). Source: Järvelin & Kekäläinen 2002 (TOIS 20); Smucker, Allan & Carterette
//! 2007 (CIKM).

use rand::Rng;

use crate::permutation::{PermutationTest, permutation_test};
use crate::sample::{require_count, require_finite, require_same_length, sorted, total_mass};
use crate::{Error, Result};

/// nDCG of the first `k`.
///
/// `gains`: of the retrieved documents, best first (unlabelled: 0), possibly none. `judged`: of every labelled document
/// of the query, in any order.
pub fn ndcg_at(gains: &[f64], judged: &[f64], k: usize) -> Result<f64> {
    require_count("k", k, 1)?;
    total_mass("judged gains", judged)?;
    if !gains.is_empty() {
        require_finite("gains", gains)?;
    }
    if let Some(&value) = gains.iter().find(|&&gain| gain < 0.0) {
        return Err(Error::OutOfRange { what: "gains", value, range: "[0, inf)" });
    }
    let mut ideal = sorted("judged gains", judged)?;
    ideal.reverse();
    Ok((discounted(gains, k) / discounted(&ideal, k)).min(1.0))
}

fn discounted(gains: &[f64], k: usize) -> f64 {
    gains.iter().take(k).enumerate().map(|(place, gain)| gain / ((place + 2) as f64).log2()).sum()
}

/// Share of the query's relevant documents that are among the first `k`.
///
/// `relevant`: whether each retrieved document is, best first. `total`: how many relevant documents the query has.
pub fn recall_at(relevant: &[bool], total: usize, k: usize) -> Result<f64> {
    require_count("k", k, 1)?;
    if total == 0 {
        return Err(Error::Degenerate { what: "the relevance of the documents" });
    }
    let all = relevant.iter().filter(|&&relevant| relevant).count();
    if all > total {
        return Err(Error::OutOfRange { what: "relevant retrieved", value: all as f64, range: "[0, total]" });
    }
    let found = relevant.iter().take(k).filter(|&&relevant| relevant).count();
    Ok(found as f64 / total as f64)
}

/// 1 / rank of the first relevant document, 0 if none was retrieved.
pub fn reciprocal_rank(relevant: &[bool]) -> f64 {
    relevant.iter().position(|&relevant| relevant).map_or(0.0, |place| 1.0 / (place + 1) as f64)
}

/// Paired randomisation test of a mean difference, two-sided; the statistic is the mean of `current - reference`.
///
/// One value per query in both windows, in the same order. Under the null hypothesis either window could have given
/// either value, so the sign of each difference is a coin toss. Assumes independent queries.
pub fn paired_randomisation_test(
    reference: &[f64],
    current: &[f64],
    permutations: u32,
    seed: u64,
) -> Result<PermutationTest> {
    require_same_length(("reference", reference.len()), ("current", current.len()))?;
    require_finite("reference", reference)?;
    require_finite("current", current)?;
    let differences: Vec<f64> = reference.iter().zip(current).map(|(before, after)| after - before).collect();
    let n = differences.len() as f64;
    let statistic = differences.iter().sum::<f64>() / n;
    let test = permutation_test(statistic.abs(), permutations, seed, |rng| {
        let mut sum = 0.0;
        // 64 tosses per word.
        for chunk in differences.chunks(64) {
            let mut tosses = rng.next_u64();
            for difference in chunk {
                sum += if tosses & 1 == 1 { *difference } else { -difference };
                tosses >>= 1;
            }
        }
        (sum / n).abs()
    })?;
    Ok(PermutationTest { statistic, ..test })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(gains: &[f64], judged: &[f64], k: usize, expected: f64) {
        assert!((ndcg_at(gains, judged, k).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn the_best_ranking_has_all_the_gain_and_an_empty_one_none() {
        check(&[3.0, 2.0, 1.0], &[1.0, 2.0, 3.0], 3, 1.0);
        check(&[], &[1.0, 2.0, 3.0], 3, 0.0);
    }

    #[test]
    fn gain_is_discounted_by_the_logarithm_of_the_rank() {
        check(&[0.0, 1.0], &[1.0], 2, 1.0 / 3.0_f64.log2());
        check(&[0.0, 1.0], &[1.0], 1, 0.0);
    }

    #[test]
    fn recall_counts_what_was_missed() {
        assert_eq!(recall_at(&[true, false, true], 4, 2), Ok(0.25));
        assert!(matches!(recall_at(&[true], 0, 1), Err(Error::Degenerate { .. })));
    }

    #[test]
    fn the_reciprocal_rank_is_that_of_the_first_relevant_document() {
        assert!((reciprocal_rank(&[false, true, true]) - 0.5).abs() < 1e-15);
        assert!(reciprocal_rank(&[false]).abs() < 1e-15);
    }

    #[test]
    fn a_loss_in_every_query_is_found_and_no_difference_is_not() {
        let reference: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let current: Vec<f64> = reference.iter().map(|value| value - 0.1).collect();
        let loss = paired_randomisation_test(&reference, &current, 999, 4).unwrap();
        assert!((loss.statistic + 0.1).abs() < 1e-12 && (loss.p_value - 0.001).abs() < 1e-12, "{loss:?}");
        let nothing = paired_randomisation_test(&reference, &reference, 999, 4).unwrap();
        assert!((nothing.p_value - 1.0).abs() < 1e-12);
    }
}
