//! Which declared keys split the answers: learnt in the reference alone, so that the choice cannot depend on the change that
//! is looked for.
//!
//! Operations of one unit that share a value of the key are held against those that do not. Where they are more alike by
//! more than what matters in practice, and not by chance, the key belongs to the question: the answers under two of its
//! values are answers to two questions. A key that splits nothing (a weekday) must not cost matches.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use tidemark_stats::{Labelled, Persistence, label_split_test};

use crate::answer::distance;
use crate::compare::Options;
use crate::error::Error;
use crate::intern::FastSet;
use crate::observe::{Observations, Observed, distinct};
use crate::read::TENANT_KEYS;
use crate::vocabulary::{Vocabulary, key_and_value};

/// From how many units it is learnt at most, evenly spread.
const UNITS: usize = 1_000;
/// With fewer units that tell anything of a key nothing is learnt of it.
const UNITS_MIN: usize = 10;
/// A key is learnt at this level, divided by the number of keys.
const LEVEL: f64 = 0.01;
/// A key whose values are mostly new in the current window would leave nothing to compare.
const SHARED: f64 = 0.5;

/// One unit of the reference: its operations, and how alike their answers are.
struct Repeated<'a> {
    operations: Vec<&'a Observed>,
    similarity: Vec<Vec<f64>>,
}

/// The keys that split the answers of some stages, strongest first.
pub(crate) fn splitting_keys(
    (before, after): (&Observations, &Observations),
    stages: &FastSet<u32>,
    vocabulary: &Vocabulary,
    p: Persistence,
    options: &Options,
) -> Result<Vec<String>, Error> {
    let repeated = repeated(before, stages, vocabulary, p)?;
    if repeated.len() < UNITS_MIN {
        return Ok(Vec::new());
    }
    let keys = keys(&repeated, after, vocabulary);
    let mut learnt: Vec<String> = Vec::new();
    loop {
        let mut strongest: Option<(f64, &String)> = None;
        for key in keys.iter().filter(|key| !learnt.contains(key)) {
            let strata: Vec<Labelled> =
                repeated.iter().flat_map(|unit| unit.strata(key, &learnt, vocabulary)).collect();
            if strata.iter().filter(|stratum| tells(stratum)).count() < UNITS_MIN {
                continue;
            }
            // Permuted only where the split is one that matters.
            if label_split_test(&strata, 1, options.seed)?.statistic <= options.threshold {
                continue;
            }
            // The smallest p-value there can be must survive the correction.
            let permutations = options.permutations.max(u32::try_from(200 * keys.len()).unwrap_or(u32::MAX));
            let test = label_split_test(&strata, permutations, options.seed)?;
            if test.p_value * keys.len() as f64 <= LEVEL && strongest.is_none_or(|(most, _)| test.statistic > most) {
                strongest = Some((test.statistic, key));
            }
        }
        match strongest {
            Some((_, key)) => learnt.push(key.clone()),
            None => return Ok(learnt),
        }
    }
}

fn repeated<'a>(
    window: &'a Observations,
    stages: &FastSet<u32>,
    vocabulary: &Vocabulary,
    p: Persistence,
) -> Result<Vec<Repeated<'a>>, Error> {
    // Two of one value and one of another: with fewer there is no pair of each kind.
    let mut units: Vec<_> =
        window.units.iter().filter(|(unit, sample)| stages.contains(&unit.stage) && sample.sample.len() > 2).collect();
    let limits = vocabulary.limit_ranks();
    units.sort_unstable_by_key(|(unit, _)| unit.order((vocabulary, &limits)));
    let step = units.len().div_ceil(UNITS).max(1);
    let chosen: Vec<_> = units.into_iter().step_by(step).collect();
    chosen
        .par_iter()
        .map(|(_, sample)| {
            let answers = distinct(sample.sample.iter(), vocabulary)?;
            let same = |observed: &Observed| {
                answers.iter().position(|(answer, _)| {
                    answer.context == observed.context
                        && answer.states.iter().copied().eq(observed.places.iter().map(|place| place.state()))
                })
            };
            let of: Vec<usize> = sample.sample.iter().map(|observed| same(observed).unwrap_or(0)).collect();
            let apart: Vec<Vec<f64>> =
                answers.iter().map(|(a, _)| answers.iter().map(|(b, _)| 1.0 - distance(a, b, p)).collect()).collect();
            let alike = |i: usize, j: usize| apart.get(i).and_then(|row| row.get(j)).copied().unwrap_or(1.0);
            let similarity = of.iter().map(|i| of.iter().map(|j| alike(*i, *j)).collect()).collect();
            Ok(Repeated { operations: sample.sample.iter().collect(), similarity })
        })
        .collect()
}

/// The keys with several values in the reference, most of whose current values the reference knows.
fn keys(repeated: &[Repeated<'_>], after: &Observations, vocabulary: &Vocabulary) -> Vec<String> {
    let mut values: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for observed in repeated.iter().flat_map(|unit| &unit.operations) {
        for label in vocabulary.labels_of(observed.segment) {
            let (key, _) = key_and_value(vocabulary.labels.text(*label));
            values.entry(key).or_default().insert(*label);
        }
    }
    // The retriever is a stage, and the tenant a part of every unit.
    values.retain(|key, values| values.len() > 1 && *key != "retriever" && !TENANT_KEYS.contains(key));
    let shared = |key: &str, known: &BTreeSet<u32>| {
        let (mut all, mut shared) = (0.0, 0.0);
        for observed in after.sampled() {
            let mut labels = vocabulary.labels_of(observed.segment).iter();
            let label = labels.find(|label| key_and_value(vocabulary.labels.text(**label)).0 == key);
            all += 1.0;
            shared += f64::from(u8::from(label.is_some_and(|label| known.contains(label))));
        }
        shared >= SHARED * all
    };
    values.iter().filter(|(key, known)| shared(key, known)).map(|(key, _)| (*key).to_owned()).collect()
}

/// Whether it holds pairs of both kinds.
fn tells(stratum: &Labelled) -> bool {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for label in &stratum.labels {
        *counts.entry(*label).or_default() += 1;
    }
    counts.len() > 1 && counts.values().any(|count| *count > 1)
}

impl Repeated<'_> {
    /// Its operations by the values of a key, within equal values of the keys that were learnt before.
    fn strata(&self, key: &str, learnt: &[String], vocabulary: &Vocabulary) -> Vec<Labelled> {
        let label_of = |observed: &Observed, key: &str| {
            let mut labels = vocabulary.labels_of(observed.segment).iter().copied();
            labels.find(|label| key_and_value(vocabulary.labels.text(*label)).0 == key)
        };
        let mut groups: BTreeMap<Vec<Option<u32>>, Vec<(usize, u32)>> = BTreeMap::new();
        for (i, observed) in self.operations.iter().enumerate() {
            if let Some(label) = label_of(observed, key) {
                let within = learnt.iter().map(|key| label_of(observed, key)).collect();
                groups.entry(within).or_default().push((i, label));
            }
        }
        let alike = |i: usize, j: usize| self.similarity.get(i).and_then(|row| row.get(j)).copied().unwrap_or(1.0);
        groups
            .into_values()
            .filter(|group| group.len() > 2)
            .map(|group| {
                let similarity: Vec<f64> =
                    group.iter().flat_map(|(i, _)| group.iter().map(|(j, _)| alike(*i, *j))).collect();
                Labelled::new(group.iter().map(|(_, label)| *label).collect(), &similarity)
            })
            .collect()
    }
}
