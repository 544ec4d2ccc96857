//! Scores of documents that did not change, for queries that did not change.

use tidemark_schema::ScoreKind;
use tidemark_stats::{Resampling, affine_fit, bootstrap_mean, hodges_lehmann_pseudo_median, kendall_tau_b};

use crate::compare::Options;
use crate::error::Error;
use crate::matched::{MatchedQuery, mean_between, mean_within};
use crate::observe::{Answer, Vocabulary};
use crate::report::{Judgement, ScoreReport};

/// What a change of scores looks like, learnt from all matched queries, so that a single pair of answers can be judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rescoring {
    /// Two scores of one document that differ by no more are the same score.
    pub tolerance: f64,
    /// Whether any unchanged document that both windows returned has another score.
    pub seen: bool,
    /// How well the order of common unchanged documents was kept where scores changed: concordant minus discordant
    /// pairs, over both; 1 if nothing was rescored.
    pub order_agreement: f64,
}

impl Rescoring {
    /// Whether the scores changed as one scale does, keeping the order.
    pub fn is_rescaling(&self) -> bool {
        self.order_agreement > ORDER_KEPT
    }
}

/// A rescaling keeps the order of all pairs but those that rounding makes equal.
const ORDER_KEPT: f64 = 0.98;
/// Scores are written with six digits or as 32-bit floats; below this part of a score a difference is representation.
pub(crate) const REPRESENTATION: f64 = 2e-6;
/// Differences of scores inside the reference: above all but this share of them a difference is no repeat's noise.
const NOISE_QUANTILE: f64 = 0.99;

/// The scores of the documents that both answers hold with the same content: the position in each, and both scores.
pub(crate) fn common_scores<'a>(
    vocabulary: &'a Vocabulary,
    a: &'a Answer,
    b: &'a Answer,
) -> impl Iterator<Item = (usize, usize, f64, f64)> + 'a {
    let kind = |answer: &Answer| vocabulary.context_of(answer.context).score_kind;
    let comparable = kind(a) == kind(b);
    a.ranking.items().iter().enumerate().filter(move |_| comparable).filter_map(move |(i, document)| {
        let j = b.ranking.items().iter().position(|other| other == document)?;
        let content =
            |answer: &Answer, at: usize| answer.states.get(at).and_then(|state| vocabulary.state_of(*state).content);
        let unchanged = match (content(a, i), content(b, j)) {
            (Some(before), Some(after)) => before == after,
            _ => true,
        };
        let (before, after) = (a.scores.get(i).copied().flatten()?, b.scores.get(j).copied().flatten()?);
        unchanged.then_some((i, j, before, after))
    })
}

/// Learns from all matched queries what a change of scores looks like.
pub fn rescoring(queries: &[MatchedQuery<'_>], vocabulary: &Vocabulary) -> Rescoring {
    let mut noise = Vec::new();
    let mut largest: f64 = 0.0;
    for query in queries {
        let answers = query.reference.answers();
        let total: f64 = answers.iter().map(|(_, times)| times).sum();
        for (i, (a, times_a)) in answers.iter().enumerate() {
            largest = a.scores.iter().flatten().fold(largest, |largest, score| largest.max(score.abs()));
            // Repeats with equal answers are repeats with no difference.
            if total > 1.0 && *times_a > 1.0 {
                noise.push(0.0);
            }
            for (b, _) in answers.iter().skip(i + 1) {
                noise.extend(common_scores(vocabulary, a, b).map(|(_, _, before, after)| (after - before).abs()));
            }
        }
    }
    noise.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let at = (noise.len() as f64 * NOISE_QUANTILE) as usize;
    let floor = noise.get(at.min(noise.len().saturating_sub(1))).copied().unwrap_or(0.0);
    let tolerance = (largest * REPRESENTATION).max(floor);

    let (mut concordant, mut discordant, mut seen) = (0_u64, 0_u64, false);
    for query in queries {
        for (a, _) in query.reference.answers() {
            for (b, _) in query.current.answers() {
                let common: Vec<_> = common_scores(vocabulary, a, b).collect();
                if !common.iter().any(|(_, _, before, after)| (after - before).abs() > tolerance) {
                    continue;
                }
                seen = true;
                for (i, first) in common.iter().enumerate() {
                    for second in common.iter().skip(i + 1) {
                        let (before, after) = (first.2 - second.2, first.3 - second.3);
                        if before.abs() > tolerance && after.abs() > tolerance {
                            if before.signum() == after.signum() { concordant += 1 } else { discordant += 1 }
                        }
                    }
                }
            }
        }
    }
    let pairs = concordant + discordant;
    let order_agreement = if pairs == 0 { 1.0 } else { (concordant as f64 - discordant as f64) / pairs as f64 };
    Rescoring { tolerance, seen, order_agreement }
}

/// Whether the scores of unchanged documents changed, and how.
///
/// The effect is how much farther a document's score is from the reference than the reference's repeats are from each
/// other, in standard deviations of the reference's scores; its interval resamples queries.
pub fn judge_scores(
    queries: &[MatchedQuery<'_>],
    vocabulary: &Vocabulary,
    options: &Options,
) -> Result<ScoreReport, Error> {
    let mut before = Vec::new();
    let mut after = Vec::new();
    let mut agreements = Vec::new();
    let mut effects = Vec::new();
    let difference = |a: &Answer, b: &Answer| {
        let (sum, count) = common_scores(vocabulary, a, b)
            .fold((0.0, 0.0), |(sum, count), (_, _, before, after)| (sum + (after - before).abs(), count + 1.0));
        if count > 0.0 { sum / count } else { 0.0 }
    };
    for query in queries {
        let (a, b) = (query.reference.answers(), query.current.answers());
        let (Some((first_a, _)), Some((first_b, _))) = (a.first(), b.first()) else { continue };
        let common: Vec<_> = common_scores(vocabulary, first_a, first_b).collect();
        if common.is_empty() {
            continue;
        }
        let (x, y): (Vec<f64>, Vec<f64>) = common.iter().map(|(_, _, before, after)| (*before, *after)).unzip();
        if let Ok(agreement) = kendall_tau_b(&x, &y) {
            agreements.push(agreement);
        }
        before.extend(x);
        after.extend(y);
        effects.push(mean_between(&a, &b, difference) - mean_within(&a, difference).unwrap_or(0.0));
    }
    if effects.len() < options.queries_min {
        let threshold = options.score_threshold;
        return Ok(ScoreReport { queries: effects.len(), threshold, ..ScoreReport::default() });
    }
    let spread = standard_deviation(&before);
    let standardised: Vec<f64> =
        effects.iter().map(|effect| if spread > 0.0 { effect / spread } else { 0.0 }).collect();
    let resampling = Resampling { confidence: options.confidence, resamples: options.resamples, seed: options.seed };
    let effect = bootstrap_mean(&standardised, None, options.score_threshold, resampling)?;
    let shifts: Vec<f64> = before.iter().zip(&after).map(|(x, y)| y - x).collect();
    let drift = effect.low > options.score_threshold && effect.p_value < options.alpha;
    Ok(ScoreReport {
        verdict: if drift { Judgement::Drift } else { Judgement::Stable },
        queries: effects.len(),
        shift: Some(hodges_lehmann_pseudo_median(&shifts)?),
        scale: affine_fit(&before, &after, options.seed).ok().map(|fit| fit.scale),
        order_agreement: mean(&agreements),
        effect: Some(effect.estimate),
        interval: Some([effect.low, effect.high]),
        threshold: options.score_threshold,
        p_value: Some(effect.p_value),
        kind: queries.iter().find_map(|query| score_kind(query, vocabulary)),
    })
}

fn score_kind(query: &MatchedQuery<'_>, vocabulary: &Vocabulary) -> Option<ScoreKind> {
    query.reference.sample.first().map(|observed| vocabulary.context_of(observed.answer.context).score_kind)
}

pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn standard_deviation(values: &[f64]) -> f64 {
    let Some(mean) = mean(values) else { return 0.0 };
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}
