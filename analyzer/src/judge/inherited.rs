//! How much of a stage's change it inherited from a stage before it.
//!
//! A stage hands on documents, and what comes after it may order them anew: a search that returns 13 documents in place of
//! 26 hardly changes by its own measure, which weighs the end of a list little, and takes half of the choice from the
//! reranker that follows. So what is inherited is counted in documents: those that an answer lost and the earlier stage lost
//! as well, or those that both gained. A change that is mostly one of order is not inherited, whatever few documents left.

use crate::intern::{DocumentNumber, FastMap};
use crate::observe::Observed;
use crate::units::{Matched, MatchedUnit, Population, weight_at};
use crate::vocabulary::Vocabulary;

/// By how much a document appears more seldom than before, between -1 and 1: the difference of two shares of answers.
type Losses = FastMap<DocumentNumber, f64>;

/// A document that leaves a place drawn by chance changes the distance as much as its part of the answer; what makes up for
/// less than this part of the change is not what it is about.
const MATERIAL: f64 = 1.0 / 3.0;

/// Which part of what some units lost or gained the units of an earlier stage lost or gained with them, between 0 and 1: the
/// larger one of the two parts, because what an earlier stage loses is made up for by documents that it had all along. 0 if
/// too few documents changed for a change of this size.
pub(super) fn inherited(
    (units, excess): (&[usize], f64),
    earlier: &[usize],
    matched: &Matched<'_>,
    vocabulary: &Vocabulary,
) -> f64 {
    let of = |at: &usize| matched.units.get(*at);
    let mut known: FastMap<_, Losses> = FastMap::default();
    for unit in earlier.iter().filter_map(of) {
        // One search may be asked under several limits for the same question.
        let all = known.entry(question(unit, matched)).or_default();
        for (document, lost) in losses(unit, vocabulary) {
            let most = all.entry(document).or_insert(lost);
            *most = if lost.abs() > most.abs() { lost } else { *most };
        }
    }
    let weights = matched.weights(units);
    // What was lost and what was gained: all of it, and what the earlier stage lost or gained as well.
    let mut sums = [(0.0, 0.0); 2];
    let mut answered = 0.0;
    for (at, unit) in units.iter().enumerate() {
        let Some(unit) = of(unit) else { continue };
        let weight = weight_at(weights.as_deref(), at);
        answered += weight * length(&unit.reference).max(length(&unit.current));
        let earlier = known.get(&question(unit, matched));
        let theirs = |document| earlier.and_then(|earlier| earlier.get(document)).copied().unwrap_or(0.0);
        let mut losses: Vec<[f64; 2]> =
            losses(unit, vocabulary).iter().map(|(document, lost)| [*lost, theirs(document)]).collect();
        // Neither the order of a hash table nor that of the rows may reach a sum of floating-point numbers.
        losses.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
        for [lost, theirs] in losses {
            let (all, common) = &mut sums[usize::from(lost < 0.0)];
            *all += weight * lost.abs();
            *common += weight * (theirs * lost.signum()).clamp(0.0, lost.abs());
        }
    }
    let most = sums.iter().map(|(all, _)| *all).fold(0.0, f64::max);
    let material = |(all, _): &(f64, f64)| *all > 0.0 && *all >= MATERIAL * most.max(excess * answered);
    sums.into_iter().filter(material).map(|(all, common)| common / all).fold(0.0, f64::max)
}

/// How many documents an answer holds on average.
fn length(sample: &[&Observed]) -> f64 {
    sample.iter().map(|observed| observed.places.len() as f64).sum::<f64>() / sample.len().max(1) as f64
}

/// What a unit has in common with those of other stages in the same operations.
fn question<'m>(unit: &MatchedUnit<'_>, matched: &'m Matched<'_>) -> impl Eq + std::hash::Hash + use<'m> {
    let population = matched.populations.get(unit.population);
    (unit.query, population.map(|Population { tenant, learnt, .. }| (*tenant, learnt.as_slice())))
}

fn losses(unit: &MatchedUnit<'_>, vocabulary: &Vocabulary) -> Losses {
    let mut losses = Losses::default();
    let mut count = |sample: &[&Observed], sign: f64| {
        for observed in sample {
            for place in observed.places.iter() {
                let document = vocabulary.state_of(place.state()).document;
                *losses.entry(document).or_default() += sign / sample.len() as f64;
            }
        }
    };
    count(&unit.reference, 1.0);
    count(&unit.current, -1.0);
    losses.retain(|_, lost| lost.abs() > 1e-9);
    losses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Place;
    use crate::observe::{Attempt, Circumstances, UnitSample};
    use crate::vocabulary::State;

    /// What a search and a reranker answered to one question, before and now.
    #[track_caller]
    fn check(search: [&[&str]; 2], reranker: [&[&str]; 2], excess: f64, expected: f64) {
        let mut vocabulary = Vocabulary::default();
        let mut observed = |documents: &[&str]| {
            let mut sample = UnitSample::default();
            let state = |document: &&str| {
                let document = vocabulary.document(document);
                let state = State { document, content: None, scope: None, tokens: None, updated_at: None };
                Place::new(vocabulary.state(state), None)
            };
            let places: Vec<Place> = documents.iter().map(state).collect();
            let circumstances = Circumstances {
                occurred_at: 0,
                context: 0,
                segment: 0,
                trace: None,
                latency_ms: None,
                cost_usd: None,
                digest: 0,
            };
            sample.insert((Attempt::of("operation", 1, &[]), 1), circumstances, &places);
            sample
        };
        let samples: Vec<UnitSample> =
            [search[0], search[1], reranker[0], reranker[1]].into_iter().map(&mut observed).collect();
        let query = vocabulary.queries.number("question");
        let unit = |stage: u32, at: usize| MatchedUnit {
            query,
            population: stage as usize,
            stage,
            limits: 0,
            reference: samples[at].sample.iter().collect(),
            current: samples[at + 1].sample.iter().collect(),
            traces: [None, None],
        };
        let population = |stage| Population { stage, tenant: None, learnt: Vec::new() };
        let matched = Matched {
            units: vec![unit(0, 0), unit(1, 2)],
            populations: vec![population(0), population(1)],
            operations: vec![1.0, 1.0],
            extrapolation: None,
        };
        let found = inherited((&[1], excess), &[0], &matched, &vocabulary);
        assert!((found - expected).abs() < 1e-12, "{found}");
    }

    #[test]
    fn what_a_reranker_is_no_longer_given_it_loses() {
        check([&["a", "b", "c", "d"], &["a", "b"]], [&["c", "a"], &["a", "b"]], 0.5, 1.0);
    }

    #[test]
    fn a_reranker_that_chooses_otherwise_inherits_nothing() {
        check([&["a", "b", "c", "d"], &["a", "b", "c", "d"]], [&["c", "a"], &["a", "b"]], 0.5, 0.0);
    }

    #[test]
    fn a_change_of_order_is_not_inherited_with_one_document() {
        let (before, now) = (["a", "b", "c", "d", "e", "f", "g", "h"], ["h", "g", "f", "e", "d", "c", "b"]);
        check([&before, &before[1..]], [&before, &now], 0.5, 0.0);
    }
}
