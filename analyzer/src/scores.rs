//! Scores of documents that did not change, for queries that did not change.

use rayon::prelude::*;
use tidemark_schema::ScoreKind;
use tidemark_stats::{Resampling, affine_fit, bootstrap_mean, hodges_lehmann_pseudo_median, kendall_tau_b};

use crate::answer::Answer;
use crate::compare::Options;
use crate::error::Error;
use crate::matched::{Answers, MatchedQuery, mean_between, mean_within};
use crate::report::{Judgement, ScoreReport};
use crate::vocabulary::Vocabulary;

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
/// From how many queries that quantile is learnt at most, evenly spread.
const NOISE_QUERIES: usize = 2_000;
/// From how many queries shift and scale are estimated at most, evenly spread.
const PAIRED_QUERIES: usize = 10_000;

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
pub fn rescoring(queries: &[MatchedQuery<'_>], vocabulary: &Vocabulary) -> Result<Rescoring, Error> {
    let step = queries.len().div_ceil(NOISE_QUERIES).max(1);
    let learnt: Vec<(Vec<f64>, f64)> = queries
        .par_iter()
        .step_by(step)
        .map(|query| Ok(repeated_scores(&query.reference.answers(vocabulary)?, vocabulary)))
        .collect::<Result<_, Error>>()?;
    let largest = learnt.iter().map(|(_, largest)| *largest).fold(0.0, f64::max);
    let mut noise: Vec<f64> = learnt.into_iter().flat_map(|(noise, _)| noise).collect();
    noise.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let at = (noise.len() as f64 * NOISE_QUANTILE) as usize;
    let floor = noise.get(at.min(noise.len().saturating_sub(1))).copied().unwrap_or(0.0);
    let tolerance = (largest * REPRESENTATION).max(floor);

    let orders: Vec<Order> = queries
        .par_iter()
        .map(|query| Ok(kept_order(&query.answers(vocabulary)?, vocabulary, tolerance)))
        .collect::<Result<_, Error>>()?;
    let all = orders.iter().fold(Order::default(), |all, one| Order {
        seen: all.seen || one.seen,
        concordant: all.concordant + one.concordant,
        discordant: all.discordant + one.discordant,
    });
    let (concordant, discordant) = (all.concordant as f64, all.discordant as f64);
    let pairs = concordant + discordant;
    let order_agreement = if pairs > 0.0 { (concordant - discordant) / pairs } else { 1.0 };
    Ok(Rescoring { tolerance, seen: all.seen, order_agreement })
}

/// How far the scores of repeats are apart, and the largest score.
fn repeated_scores(answers: &[(Answer, f64)], vocabulary: &Vocabulary) -> (Vec<f64>, f64) {
    let mut noise = Vec::new();
    let mut largest: f64 = 0.0;
    for (i, (a, times)) in answers.iter().enumerate() {
        largest = a.scores.iter().flatten().fold(largest, |largest, score| largest.max(score.abs()));
        // Repeats with equal answers are repeats with no difference.
        if *times > 1.0 {
            noise.push(0.0);
        }
        for (b, _) in answers.iter().skip(i + 1) {
            noise.extend(common_scores(vocabulary, a, b).map(|(_, _, before, after)| (after - before).abs()));
        }
    }
    (noise, largest)
}

/// Whether unchanged documents were rescored, and how many of their pairs kept or changed their order.
#[derive(Debug, Clone, Copy, Default)]
struct Order {
    seen: bool,
    concordant: u64,
    discordant: u64,
}

fn kept_order(answers: &Answers, vocabulary: &Vocabulary, tolerance: f64) -> Order {
    let mut order = Order::default();
    for (a, _) in &answers.reference {
        for (b, _) in &answers.current {
            let common: Vec<_> = common_scores(vocabulary, a, b).collect();
            if !common.iter().any(|(_, _, before, after)| (after - before).abs() > tolerance) {
                continue;
            }
            order.seen = true;
            for (i, first) in common.iter().enumerate() {
                for second in common.iter().skip(i + 1) {
                    let (before, after) = (first.2 - second.2, first.3 - second.3);
                    if before.abs() > tolerance && after.abs() > tolerance {
                        let kept = before.signum() == after.signum();
                        if kept { order.concordant += 1 } else { order.discordant += 1 }
                    }
                }
            }
        }
    }
    order
}

/// What one query says of the scores of unchanged documents.
struct ScoreChange {
    /// The scores of each, before and after.
    pairs: Vec<(f64, f64)>,
    agreement: Option<f64>,
    /// How much farther current scores are from the reference's than those are from each other.
    excess: f64,
}

fn score_change(answers: &Answers, vocabulary: &Vocabulary) -> Option<ScoreChange> {
    let Answers { reference: a, current: b } = answers;
    let difference = |a: &Answer, b: &Answer| {
        let (sum, count) = common_scores(vocabulary, a, b)
            .fold((0.0, 0.0), |(sum, count), (_, _, before, after)| (sum + (after - before).abs(), count + 1.0));
        if count > 0.0 { sum / count } else { 0.0 }
    };
    let ((first_a, _), (first_b, _)) = (a.first()?, b.first()?);
    let (before, after): (Vec<f64>, Vec<f64>) =
        common_scores(vocabulary, first_a, first_b).map(|(_, _, before, after)| (before, after)).unzip();
    if before.is_empty() {
        return None;
    }
    let agreement = kendall_tau_b(&before, &after).ok();
    let excess = mean_between(a, b, difference) - mean_within(a, difference).unwrap_or(0.0);
    Some(ScoreChange { pairs: before.into_iter().zip(after).collect(), agreement, excess })
}

/// Whether the scores of unchanged documents changed, and how; the verdict is left to the report's correction.
///
/// The effect is how much farther a document's score is from the reference than the reference's repeats are from each
/// other, in standard deviations of the reference's scores; its interval resamples queries.
pub fn measure_scores(
    queries: &[MatchedQuery<'_>],
    vocabulary: &Vocabulary,
    options: &Options,
) -> Result<ScoreReport, Error> {
    let step = queries.len().div_ceil(PAIRED_QUERIES).max(1);
    let changes: Vec<Option<ScoreChange>> = queries
        .par_iter()
        .enumerate()
        .map(|(at, query)| {
            let change = score_change(&query.answers(vocabulary)?, vocabulary);
            // Every query counts for the effect; a part of them is enough for the robust description of it.
            let kept = at % step == 0;
            Ok(change.map(|change| if kept { change } else { ScoreChange { pairs: Vec::new(), ..change } }))
        })
        .collect::<Result<_, Error>>()?;
    let changes: Vec<ScoreChange> = changes.into_iter().flatten().collect();
    let queries_judged = changes.len();
    if queries_judged < options.queries_min {
        return Ok(ScoreReport {
            queries: queries_judged,
            threshold: options.score_threshold,
            ..ScoreReport::default()
        });
    }
    let excess: Vec<f64> = changes.iter().map(|change| change.excess).collect();
    let agreements: Vec<f64> = changes.iter().filter_map(|change| change.agreement).collect();
    let (before, after): (Vec<f64>, Vec<f64>) = changes.into_iter().flat_map(|change| change.pairs).unzip();
    let spread = standard_deviation(&before);
    let standardised: Vec<f64> = excess.iter().map(|effect| if spread > 0.0 { effect / spread } else { 0.0 }).collect();
    let resampling = Resampling { confidence: options.confidence, resamples: options.resamples, seed: options.seed };
    let effect = bootstrap_mean(&standardised, None, options.score_threshold, resampling)?;
    let shifts: Vec<f64> = before.iter().zip(&after).map(|(x, y)| y - x).collect();
    Ok(ScoreReport {
        verdict: Judgement::default(),
        queries: queries_judged,
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
    query.reference.sample.first().map(|observed| vocabulary.context_of(observed.context).score_kind)
}

pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

pub(crate) fn standard_deviation(values: &[f64]) -> f64 {
    let Some(mean) = mean(values) else { return 0.0 };
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}
