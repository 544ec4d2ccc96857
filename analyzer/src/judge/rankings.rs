//! Rankings of some units: the effect, its test, and what it rests on.

use tidemark_stats::{KernelStratum, Persistence, excess_permutation_test, mmd_permutation_test};

use crate::causes::{self, Classifier};
use crate::compare::{Options, PART_MIN};
use crate::effect::{Effect, Measured, effect};
use crate::error::Error;
use crate::intern::FastMap;
use crate::matched::{self, UnitChange};
use crate::neighbours::Neighbours;
use crate::report::{FloorBasis, Judgement, NeighbourBasis, RetrievalReport, ScoreReport};
use crate::units::{Matched, MatchedUnit, weight_at};
use crate::vocabulary::Vocabulary;
use std::collections::BTreeMap;

/// All that rankings are judged by.
pub(super) struct Rankings<'a> {
    pub(super) matched: &'a Matched<'a>,
    pub(super) changes: &'a [UnitChange],
    /// Where similar questions are compared.
    pub(super) neighbours: Option<&'a Neighbours>,
    pub(super) classifiers: &'a BTreeMap<u32, Classifier<'a>>,
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) p: Persistence,
    pub(super) options: &'a Options,
}

/// With a known noise floor for so many units the others are held against it (see [`Effect::is_open`]).
const FLOORS_MIN: usize = 10;

/// How rankings of some units changed, before anything is corrected.
#[derive(Debug, Clone)]
pub(super) struct Measure {
    pub(super) effect: Effect,
    /// Which test, and its p-value.
    pub(super) test: Option<(&'static str, f64)>,
}

impl Rankings<'_> {
    pub(super) fn measure(&self, units: &[usize]) -> Result<Measure, Error> {
        let measured = |proofs: &[f64]| -> Vec<Measured> {
            let one = |(at, unit): (usize, &usize)| {
                Some(Measured { unit: *unit, change: *self.changes.get(*unit)?, proof: proofs.get(at).copied() })
            };
            units.iter().enumerate().filter_map(one).collect()
        };
        let options = self.options;
        let mut effect = effect(&measured(&[]), self.matched, (FLOORS_MIN, options.resamples), options)?;
        let is_drift = |effect: &Effect| effect.excess.is_some_and(|excess| excess.low > options.threshold);
        let is_unknown = effect.basis == FloorBasis::Unknown;
        // What was asked once may have moved alone: caches and head queries repeat, and stay as they were.
        if !units.is_empty() && (is_unknown || (effect.is_open(options.threshold) && !is_drift(&effect))) {
            let accounts = causes::accounts(units, self.matched, self.classifiers, self.p)?;
            let proofs = causes::proofs(units, &accounts, self.matched);
            let proven = crate::effect::proven(&measured(&proofs), self.matched, options)?;
            if is_unknown || is_drift(&proven) {
                effect = proven;
            }
        }
        let test = match (effect.excess, effect.basis) {
            (None, _) => None,
            (Some(_), FloorBasis::Reference) => {
                let of = |unit: &usize| self.matched.units.get(*unit);
                let used: Vec<&MatchedUnit<'_>> = effect.units.iter().filter_map(of).collect();
                let strata =
                    matched::kernel_strata(&used, self.neighbours, (self.vocabulary, self.p), options.kernel_queries)?;
                Some(("kernel_two_sample", two_sample(&strata, options)?))
            }
            (Some(excess), _) => Some(("bootstrap", excess.p_value)),
        };
        Ok(Measure { effect, test })
    }

    /// What parts of the traffic are measured from.
    pub(super) fn of_segments<'m>(&'m self, proofs: &'m FastMap<usize, f64>) -> crate::segments::Measured<'m> {
        crate::segments::Measured {
            matched: self.matched,
            changes: self.changes,
            neighbours: self.neighbours,
            proofs,
            vocabulary: self.vocabulary,
            p: self.p,
        }
    }

    /// The numbers of the report; the verdict is left to its correction.
    pub(super) fn report(
        &self,
        units: &[usize],
        measure: &Measure,
        (matched_queries, coverage): (usize, f64),
    ) -> RetrievalReport {
        let weights = self.matched.weights(units);
        let mean = |value: fn(&UnitChange) -> f64| {
            let (mut sum, mut total) = (0.0, 0.0);
            for (at, unit) in units.iter().enumerate() {
                let weight = weight_at(weights.as_deref(), at);
                if let Some(change) = self.changes.get(*unit) {
                    sum += weight * value(change);
                    total += weight;
                }
            }
            (total > 0.0).then(|| sum / total)
        };
        let effect = &measure.effect;
        let queries_min = match self.neighbours {
            // Few documents begin many answers.
            Some(Neighbours { basis: NeighbourBasis::FirstDocument, .. }) => self.options.queries_min.min(PART_MIN),
            _ => self.options.queries_min,
        };
        RetrievalReport {
            verdict: Judgement::InsufficientEvidence,
            matched_queries,
            coverage: (!units.is_empty()).then_some(coverage),
            neighbours: self.neighbours.map(|neighbours| neighbours.report(units.len())),
            judged_queries: effect.rests_on(),
            queries_min,
            queries_needed: Some(self.options.queries_min),
            mean_overlap: mean(|change| 1.0 - change.distance),
            mean_rbo: mean(|change| change.rbo),
            mean_jaccard: mean(|change| change.jaccard),
            mean_kendall_top_k: mean(|change| change.kendall),
            floor_basis: effect.basis,
            noise_floor: effect.floor(),
            current_noise_floor: effect.floors[1],
            excess_change: effect.excess.map(|excess| excess.estimate),
            interval: effect.excess.map(|excess| [excess.low, excess.high]),
            confidence: self.options.confidence,
            threshold: self.options.threshold,
            p_value: measure.test.map(|(_, p_value)| p_value),
            test: measure.test.map(|(test, _)| test),
            scores: ScoreReport::default(),
        }
    }
}

/// The p-value of two statistics of one kernel, the smaller one doubled (Bonferroni).
///
/// The unbiased MMD^2 sees any difference between the windows' answers and weakens with the square of the share of answers
/// that a change reached; the excess over the reference's repeats sees only answers that moved away, and weakens with the
/// share itself. Small but thorough changes are found by the one, partial rollouts by the other.
fn two_sample(strata: &[KernelStratum], options: &Options) -> Result<f64, Error> {
    let repeated: Vec<KernelStratum> = strata.iter().filter(|stratum| stratum.is_repeated()).cloned().collect();
    let (excess, whole) = rayon::join(
        || excess_permutation_test(strata, options.permutations, options.seed),
        || {
            let test = || mmd_permutation_test(&repeated, options.permutations, options.seed);
            (!repeated.is_empty()).then(test).transpose()
        },
    );
    let (excess, whole) = (excess?.p_value, whole?);
    let Some(whole) = whole.map(|whole| whole.p_value) else { return Ok(excess) };
    Ok((2.0 * excess.min(whole)).min(1.0))
}

/// How many units would bring the lower end of the interval above the threshold, if the effect is what it seems to be: the
/// half-width of an interval of a mean shrinks with the root of the number of values.
pub(super) fn needed((estimate, low): (f64, f64), threshold: f64, have: usize) -> usize {
    let (half_width, lead) = (estimate - low, estimate - threshold);
    let ratio = if lead > 0.0 { half_width / lead } else { f64::INFINITY };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates at the largest number")]
    let needed = (have as f64 * ratio * ratio).ceil() as usize;
    needed.max(have + 1)
}
