//! What is compared with what: an answer only with one to the same question, by the same stage, within the same limits, in
//! the same population.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::intern::{FastMap, FastSet, QueryNumber};
use crate::observe::{Observations, Observed, UnitSample};
use crate::pipeline::Pipeline;
use crate::vocabulary::{Vocabulary, key_and_value};

/// Repeats of a question carry another scope or filter this seldom where the limits belong to the question.
const LIMITS_VARY: f64 = 0.05;
/// More scopes or filters than this belong to those who ask.
const LIMITS_FEW: usize = 4;

/// Who is answered by whom: answers of one population have one habit, and so one noise floor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Population {
    pub(crate) stage: u32,
    /// The label of the tenant; none where only one window names tenants.
    pub(crate) tenant: Option<u32>,
    /// The labels of the keys that were learnt to split answers.
    pub(crate) learnt: Vec<u32>,
}

/// A unit that both windows asked.
#[derive(Debug, Clone)]
pub(crate) struct MatchedUnit<'a> {
    pub(crate) query: QueryNumber,
    /// The number of its population.
    pub(crate) population: usize,
    /// The stage, by its number in the reference.
    pub(crate) stage: u32,
    /// What limits it, in the reference; whatever the tenant, where only one window names tenants.
    pub(crate) limits: u32,
    /// Its sampled operations in the reference.
    pub(crate) reference: Vec<&'a Observed>,
    /// Its sampled operations in the current window.
    pub(crate) current: Vec<&'a Observed>,
    /// A trace of each.
    pub(crate) traces: [Option<&'a str>; 2],
}

impl<'a> MatchedUnit<'a> {
    /// Its sampled operations in one window.
    pub(crate) fn sample(&self, current: bool) -> &[&'a Observed] {
        if current { &self.current } else { &self.reference }
    }

    /// What it holds of one part of the traffic.
    pub(crate) fn part(&self, is_part: impl Fn(&Observed) -> bool) -> Self {
        let of = |sample: &[&'a Observed]| sample.iter().copied().filter(|observed| is_part(observed)).collect();
        Self { reference: of(&self.reference), current: of(&self.current), ..self.clone() }
    }

    /// What a difference of the means of both windows is worth: the inverse of its variance, for values that vary alike.
    fn precision(&self) -> f64 {
        let (m, n) = (self.reference.len() as f64, self.current.len() as f64);
        m * n / (m + n)
    }
}

/// All units that both windows asked.
#[derive(Debug)]
pub(crate) struct Matched<'a> {
    /// In the order of their fingerprints, so that every sum has one order.
    pub(crate) units: Vec<MatchedUnit<'a>>,
    pub(crate) populations: Vec<Population>,
    /// The operations of each population in the reference, matched or not: what the population counts.
    pub(crate) operations: Vec<f64>,
    /// Where neighbouring questions are compared, what a change between their answers is multiplied with to be one between
    /// answers to equal questions.
    pub(crate) extrapolation: Option<f64>,
}

/// What one window holds of a question, a stage and a tenant, by the limits.
type Side<'a> = Vec<(u32, &'a UnitSample)>;

/// A question to one stage by one tenant, whatever limits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    query: QueryNumber,
    stage: u32,
    tenant: Option<u32>,
}

/// Which scopes and filters belong to a stage and a tenant, and whether a request under new ones may be compared with one
/// under the old.
#[derive(Debug, Default)]
struct Restrictions {
    windows: [BTreeSet<u32>; 2],
    /// Questions of the reference that were asked more than once, and those of them under more than one restriction.
    repeated: u32,
    varying: u32,
}

impl Restrictions {
    /// The restriction is part of the request's configuration, not of who asks: then another one is a change of it.
    fn belong_to_the_question(&self) -> bool {
        self.windows.iter().all(|window| window.len() <= LIMITS_FEW)
            && f64::from(self.varying) <= LIMITS_VARY * f64::from(self.repeated)
    }
}

/// Pairs the units of two windows, `as_one` population whatever their tenants.
pub(crate) fn matched<'a>(
    (before, after): (&'a Observations, &'a Observations),
    pipeline: &Pipeline,
    (learnt, as_one): (&[String], bool),
    vocabulary: &Vocabulary,
) -> Matched<'a> {
    let mut questions: FastMap<Question, [Side<'a>; 2]> = FastMap::default();
    let without_tenants = as_one.then(|| without_tenants(vocabulary));
    for (window, observations) in [before, after].into_iter().enumerate() {
        for (unit, sample) in &observations.units {
            let stage = if window == 0 { unit.stage } else { pipeline.reference_of(unit.stage) };
            let (tenant, limits) = match &without_tenants {
                None => (vocabulary.limits_of(unit.limits).tenant, unit.limits),
                Some(same) => (None, same.get(unit.limits as usize).copied().unwrap_or(unit.limits)),
            };
            let sides = questions.entry(Question { query: unit.query, stage, tenant }).or_default();
            if let Some(side) = sides.get_mut(window) {
                side.push((limits, sample));
            }
        }
    }
    let restrictions = restrictions(&questions);
    let mut found = Found { per_unit: before.per_unit(), ..Found::default() };
    for (question, [reference, current]) in &questions {
        for (_, sample) in reference {
            found.count(*question, sample, learnt, vocabulary);
        }
        let key = (question.stage, question.tenant);
        let crossing = restrictions.get(&key).filter(|restrictions| restrictions.belong_to_the_question());
        for (limits, reference, current) in paired(reference, current, crossing) {
            found.take((*question, limits), &reference, &current, learnt, vocabulary);
        }
    }
    let mut matched = found.finish(vocabulary);
    for (population, operations) in matched.populations.iter().zip(&mut matched.operations) {
        // Of a stage that others follow only the operations that end with it were seen by the model.
        let seen = pipeline.seen_share(population.stage);
        if seen > 0.0 {
            *operations *= seen;
        }
    }
    matched
}

/// Whether one window alone says to which tenant its questions belong. Then nothing tells whose the other's were, and all are
/// compared as one population.
pub(crate) fn only_one_names_tenants(windows: [&Observations; 2], vocabulary: &Vocabulary) -> bool {
    let names =
        |window: &Observations| window.units.keys().any(|unit| vocabulary.limits_of(unit.limits).tenant.is_some());
    let [before, after] = windows.map(|window| (names(window), window.units.is_empty()));
    before.0 != after.0 && !before.1 && !after.1
}

/// For each number of limits the first one, by rank, that differs in the tenant alone.
fn without_tenants(vocabulary: &Vocabulary) -> Vec<u32> {
    let ranks = vocabulary.limit_ranks();
    let mut numbers: Vec<u32> = (0_u32..).take(ranks.len()).collect();
    numbers.sort_unstable_by_key(|number| ranks.get(*number as usize).copied());
    let mut same = vec![0; ranks.len()];
    let mut first: BTreeMap<(&[u32], Option<&str>), u32> = BTreeMap::new();
    for number in numbers {
        let limits = vocabulary.limits_of(number);
        if let Some(place) = same.get_mut(number as usize) {
            *place = *first.entry((&limits.scope, limits.filter.as_deref())).or_insert(number);
        }
    }
    same
}

fn restrictions(questions: &FastMap<Question, [Side<'_>; 2]>) -> BTreeMap<(u32, Option<u32>), Restrictions> {
    let mut all: BTreeMap<(u32, Option<u32>), Restrictions> = BTreeMap::new();
    for (question, sides) in questions {
        let restrictions = all.entry((question.stage, question.tenant)).or_default();
        for (known, side) in restrictions.windows.iter_mut().zip(sides) {
            known.extend(side.iter().map(|(limits, _)| *limits));
        }
        let asked: u32 = sides[0].iter().map(|(_, sample)| sample.operations).sum();
        restrictions.repeated += u32::from(asked > 1);
        let first = sides[0].first().map(|(limits, _)| limits);
        restrictions.varying += u32::from(sides[0].iter().any(|(limits, _)| Some(limits) != first));
    }
    all
}

/// What is compared of one question: equal limits with equal ones; and a request under a restriction that the reference did
/// not know with what the question got before, where restrictions belong to the question.
fn paired<'a>(
    reference: &Side<'a>,
    current: &Side<'a>,
    crossing: Option<&Restrictions>,
) -> Vec<(u32, Vec<&'a UnitSample>, Vec<&'a UnitSample>)> {
    let mut pairs: Vec<(u32, Vec<&UnitSample>, Vec<&UnitSample>)> = Vec::new();
    let mut unmatched: Vec<&UnitSample> = Vec::new();
    for (limits, sample) in current {
        if let Some((_, _, now)) = pairs.iter_mut().find(|(other, _, _)| other == limits) {
            now.push(sample);
            continue;
        }
        let equal = reference.iter().filter(|(other, _)| other == limits);
        let earlier: Vec<&UnitSample> = equal.map(|(_, sample)| *sample).collect();
        if !earlier.is_empty() {
            pairs.push((*limits, earlier, vec![sample]));
        } else if crossing.is_some_and(|known| !known.windows[0].contains(limits)) {
            unmatched.push(sample);
        }
    }
    if !unmatched.is_empty() {
        let gone = |limits: &u32| crossing.is_some_and(|known| !known.windows[1].contains(limits));
        let earlier: Vec<&UnitSample> =
            reference.iter().filter(|(limits, _)| gone(limits)).map(|(_, sample)| *sample).collect();
        let only = reference.first().filter(|(first, _)| reference.iter().all(|(limits, _)| limits == first));
        match only {
            _ if !earlier.is_empty() => pairs.push((u32::MAX, earlier, unmatched)),
            Some((limits, _)) => match pairs.iter_mut().find(|(other, _, _)| other == limits) {
                Some((_, _, now)) => now.extend(unmatched),
                None => pairs.push((*limits, reference.iter().map(|(_, sample)| *sample).collect(), unmatched)),
            },
            None => {}
        }
    }
    pairs
}

/// The labels of the learnt keys that a segment has.
fn learnt_labels(segment: u32, learnt: &[String], vocabulary: &Vocabulary) -> Vec<u32> {
    if learnt.is_empty() {
        return Vec::new();
    }
    let of_key = |label: &&u32| {
        let (key, _) = key_and_value(vocabulary.labels.text(**label));
        learnt.iter().any(|learnt| learnt == key)
    };
    vocabulary.labels_of(segment).iter().filter(of_key).copied().collect()
}

#[derive(Default)]
struct Found<'a> {
    /// How many operations of a unit are compared in each window.
    per_unit: usize,
    units: Vec<MatchedUnit<'a>>,
    /// The number of each, and the operations of its units.
    populations: BTreeMap<Population, (usize, Vec<f64>)>,
}

impl<'a> Found<'a> {
    /// Counts the operations of a unit of the reference for its populations.
    fn count(&mut self, question: Question, sample: &UnitSample, learnt: &[String], vocabulary: &Vocabulary) {
        let mut groups: BTreeMap<Vec<u32>, f64> = BTreeMap::new();
        for observed in &sample.sample {
            *groups.entry(learnt_labels(observed.segment, learnt, vocabulary)).or_default() += 1.0;
        }
        for (learnt, count) in groups {
            let population = Population { stage: question.stage, tenant: question.tenant, learnt };
            let next = self.populations.len();
            let (_, counted) = self.populations.entry(population).or_insert((next, Vec::new()));
            counted.push(sample.weight() * count / sample.sample.len().max(1) as f64);
        }
    }

    fn take(
        &mut self,
        (question, limits): (Question, u32),
        reference: &[&'a UnitSample],
        current: &[&'a UnitSample],
        learnt: &[String],
        vocabulary: &Vocabulary,
    ) {
        let mut groups: BTreeMap<Vec<u32>, [Vec<&'a Observed>; 2]> = BTreeMap::new();
        for (window, samples) in [reference, current].into_iter().enumerate() {
            for observed in samples.iter().flat_map(|sample| &sample.sample) {
                let group = groups.entry(learnt_labels(observed.segment, learnt, vocabulary)).or_default();
                group[window].push(observed);
            }
        }
        let traced = |observed: &[&'a Observed], samples: &[&'a UnitSample]| {
            let first = observed.first()?;
            let of =
                samples.iter().find(|sample| sample.sample.first().is_some_and(|one| std::ptr::eq(one, *first)))?;
            of.trace.as_deref()
        };
        for (labels, [mut before, mut now]) in groups {
            // Of several units the operations in one order, and no more than of one.
            for sample in [&mut before, &mut now] {
                sample.sort_by_key(|observed| observed.operation);
                sample.truncate(self.per_unit);
            }
            let population = Population { stage: question.stage, tenant: question.tenant, learnt: labels };
            let number = self.populations.get(&population).map(|(number, _)| *number);
            if let (Some(population), false, false) = (number, before.is_empty(), now.is_empty()) {
                self.units.push(MatchedUnit {
                    query: question.query,
                    population,
                    stage: question.stage,
                    limits,
                    traces: [traced(&before, reference), traced(&now, current)],
                    reference: before,
                    current: now,
                });
            }
        }
    }

    /// In an order that numbers have no part in.
    fn finish(self, vocabulary: &Vocabulary) -> Matched<'a> {
        let name = |population: &Population| {
            let labels = population.tenant.iter().chain(&population.learnt);
            let mut labels: Vec<String> = labels.map(|label| vocabulary.labels.text(*label).to_owned()).collect();
            labels.sort_unstable();
            (vocabulary.stage_of(population.stage).clone(), labels)
        };
        let mut ordered: Vec<_> = self.populations.into_iter().map(|entry| (name(&entry.0), entry)).collect();
        ordered.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut new = vec![0; ordered.len()];
        for (at, (_, (_, (old, _)))) in ordered.iter().enumerate() {
            if let Some(place) = new.get_mut(*old) {
                *place = at;
            }
        }
        let limits = vocabulary.limit_ranks();
        let mut units = self.units;
        for unit in &mut units {
            unit.population = new.get(unit.population).copied().unwrap_or(0);
        }
        units.par_sort_by(|a, b| {
            let rank = |unit: &MatchedUnit<'a>| limits.get(unit.limits as usize).copied().unwrap_or(0);
            let key = |unit: &MatchedUnit<'a>| (vocabulary.queries.text(unit.query), unit.population, rank(unit));
            let first = |unit: &MatchedUnit<'a>| unit.reference.first().map(|observed| observed.operation);
            key(a).cmp(&key(b)).then_with(|| first(a).cmp(&first(b)))
        });
        let (populations, operations) = ordered
            .into_iter()
            .map(|(_, (population, (_, mut operations)))| {
                // Neither the order of a hash table nor that of the rows may reach a sum of floating-point numbers.
                operations.sort_by(f64::total_cmp);
                (population, operations.iter().sum::<f64>())
            })
            .unzip();
        Matched { units, populations, operations, extrapolation: None }
    }
}

/// What a value counts: all alike where nothing is weighted.
pub(crate) fn weight_at(weights: Option<&[f64]>, at: usize) -> f64 {
    weights.and_then(|weights| weights.get(at)).copied().unwrap_or(1.0)
}

impl Matched<'_> {
    /// How much each of some units counts: a population as much as it asked in the reference, its units equally. So a
    /// shift of the mix between populations cannot look like a change of retrieval. Units of neighbouring questions are of
    /// any size, and count as much as is known of them. Nothing where all count alike.
    pub(crate) fn weights(&self, units: &[usize]) -> Option<Vec<f64>> {
        let population = |unit: &usize| self.units.get(*unit).map_or(0, |unit| unit.population);
        let alone = |unit: &usize| match self.extrapolation {
            Some(_) => self.units.get(*unit).map_or(0.0, MatchedUnit::precision),
            None => 1.0,
        };
        let mut known = vec![0.0; self.populations.len()];
        for unit in units {
            if let Some(known) = known.get_mut(population(unit)) {
                *known += alone(unit);
            }
        }
        if known.iter().filter(|known| **known > 0.0).count() < 2 {
            return self.extrapolation.map(|_| units.iter().map(alone).collect());
        }
        let weight = |unit: &usize| {
            let at = population(unit);
            let (operations, known) = (self.operations.get(at).copied(), known.get(at).copied());
            alone(unit) * operations.unwrap_or(0.0) / known.unwrap_or(1.0)
        };
        Some(units.iter().map(weight).collect())
    }

    /// The units of some stages.
    pub(crate) fn of_stages(&self, stages: &FastSet<u32>) -> Vec<usize> {
        self.units.iter().enumerate().filter(|(_, unit)| stages.contains(&unit.stage)).map(|(at, _)| at).collect()
    }
}
