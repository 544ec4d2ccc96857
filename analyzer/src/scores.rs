//! Scores of documents that did not change, for queries that did not change.

use std::collections::BTreeMap;

use rayon::prelude::*;
use tidemark_stats::{affine_fit, hodges_lehmann_pseudo_median, kendall_tau_b};

use crate::answer::Answer;
use crate::causes::Classifier;
use crate::compare::Options;
use crate::effect::interval;
use crate::error::Error;
use crate::matched::{Answers, mean_between, mean_within};
use crate::observe::{Observed, distinct};
use crate::report::ScoreReport;
use crate::units::{Matched, MatchedUnit, weight_at};
use crate::vocabulary::Vocabulary;

/// What a change of scores looks like, learnt from all matched units of a stage, so that a single pair of answers can be judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rescoring {
    /// Two scores of one document that differ by no more are the same score.
    pub tolerance: f64,
    /// Half of the step to which scores are rounded in either window; 0 where none is seen.
    pub rounding: f64,
    /// The best score of each window.
    pub best: [f64; 2],
    /// Whether any unchanged document that both windows returned has another score.
    pub seen: bool,
    /// How well the order of common unchanged documents was kept where scores changed: concordant minus discordant
    /// pairs, over both; 1 if nothing was rescored.
    pub order_agreement: f64,
}

impl Rescoring {
    /// Whether the scores changed as one scale does: all orders kept, or all turned round.
    pub(crate) fn is_rescaling(&self) -> bool {
        self.order_agreement.abs() > ORDER_KEPT
    }

    /// Whether what scored high scores low now: a distance in place of a similarity, or a list sorted the other way.
    pub(crate) fn is_turned(&self) -> bool {
        self.seen && self.order_agreement < -ORDER_KEPT
    }
}

/// A rescaling keeps the order of all pairs but those that rounding makes equal.
const ORDER_KEPT: f64 = 0.98;
/// Scores are written with six digits or as 32-bit floats; below this part of a score a difference is representation.
pub(crate) const REPRESENTATION: f64 = 2e-6;
/// So many times the median difference between repeats is their noise: of a normal distribution all but 1 in 140 are within it.
/// The median, because a second model that answers a part of the reference is no noise.
const NOISE_MEDIANS: f64 = 4.0;
/// Steps to which scores may be rounded.
const STEPS: [f64; 4] = [1.0, 0.1, 0.01, 0.001];
/// From how many queries that quantile is learnt at most, evenly spread.
const NOISE_QUERIES: usize = 2_000;
/// With fewer units nothing is measured, whatever is asked for.
const MATCHED_MIN: usize = 10;
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
            (Some(before), Some(after)) => !vocabulary.contents_differ(before, after),
            _ => true,
        };
        let (before, after) = (a.scores.get(i).copied().flatten()?, b.scores.get(j).copied().flatten()?);
        unchanged.then_some((i, j, before, after))
    })
}

/// Which way the scores of an answer run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The best is the largest.
    Down,
    /// The best is the smallest.
    Up,
}

/// Which way scores run, if they run one way; none where they do neither or there are fewer than two.
pub(crate) fn direction(scores: &[Option<f64>]) -> Option<Direction> {
    let known: Vec<f64> = scores.iter().copied().flatten().collect();
    let (first, last) = (known.first()?, known.last()?);
    let runs = |holds: fn(f64, f64) -> bool| known.windows(2).all(|pair| matches!(pair, [a, b] if holds(*a, *b)));
    if first > last && runs(|a, b| a >= b) {
        Some(Direction::Down)
    } else if first < last && runs(|a, b| a <= b) {
        Some(Direction::Up)
    } else {
        None
    }
}

/// Learns from matched units what a change of scores looks like.
pub(crate) fn rescoring(units: &[&MatchedUnit<'_>], vocabulary: &Vocabulary) -> Result<Rescoring, Error> {
    let step = units.len().div_ceil(NOISE_QUERIES).max(1);
    let learnt: Vec<(Vec<f64>, f64)> = units
        .par_iter()
        .step_by(step)
        .map(|unit| Ok(repeated_scores(&distinct(unit.reference.iter().copied(), vocabulary)?, vocabulary)))
        .collect::<Result<_, Error>>()?;
    let largest = learnt.iter().map(|(_, largest)| *largest).fold(0.0, f64::max);
    let mut noise: Vec<f64> = learnt.into_iter().flat_map(|(noise, _)| noise).collect();
    noise.sort_by(f64::total_cmp);
    let floor = NOISE_MEDIANS * noise.get(noise.len() / 2).copied().unwrap_or(0.0);
    let sampled = || units.iter().step_by(step);
    let grids = [false, true].map(|current| grid(sampled().flat_map(|unit| unit.sample(current))));
    let rounding = grids.iter().map(|(step, _)| step / 2.0).fold(0.0, f64::max);
    let tolerance = (largest * REPRESENTATION).max(floor).max(rounding * (1.0 + 1e-6));

    let orders: Vec<Order> = units
        .par_iter()
        .map(|unit| Ok(kept_order(&unit.answers(vocabulary)?, vocabulary, tolerance)))
        .collect::<Result<_, Error>>()?;
    let all = orders.iter().fold(Order::default(), |all, one| Order {
        seen: all.seen || one.seen,
        concordant: all.concordant + one.concordant,
        discordant: all.discordant + one.discordant,
    });
    let (concordant, discordant) = (all.concordant as f64, all.discordant as f64);
    let pairs = concordant + discordant;
    let order_agreement = if pairs > 0.0 { (concordant - discordant) / pairs } else { 1.0 };
    Ok(Rescoring { tolerance, rounding, best: grids.map(|(_, best)| best), seen: all.seen, order_agreement })
}

/// The step to which scores are rounded, 0 if none is seen, and the largest score.
fn grid<'a>(sample: impl Iterator<Item = &'a &'a Observed>) -> (f64, f64) {
    let mut fits = [true; STEPS.len()];
    let (mut seen, mut best) = (false, f64::NEG_INFINITY);
    for score in sample.flat_map(|observed| observed.places.iter()).filter_map(|place| place.score()) {
        seen = true;
        best = best.max(score);
        for (fits, step) in fits.iter_mut().zip(STEPS) {
            let steps = score / step;
            *fits &= (steps - steps.round()).abs() * step <= 1e-6 * score.abs().max(step);
        }
    }
    let step = STEPS.iter().zip(fits).find(|(_, fits)| *fits && seen).map_or(0.0, |(step, _)| *step);
    (step, best)
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
        // Answers of two searches side by side are no repeats of each other.
        for (b, _) in answers.iter().skip(i + 1).filter(|(b, _)| {
            a.context == b.context
                || vocabulary.context_of(a.context).search() == vocabulary.context_of(b.context).search()
        }) {
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
    /// Whether repeats tell how far scores vary by themselves.
    noise_known: bool,
    /// The part of the excess for which another search was declared.
    declared: f64,
}

fn score_change(answers: &Answers, classifier: &Classifier<'_>, vocabulary: &Vocabulary) -> Option<ScoreChange> {
    let Answers { reference: a, current: b } = answers;
    let rounding = classifier.rescoring.rounding * (1.0 + 1e-6);
    let difference = |a: &Answer, b: &Answer| {
        let (sum, count) = common_scores(vocabulary, a, b).fold((0.0, 0.0), |(sum, count), (_, _, before, after)| {
            let apart = (after - before).abs();
            // Within the step to which scores are rounded nothing is known to differ.
            (sum + if apart > rounding { apart } else { 0.0 }, count + 1.0)
        });
        if count > 0.0 { sum / count } else { 0.0 }
    };
    let ((first_a, _), (first_b, _)) = (a.first()?, b.first()?);
    let (before, after): (Vec<f64>, Vec<f64>) =
        common_scores(vocabulary, first_a, first_b).map(|(_, _, before, after)| (before, after)).unzip();
    if before.is_empty() {
        return None;
    }
    let agreement = kendall_tau_b(&before, &after).ok();
    let rescored = mean_between(a, b, difference);
    let other_search = |a: &Answer, b: &Answer| {
        if classifier.declares_other_search(a.context, b.context) { difference(a, b) } else { 0.0 }
    };
    let (noise, declared_noise) = (mean_within(a, difference), mean_within(a, other_search));
    Some(ScoreChange {
        pairs: before.into_iter().zip(after).collect(),
        agreement,
        excess: rescored - noise.unwrap_or(0.0),
        noise_known: noise.is_some(),
        declared: mean_between(a, b, other_search) - declared_noise.unwrap_or(0.0),
    })
}

/// What was found of scores.
#[derive(Debug, Default)]
pub(crate) struct Scores {
    /// The verdict is left to the report's correction.
    pub(crate) report: ScoreReport,
    /// For which part of what moved another search was declared.
    pub(crate) declared: f64,
    /// The stage whose shift, scale and order the report gives.
    pub(crate) stage: Option<u32>,
}

/// Whether the scores of unchanged documents changed, and how.
///
/// The effect is how much farther a document's score is from the reference than the reference's repeats are from each
/// other, in standard deviations of the reference's scores of that stage; its interval resamples units. Shift, scale and
/// order are those of one stage, because scores of two kinds have none in common: the stage with most units or, where scores
/// changed, the one that most of the change lies in.
pub(crate) fn measure_scores(
    units: &[usize],
    matched: &Matched<'_>,
    classifiers: &BTreeMap<u32, Classifier<'_>>,
    vocabulary: &Vocabulary,
    options: &Options,
) -> Result<Scores, Error> {
    let step = units.len().div_ceil(PAIRED_QUERIES).max(1);
    let changes: Vec<Option<(usize, ScoreChange)>> = units
        .par_iter()
        .enumerate()
        .map(|(at, unit)| {
            let Some((unit, of)) = matched.units.get(*unit).map(|of| (*unit, of)) else { return Ok(None) };
            let Some(classifier) = classifiers.get(&of.stage) else { return Ok(None) };
            let change = score_change(&of.answers(vocabulary)?, classifier, vocabulary);
            // Every unit counts for the effect; a part of them is enough for the robust description of it.
            let kept = at % step == 0;
            Ok(change.map(|change| (unit, if kept { change } else { ScoreChange { pairs: Vec::new(), ..change } })))
        })
        .collect::<Result<_, Error>>()?;
    let mut changes: Vec<(usize, ScoreChange)> = changes.into_iter().flatten().collect();
    let report = ScoreReport { queries: changes.len(), threshold: options.score_threshold, ..ScoreReport::default() };
    // As for rankings, nothing is borrowed for what was asked once; where nothing repeats, a score is taken to be exact.
    if changes.iter().filter(|(_, change)| change.noise_known).count() >= MATCHED_MIN {
        changes.retain(|(_, change)| change.noise_known);
    }
    let mut by_stage: BTreeMap<u32, (usize, Vec<(f64, f64)>)> = BTreeMap::new();
    for (unit, change) in &changes {
        let stage = matched.units.get(*unit).map_or(0, |unit| unit.stage);
        let (count, pairs) = by_stage.entry(stage).or_default();
        *count += 1;
        pairs.extend(&change.pairs);
    }
    let most_units = by_stage.iter().max_by_key(|(stage, (count, _))| (*count, vocabulary.stage_of(**stage)));
    let Some(most_units) = most_units.map(|(stage, _)| *stage).filter(|_| changes.len() >= MATCHED_MIN) else {
        return Ok(Scores { report, ..Scores::default() });
    };
    let spreads: BTreeMap<u32, f64> = by_stage
        .iter()
        .map(|(stage, (_, pairs))| {
            (*stage, standard_deviation(&pairs.iter().map(|(before, _)| *before).collect::<Vec<_>>()))
        })
        .collect();
    let spread =
        |unit: &usize| matched.units.get(*unit).and_then(|unit| spreads.get(&unit.stage)).copied().unwrap_or(0.0);
    let standardised: Vec<f64> = changes
        .iter()
        .map(|(unit, change)| if spread(unit) > 0.0 { change.excess / spread(unit) } else { 0.0 })
        .collect();
    let rescored: f64 = changes.iter().map(|(_, change)| change.excess).sum();
    let declared: f64 = changes.iter().map(|(_, change)| change.declared).sum();
    let judged: Vec<usize> = changes.iter().map(|(unit, _)| *unit).collect();
    let weights = matched.weights(&judged);
    let Some(effect) = interval(&standardised, weights.as_deref(), options.score_threshold, options.resampling())?
    else {
        return Ok(Scores { report, ..Scores::default() });
    };
    let mut moved: BTreeMap<u32, f64> = BTreeMap::new();
    let stage_of = |unit: &usize| matched.units.get(*unit).map_or(0, |unit| unit.stage);
    for (at, ((unit, _), excess)) in changes.iter().zip(&standardised).enumerate() {
        *moved.entry(stage_of(unit)).or_default() += weight_at(weights.as_deref(), at) * excess.max(0.0);
    }
    let half = moved.values().sum::<f64>() / 2.0;
    let most_of_it = moved.iter().find(|(_, moved)| effect.low > options.score_threshold && **moved > half);
    let stage = most_of_it.map_or(most_units, |(stage, _)| *stage);
    let (before, after): (Vec<f64>, Vec<f64>) =
        by_stage.get(&stage).into_iter().flat_map(|(_, pairs)| pairs.iter().copied()).unzip();
    let of_stage = changes.iter().filter(|(unit, _)| stage_of(unit) == stage);
    let agreements: Vec<f64> = of_stage.filter_map(|(_, change)| change.agreement).collect();
    let shifts: Vec<f64> = before.iter().zip(&after).map(|(x, y)| y - x).collect();
    let report = ScoreReport {
        shift: Some(hodges_lehmann_pseudo_median(&shifts)?),
        scale: affine_fit(&before, &after, options.seed).ok().map(|fit| fit.scale),
        order_agreement: mean(&agreements),
        effect: Some(effect.estimate),
        interval: Some([effect.low, effect.high]),
        p_value: Some(effect.p_value),
        kind: Some(vocabulary.stage_of(stage).score_kind),
        ..report
    };
    let declared = if rescored > 0.0 { declared / rescored } else { 0.0 };
    Ok(Scores { report, declared, stage: Some(stage) })
}

pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

pub(crate) fn standard_deviation(values: &[f64]) -> f64 {
    let Some(mean) = mean(values) else { return 0.0 };
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}
