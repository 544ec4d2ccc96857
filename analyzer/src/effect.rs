//! How much farther current answers are from the reference's than those are from each other, over some units.
//!
//! A unit's noise floor is that of its own repeats. A unit that the reference asked once has none: others may repeat
//! because they are cached, and say nothing of it. So the effect rests on the units that the reference repeats; where they
//! are too few, on those that the current window repeats; and where nothing repeats, only on the part of the change that
//! no noise can make (`proof`, see [`crate::causes`]).

use tidemark_stats::{BootstrapMean, Resampling, bootstrap_mean, student_mean};

use crate::compare::Options;
use crate::error::Error;
use crate::matched::UnitChange;
use crate::report::{FloorBasis, Judgement};
use crate::scores::mean;
use crate::units::{Matched, weight_at};

/// The effect over some units, and what it rests on.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) basis: FloorBasis,
    /// The units that it rests on.
    pub(crate) units: Vec<usize>,
    pub(crate) excess: Option<BootstrapMean>,
    /// The mean floor of these units, in the reference and in the current window; none where nothing repeats.
    pub(crate) floors: [Option<f64>; 2],
    /// Of the units whose floor is unknown: how many there are, and how far their answers are apart.
    pub(crate) unknown: Option<(usize, BootstrapMean)>,
}

/// What is measured of one unit in the part of the traffic that is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) unit: usize,
    pub(crate) change: UnitChange,
    /// The part of the distance that no noise can make, if it was asked for.
    pub(crate) proof: Option<f64>,
}

/// With fewer units Student's interval is taken, which knows how few they are.
const BOOTSTRAP_MIN: usize = 30;

pub(crate) fn interval(
    values: &[f64],
    weights: Option<&[f64]>,
    threshold: f64,
    resampling: Resampling,
) -> Result<Option<BootstrapMean>, Error> {
    if values.len() < 2 {
        return Ok(None);
    }
    if values.len() < BOOTSTRAP_MIN {
        // A weighted mean is the mean of the values times their relative weights.
        let total: f64 = weights.map_or(values.len() as f64, |weights| weights.iter().sum());
        let relative = |at: usize| {
            weights.map_or(1.0, |weights| weights.get(at).copied().unwrap_or(0.0) * values.len() as f64 / total)
        };
        let weighted: Vec<f64> = values.iter().enumerate().map(|(at, value)| value * relative(at)).collect();
        return Ok(Some(student_mean(&weighted, threshold, resampling.confidence)?));
    }
    if values.len() > MANY {
        let (means, weights) = grouped(values, weights);
        return Ok(Some(bootstrap_mean(&means, Some(&weights), threshold, resampling)?));
    }
    Ok(Some(bootstrap_mean(values, weights, threshold, resampling)?))
}

/// Above this number of units groups of them are resampled: sums of independent clusters are independent clusters, the
/// interval is as wide, and its cost no longer grows.
const MANY: usize = 8_192;
/// How many groups there are.
const GROUPS: usize = 4_096;

/// The mean and the weight of each group of units, dealt in turn.
fn grouped(values: &[f64], weights: Option<&[f64]>) -> (Vec<f64>, Vec<f64>) {
    let mut groups = vec![(0.0, 0.0); GROUPS];
    for (at, value) in values.iter().enumerate() {
        let weight = weight_at(weights, at);
        if let Some((sum, total)) = groups.get_mut(at % GROUPS) {
            *sum += weight * value;
            *total += weight;
        }
    }
    groups.into_iter().filter(|(_, total)| *total > 0.0).map(|(sum, total)| (sum / total, total)).unzip()
}

/// The effect over units, resting on at least `least` with a known floor.
pub(crate) fn effect(
    measured: &[Measured],
    matched: &Matched<'_>,
    (least, resamples): (usize, u32),
    options: &Options,
) -> Result<Effect, Error> {
    let resampling = Resampling { resamples, ..options.resampling() };
    let floor_of = |basis: FloorBasis, one: &Measured| match basis {
        FloorBasis::Reference => one.change.within_reference,
        FloorBasis::Current => one.change.within_current,
        FloorBasis::Unknown => None,
    };
    let known = |basis: FloorBasis| measured.iter().filter(|one| floor_of(basis, one).is_some()).count();
    let basis = [FloorBasis::Reference, FloorBasis::Current]
        .into_iter()
        .find(|basis| known(*basis) >= least.max(2))
        .unwrap_or(FloorBasis::Unknown);
    let (used, others): (Vec<&Measured>, Vec<&Measured>) = match basis {
        FloorBasis::Unknown => (measured.iter().collect(), Vec::new()),
        basis => measured.iter().partition(|one| floor_of(basis, one).is_some()),
    };
    let units: Vec<usize> = used.iter().map(|one| one.unit).collect();
    let weights = matched.weights(&units);
    let values: Vec<f64> = used
        .iter()
        .map(|one| match floor_of(basis, one) {
            Some(floor) => (one.change.distance - floor) * matched.extrapolation.unwrap_or(1.0),
            None => one.proof.unwrap_or(0.0),
        })
        .collect();
    let average = |value: fn(&UnitChange) -> Option<f64>| {
        let known: Vec<(f64, f64)> = used
            .iter()
            .enumerate()
            .filter_map(|(at, one)| {
                let weight = weight_at(weights.as_deref(), at);
                Some((value(&one.change)?, weight))
            })
            .collect();
        let total: f64 = known.iter().map(|(_, weight)| weight).sum();
        (total > 0.0).then(|| known.iter().map(|(value, weight)| value * weight).sum::<f64>() / total)
    };
    let unjudged: Vec<&Measured> = if basis == FloorBasis::Unknown { used.clone() } else { others };
    let apart: Vec<f64> = unjudged.iter().map(|one| one.change.distance).collect();
    let unjudged_units: Vec<usize> = unjudged.iter().map(|one| one.unit).collect();
    let borrowed = mean(&used.iter().filter_map(|one| floor_of(basis, one)).collect::<Vec<_>>()).unwrap_or(0.0);
    let unknown =
        interval(&apart, matched.weights(&unjudged_units).as_deref(), options.threshold + borrowed, resampling)?;
    // What is extrapolated may be more than all that there is.
    let most = if matched.extrapolation.is_some() { 1.0 } else { f64::INFINITY };
    let bounded = |found: BootstrapMean| BootstrapMean {
        estimate: found.estimate.min(most),
        low: found.low.min(most),
        high: found.high.min(most),
        ..found
    };
    Ok(Effect {
        basis,
        excess: interval(&values, weights.as_deref(), options.threshold, resampling)?.map(bounded),
        floors: [average(|change| change.within_reference), average(|change| change.within_current)],
        unknown: unknown.map(|apart| (unjudged.len(), apart)),
        units,
    })
}

/// The part of the change over units that no noise can make, whether their floors are known or not.
pub(crate) fn proven(measured: &[Measured], matched: &Matched<'_>, options: &Options) -> Result<Effect, Error> {
    effect(measured, matched, (usize::MAX, options.resamples), options)
}

impl Effect {
    /// The floor that the effect is measured beyond; none where it is unknown.
    pub(crate) fn floor(&self) -> Option<f64> {
        match self.basis {
            FloorBasis::Reference => self.floors[0],
            FloorBasis::Current => self.floors[1],
            FloorBasis::Unknown => None,
        }
    }

    /// How many units it rests on.
    pub(crate) fn rests_on(&self) -> usize {
        self.units.len()
    }

    /// The units whose floor is unknown moved by more than those with a known one bear out: what they show may be noise
    /// or a change.
    pub(crate) fn is_open(&self, threshold: f64) -> bool {
        let floor = self.floor().unwrap_or(0.0);
        self.basis != FloorBasis::Unknown
            && self.unknown.as_ref().is_some_and(|(_, apart)| apart.low > floor + threshold)
    }

    /// What the effect and its corrected test come to. `enough` says whether so many units were asked that `stable` may be
    /// said.
    pub(crate) fn verdict(&self, adjusted_p: f64, enough: bool, options: &Options) -> Judgement {
        let Some(excess) = self.excess else { return Judgement::InsufficientEvidence };
        if excess.low > options.threshold && adjusted_p < options.alpha {
            return Judgement::Drift;
        }
        let stable = match self.basis {
            // Whatever the floor is, it is no less than 0.
            FloorBasis::Unknown => self.unknown.as_ref().is_some_and(|(_, apart)| apart.high <= options.threshold),
            // An effect of three times what matters would not have been called so.
            _ => {
                excess.estimate <= options.threshold
                    && excess.high - excess.estimate <= 2.0 * options.threshold
                    && !self.is_open(options.threshold)
            }
        };
        if stable && enough { Judgement::Stable } else { Judgement::InsufficientEvidence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE_POPULATION: Matched<'static> =
        Matched { units: Vec::new(), populations: Vec::new(), operations: Vec::new(), extrapolation: None };

    /// Units as `(between, within the reference, within the current window, proof)`.
    #[track_caller]
    fn check(units: &[(f64, Option<f64>, Option<f64>, f64)], basis: FloorBasis, verdict: Judgement) {
        let options = Options::default();
        let measured: Vec<Measured> = units
            .iter()
            .enumerate()
            .map(|(unit, (distance, within_reference, within_current, proof))| Measured {
                unit,
                change: UnitChange {
                    distance: *distance,
                    within_reference: *within_reference,
                    within_current: *within_current,
                    rbo: 1.0,
                    jaccard: 1.0,
                    kendall: 1.0,
                },
                proof: Some(*proof),
            })
            .collect();
        let found = effect(&measured, &ONE_POPULATION, (10, 500), &options).unwrap();
        assert_eq!(found.basis, basis);
        assert_eq!(found.verdict(0.001, units.len() >= options.queries_min, &options), verdict, "{found:?}");
    }

    #[test]
    fn a_unit_is_held_against_its_own_repeats() {
        // Noisy answers that are as far apart within the reference are no change, quiet ones that moved are.
        check(&[(0.3, Some(0.3), None, 0.0); 40], FloorBasis::Reference, Judgement::Stable);
        check(&[(0.3, Some(0.0), None, 0.0); 40], FloorBasis::Reference, Judgement::Drift);
    }

    #[test]
    fn nothing_is_borrowed_for_units_that_were_asked_once() {
        let mut units = vec![(0.0, Some(0.0), None, 0.0); 40];
        check(&units, FloorBasis::Reference, Judgement::Stable);
        // What was asked once moved, and may be noise.
        units.extend([(0.2, None, None, 0.0); 200]);
        check(&units, FloorBasis::Reference, Judgement::InsufficientEvidence);
    }

    #[test]
    fn where_the_reference_repeats_nothing_the_current_window_may() {
        check(&[(0.3, None, Some(0.3), 0.0); 40], FloorBasis::Current, Judgement::Stable);
    }

    #[test]
    fn what_repeats_and_stayed_does_not_hide_what_was_asked_once_and_provably_moved() {
        let one = |unit: usize, distance: f64, within_reference: Option<f64>| Measured {
            unit,
            change: UnitChange {
                distance,
                within_reference,
                within_current: None,
                rbo: 1.0,
                jaccard: 1.0,
                kendall: 1.0,
            },
            proof: Some(distance),
        };
        let head = (0..60).map(|unit| one(unit, 0.0, Some(0.0)));
        let measured: Vec<Measured> = head.chain((60..480).map(|unit| one(unit, 0.5, None))).collect();
        let options = Options::default();
        let by_floors = effect(&measured, &ONE_POPULATION, (10, 500), &options).unwrap();
        assert!(by_floors.is_open(options.threshold) && by_floors.excess.unwrap().estimate < 1e-9);
        let proven = proven(&measured, &ONE_POPULATION, &options).unwrap();
        assert_eq!((proven.basis, proven.rests_on()), (FloorBasis::Unknown, 480));
        assert_eq!(proven.verdict(0.001, true, &options), Judgement::Drift, "{proven:?}");
    }

    #[test]
    fn without_repeats_only_what_no_noise_can_make_is_drift() {
        check(&[(0.3, None, None, 0.3); 40], FloorBasis::Unknown, Judgement::Drift);
        check(&[(0.3, None, None, 0.0); 40], FloorBasis::Unknown, Judgement::InsufficientEvidence);
        // Whatever the floor is, it is no less than nothing.
        check(&[(0.0, None, None, 0.0); 40], FloorBasis::Unknown, Judgement::Stable);
    }

    #[test]
    fn a_few_units_may_drift_and_are_never_called_stable() {
        check(&[(0.3, Some(0.0), None, 0.0); 12], FloorBasis::Reference, Judgement::Drift);
        check(&[(0.0, Some(0.0), None, 0.0); 12], FloorBasis::Reference, Judgement::InsufficientEvidence);
    }

    #[test]
    fn many_units_are_resampled_in_groups_of_the_same_mean() {
        let values: Vec<f64> =
            (0..40_000_u32).map(|i| (crate::intern::stable_hash(&i.to_le_bytes()) % 7) as f64 / 7.0).collect();
        let resampling = Resampling { confidence: 0.95, resamples: 500, seed: 1 };
        let (whole, grouped) = (
            bootstrap_mean(&values, None, 0.4, resampling).unwrap(),
            interval(&values, None, 0.4, resampling).unwrap(),
        );
        let grouped = grouped.unwrap();
        assert!((whole.estimate - grouped.estimate).abs() < 1e-12);
        let width = |found: &BootstrapMean| found.high - found.low;
        assert!((width(&whole) / width(&grouped) - 1.0).abs() < 0.15, "{whole:?} {grouped:?}");
    }
}
