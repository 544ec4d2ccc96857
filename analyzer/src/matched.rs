//! Queries that both windows asked, and how far their answers are apart.

use rayon::prelude::*;
use tidemark_stats::{KernelStratum, Persistence, jaccard, kendall_top_k, rbo, truncated_distance};

use crate::answer::Answer;
use crate::error::Error;
use crate::observe::{Observations, Observed, QuerySample};
use crate::vocabulary::Vocabulary;

/// A query that both windows asked.
#[derive(Debug, Clone, Copy)]
pub struct MatchedQuery<'a> {
    /// Its number.
    pub fingerprint: u32,
    /// What it was answered in the reference.
    pub reference: &'a QuerySample,
    /// What it was answered in the current window.
    pub current: &'a QuerySample,
}

/// The different answers of one matched query in both windows, and how many operations got each.
#[derive(Debug)]
pub struct Answers {
    /// In the reference.
    pub reference: Vec<(Answer, f64)>,
    /// In the current window.
    pub current: Vec<(Answer, f64)>,
}

impl MatchedQuery<'_> {
    /// Its answers.
    pub fn answers(&self, vocabulary: &Vocabulary) -> Result<Answers, Error> {
        Ok(Answers { reference: self.reference.answers(vocabulary)?, current: self.current.answers(vocabulary)? })
    }

    /// Its answers in one part of the traffic, if both windows asked it there.
    pub(crate) fn answers_in(
        &self,
        vocabulary: &Vocabulary,
        part: impl Fn(&Observed) -> bool,
    ) -> Result<Option<Answers>, Error> {
        let reference = self.reference.answers_in(vocabulary, &part)?;
        let current = self.current.answers_in(vocabulary, &part)?;
        Ok((!reference.is_empty() && !current.is_empty()).then_some(Answers { reference, current }))
    }
}

/// How far one query's answers are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueryChange {
    /// Mean distance between an answer of the reference and one of the current window.
    pub distance: f64,
    /// Mean distance between two answers of the reference, if it holds two operations.
    pub within_reference: Option<f64>,
    /// Mean distance between two answers of the current window, if it holds two operations.
    pub within_current: Option<f64>,
    /// Mean extrapolated rank-biased overlap.
    pub rbo: f64,
    /// Mean Jaccard similarity.
    pub jaccard: f64,
    /// Mean normalised Kendall distance with penalty 1/2, as a similarity: 1 minus the distance.
    pub kendall: f64,
}

/// The queries that both windows asked, ordered by their fingerprints so that every sum has one order.
pub fn matched<'a>(
    reference: &'a Observations,
    current: &'a Observations,
    vocabulary: &Vocabulary,
) -> Vec<MatchedQuery<'a>> {
    let both = reference.queries.iter().filter_map(|(fingerprint, reference)| {
        let current = current.queries.get(fingerprint)?;
        Some(MatchedQuery { fingerprint: *fingerprint, reference, current })
    });
    let mut both: Vec<_> = both.collect();
    both.sort_by_key(|query| vocabulary.fingerprints.text(query.fingerprint));
    both
}

/// The mean of a function over all pairs of answers of two windows.
pub(crate) fn mean_between(
    reference: &[(Answer, f64)],
    current: &[(Answer, f64)],
    mut of: impl FnMut(&Answer, &Answer) -> f64,
) -> f64 {
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (a, times_a) in reference {
        for (b, times_b) in current {
            sum += times_a * times_b * of(a, b);
            pairs += times_a * times_b;
        }
    }
    if pairs > 0.0 { sum / pairs } else { 0.0 }
}

/// The mean of a function over all ordered pairs of two operations of one window; `None` if it holds fewer than two.
/// `of` must be 0 for two equal answers.
pub(crate) fn mean_within(answers: &[(Answer, f64)], mut of: impl FnMut(&Answer, &Answer) -> f64) -> Option<f64> {
    let total: f64 = answers.iter().map(|(_, times)| times).sum();
    if total < 2.0 {
        return None;
    }
    let mut sum = 0.0;
    for (i, (a, times_a)) in answers.iter().enumerate() {
        for (j, (b, times_b)) in answers.iter().enumerate() {
            if i != j {
                sum += times_a * times_b * of(a, b);
            }
        }
    }
    Some(sum / (total * (total - 1.0)))
}

/// Measures every matched query.
///
/// The distance is RBO truncated at the depth of the longer list and normalised, not the extrapolated RBO that the
/// report gives beside it: extrapolation takes a list that was cut short for the beginning of the same longer list, so a
/// context of four documents in place of ten would count as unchanged. The truncated distance sees it, it is the one
/// whose account adds up exactly (see `causes`), and it is the one behind the kernel of the two-sample test.
pub fn measure(
    queries: &[MatchedQuery<'_>],
    vocabulary: &Vocabulary,
    p: Persistence,
) -> Result<Vec<QueryChange>, Error> {
    queries.par_iter().map(|query| measure_one(&query.answers(vocabulary)?, p)).collect()
}

/// How much farther the current answers of a query are from the reference's than those are from each other; `floor` stands
/// in where the reference holds a single one.
pub(crate) fn excess(answers: &Answers, floor: f64, p: Persistence) -> f64 {
    let distance = |a: &Answer, b: &Answer| truncated_distance(&a.ranking, &b.ranking, p);
    mean_between(&answers.reference, &answers.current, distance)
        - mean_within(&answers.reference, distance).unwrap_or(floor)
}

fn measure_one(answers: &Answers, p: Persistence) -> Result<QueryChange, Error> {
    let Answers { reference: a, current: b } = answers;
    let distance = |a: &Answer, b: &Answer| truncated_distance(&a.ranking, &b.ranking, p);
    let mut failed = None;
    let kendall = mean_between(a, b, |a, b| match kendall_top_k(&a.ranking, &b.ranking, 0.5) {
        Ok(kendall) => 1.0 - kendall.normalised,
        Err(error) => {
            failed = Some(error);
            0.0
        }
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    Ok(QueryChange {
        distance: mean_between(a, b, distance),
        within_reference: mean_within(a, distance),
        within_current: mean_within(b, distance),
        rbo: mean_between(a, b, |a, b| rbo(&a.ranking, &b.ranking, p)),
        jaccard: mean_between(a, b, |a, b| jaccard(&a.ranking, &b.ranking)),
        kendall,
    })
}

/// The mean noise floor of a window: how far two answers to one query are apart inside it, over the queries that were
/// asked by two operations. `None` if no query was.
pub fn noise_floor(window: &Observations, vocabulary: &Vocabulary, p: Persistence) -> Result<Option<f64>, Error> {
    let floors: Vec<Option<f64>> = window
        .queries
        .par_iter()
        .map(|(_, query)| {
            Ok(mean_within(&query.answers(vocabulary)?, |a, b| truncated_distance(&a.ranking, &b.ranking, p)))
        })
        .collect::<Result<_, Error>>()?;
    let mut floors: Vec<f64> = floors.into_iter().flatten().collect();
    // Neither the order of a hash table nor that of the rows, by which queries are numbered, may reach a sum of
    // floating-point numbers; the order of the values themselves is the same each time.
    floors.sort_by(f64::total_cmp);
    let count = floors.len();
    Ok((count > 0).then(|| floors.iter().sum::<f64>() / count as f64))
}

/// The queries that the reference repeats, for the permutation test; at most `limit`, evenly spread.
pub fn kernel_strata(
    queries: &[MatchedQuery<'_>],
    vocabulary: &Vocabulary,
    p: Persistence,
    limit: usize,
) -> Result<Vec<KernelStratum>, Error> {
    let repeated: Vec<_> =
        queries.iter().filter(|query| query.reference.sample.len() > 1 && !query.current.sample.is_empty()).collect();
    let step = repeated.len().div_ceil(limit.max(1)).max(1);
    let chosen: Vec<_> = repeated.into_iter().step_by(step).collect();
    chosen.par_iter().map(|query| stratum(query, vocabulary, p)).collect()
}

fn stratum(query: &MatchedQuery<'_>, vocabulary: &Vocabulary, p: Persistence) -> Result<KernelStratum, Error> {
    let answers = query.answers(vocabulary)?;
    // Each operation counts, those with equal answers too.
    let rankings = |answers: &[(Answer, f64)]| -> Vec<_> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let times = |count: f64| count as usize;
        answers.iter().flat_map(|(answer, count)| std::iter::repeat_n(answer.ranking.clone(), times(*count))).collect()
    };
    let (a, b) = (rankings(&answers.reference), rankings(&answers.current));
    Ok(KernelStratum::new(&a.iter().collect::<Vec<_>>(), &b.iter().collect::<Vec<_>>(), p)?)
}
