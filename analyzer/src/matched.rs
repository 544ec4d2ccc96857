//! How far the answers to one unit are apart: between the windows, and inside each.

use rayon::prelude::*;
use tidemark_stats::{KernelStratum, Persistence, jaccard, kendall_top_k};

use crate::answer::{Answer, aligned, distance, overlap};
use crate::error::Error;
use crate::neighbours::Neighbours;
use crate::observe::{Observed, distinct};
use crate::units::MatchedUnit;
use crate::vocabulary::Vocabulary;

/// The different answers of one matched unit in both windows, and how many operations got each.
#[derive(Debug)]
pub(crate) struct Answers {
    /// In the reference.
    pub reference: Vec<(Answer, f64)>,
    /// In the current window.
    pub current: Vec<(Answer, f64)>,
}

impl MatchedUnit<'_> {
    /// Its answers.
    pub(crate) fn answers(&self, vocabulary: &Vocabulary) -> Result<Answers, Error> {
        let of = |sample: &[&Observed]| distinct(sample.iter().copied(), vocabulary);
        Ok(Answers { reference: of(&self.reference)?, current: of(&self.current)? })
    }

    /// Its answers in one part of the traffic, if both windows asked it there.
    pub(crate) fn answers_in(
        &self,
        vocabulary: &Vocabulary,
        part: impl Fn(&Observed) -> bool,
    ) -> Result<Option<Answers>, Error> {
        let of = |sample: &[&Observed]| distinct(sample.iter().copied().filter(|o| part(o)), vocabulary);
        let (reference, current) = (of(&self.reference)?, of(&self.current)?);
        Ok((!reference.is_empty() && !current.is_empty()).then_some(Answers { reference, current }))
    }
}

/// How far one unit's answers are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct UnitChange {
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

/// Measures units.
///
/// The distance is RBO truncated at the depth of the longer list and normalised, not the extrapolated RBO that the
/// report gives beside it: extrapolation takes a list that was cut short for the beginning of the same longer list, so a
/// context of four documents in place of ten would count as unchanged. The truncated distance sees it, it is the one
/// whose account adds up exactly (see `causes`), and it is the one behind the kernel of the two-sample test.
///
/// Where a unit is made of neighbouring questions, its floor is that of [`Neighbours::floor`].
pub(crate) fn measure(
    units: &[MatchedUnit<'_>],
    neighbours: Option<&Neighbours>,
    vocabulary: &Vocabulary,
    p: Persistence,
) -> Result<Vec<UnitChange>, Error> {
    let measure = |unit: &MatchedUnit<'_>| {
        let change = measure_one(&unit.answers(vocabulary)?, p)?;
        let own = change.within_reference;
        let within_reference = neighbours.map_or(own, |neighbours| neighbours.floor(unit, own));
        Ok(UnitChange { within_reference, ..change })
    };
    units.par_iter().map(measure).collect()
}

fn measure_one(answers: &Answers, p: Persistence) -> Result<UnitChange, Error> {
    let Answers { reference: a, current: b } = answers;
    let (mut rbos, mut jaccards, mut kendalls, mut pairs) = (0.0, 0.0, 0.0, 0.0);
    let mut failed = None;
    let between = mean_between(a, b, |a, b| distance(a, b, p));
    for (a, times_a) in a {
        for (b, times_b) in b {
            let times = times_a * times_b;
            rbos += times * overlap(a, b, p);
            let (a, b) = aligned(a, b);
            pairs += times;
            jaccards += times * jaccard(&a.ranking, &b.ranking);
            match kendall_top_k(&a.ranking, &b.ranking, 0.5) {
                Ok(kendall) => kendalls += times * (1.0 - kendall.normalised),
                Err(error) => failed = Some(error),
            }
        }
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    Ok(UnitChange {
        distance: between,
        within_reference: mean_within(a, |a, b| distance(a, b, p)),
        within_current: mean_within(b, |a, b| distance(a, b, p)),
        rbo: rbos / pairs,
        jaccard: jaccards / pairs,
        kendall: kendalls / pairs,
    })
}

/// The units that the reference repeats, for the permutation test; at most `limit`, evenly spread.
pub(crate) fn kernel_strata(
    units: &[&MatchedUnit<'_>],
    neighbours: Option<&Neighbours>,
    (vocabulary, p): (&Vocabulary, Persistence),
    limit: usize,
) -> Result<Vec<KernelStratum>, Error> {
    let repeated: Vec<_> = units.iter().filter(|unit| unit.reference.len() > 1).collect();
    let step = repeated.len().div_ceil(limit.max(1)).max(1);
    let chosen: Vec<_> = repeated.into_iter().step_by(step).collect();
    let stratum = |unit: &&&MatchedUnit<'_>| match neighbours {
        Some(neighbours) => stratum_of_neighbours(unit, neighbours, vocabulary, p),
        None => stratum(unit, vocabulary, p),
    };
    chosen.par_iter().map(stratum).collect()
}

fn stratum(unit: &MatchedUnit<'_>, vocabulary: &Vocabulary, p: Persistence) -> Result<KernelStratum, Error> {
    let answers = unit.answers(vocabulary)?;
    // Each operation counts, those with equal answers too.
    let operations = |answers: &[(Answer, f64)]| -> Vec<usize> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let times = |count: f64| count as usize;
        answers.iter().enumerate().flat_map(|(i, (_, count))| std::iter::repeat_n(i, times(*count))).collect()
    };
    let different: Vec<&Answer> = answers.reference.iter().chain(&answers.current).map(|(answer, _)| answer).collect();
    let similarity: Vec<Vec<f64>> = different
        .iter()
        .enumerate()
        .map(|(i, a)| different.iter().take(i).map(|b| 1.0 - distance(a, b, p)).collect())
        .collect();
    let (reference, current) = (operations(&answers.reference), operations(&answers.current));
    let of: Vec<usize> = reference.iter().copied().chain(current.iter().map(|i| i + answers.reference.len())).collect();
    let alike = |i: usize, j: usize| {
        let (a, b) = (of.get(i).copied().unwrap_or(0), of.get(j).copied().unwrap_or(0));
        if a == b { 1.0 } else { similarity.get(a.max(b)).and_then(|row| row.get(a.min(b))).copied().unwrap_or(0.0) }
    };
    Ok(KernelStratum::of(reference.len(), current.len(), alike)?)
}

/// The same of neighbouring questions. What their answers are apart because they are different questions is taken out, so that
/// it is of no matter which window asked which.
fn stratum_of_neighbours(
    unit: &MatchedUnit<'_>,
    neighbours: &Neighbours,
    vocabulary: &Vocabulary,
    p: Persistence,
) -> Result<KernelStratum, Error> {
    let answer = |observed: &&Observed| Answer::of(&observed.places, observed.context, vocabulary);
    let operations: Vec<&Observed> = unit.reference.iter().chain(&unit.current).copied().collect();
    let answers: Vec<Answer> = operations.iter().map(answer).collect::<Result<_, Error>>()?;
    let both = operations.into_iter().zip(answers).collect::<Vec<_>>();
    let alike = |i: usize, j: usize| match (both.get(i), both.get(j)) {
        (Some((one, answer)), Some((other, theirs))) => {
            1.0 - distance(answer, theirs, p) + neighbours.expected(one, other)
        }
        _ => 1.0,
    };
    Ok(KernelStratum::of(unit.reference.len(), unit.current.len(), alike)?)
}
