//! A uniform sample of operations with everything that was retrieved for each: how stages follow each other, when answers
//! changed, and measures of all answers, whether their queries match or not.

use std::collections::BTreeMap;

use crate::observe::{Attempt, Unit};
use crate::vocabulary::{Renumbering, renumbered};

/// How many operations a window keeps: enough to see in which hour of two weeks something changed.
pub const OPERATIONS: usize = 1 << 16;
/// Of how many of them the documents are kept, by which stages are put in order.
pub const DOCUMENTED: usize = 2_048;
/// From how many of them marginal measures are taken.
pub const MEASURED: usize = 10_240;

/// The measures of one answer in the order of [`Part::value`].
pub const MEASURES: [&str; 5] = ["top_score", "mean_score", "gap_1_2", "gap_1_k", "results"];

/// One retrieval of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it belongs to.
    pub unit: Unit,
    precedence: (u32, u64),
    /// How it was retrieved.
    pub context: u32,
    /// Which part of the traffic it belongs to.
    pub segment: u32,
    /// When it happened, in microseconds since 1970.
    pub occurred_at: i64,
    /// Its documents and their order, as a hash.
    pub digest: u64,
    values: [f32; MEASURES.len()],
}

/// The operations whose ids have the smallest hashes.
#[derive(Debug)]
pub struct OperationSample {
    operations: BTreeMap<u64, Vec<Part>>,
    /// The last one of a full sample, which every row is held against.
    last: u64,
    documents: BTreeMap<u64, Vec<Documents>>,
}

/// The states of the documents that one retrieval of an operation returned.
#[derive(Debug, Clone)]
pub(crate) struct Documents {
    pub(crate) unit: Unit,
    precedence: (u32, u64),
    pub(crate) states: Box<[u32]>,
}

impl Part {
    pub(crate) fn new(
        (unit, attempt): (Unit, Attempt),
        (context, segment): (u32, u32),
        (occurred_at, digest): (i64, u64),
        scores: impl Iterator<Item = Option<f64>> + Clone,
    ) -> Self {
        let precedence = attempt.precedence();
        Self { unit, precedence, context, segment, occurred_at, digest, values: measures(scores) }
    }

    /// A measure by its place in [`MEASURES`].
    pub fn value(&self, measure: usize) -> Option<f64> {
        self.values.get(measure).filter(|value| value.is_finite()).map(|value| f64::from(*value))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "24 bits are enough for a distribution")]
fn measures(scores: impl Iterator<Item = Option<f64>> + Clone) -> [f32; MEASURES.len()] {
    let mut values = [f32::NAN; MEASURES.len()];
    let (mut count, mut known, mut sum, mut last) = (0_u32, 0_u32, 0.0, 0.0);
    for score in scores.clone() {
        count += 1;
        if let Some(score) = score {
            known += 1;
            sum += score;
            last = score;
        }
    }
    let mut first_two = scores.flatten();
    if let (Some(first), true) = (first_two.next(), known == count) {
        values[0] = first as f32;
        values[1] = (sum / f64::from(known)) as f32;
        if let Some(second) = first_two.next() {
            values[2] = (first - second) as f32;
            values[3] = (first - last) as f32;
        }
    }
    values[4] = count as f32;
    values
}

fn keep<T>(sample: &mut BTreeMap<u64, Vec<T>>, operation: u64, limit: usize, new: T, precedes: impl Fn(&T, &T) -> bool)
where
    T: HasUnit,
{
    if !wants(sample, operation, limit) {
        return;
    }
    // Most operations ask one stage, and a window keeps many operations.
    let parts = sample.entry(operation).or_insert_with(|| Vec::with_capacity(1));
    match parts.iter_mut().find(|part| part.unit() == new.unit()) {
        Some(earlier) if precedes(earlier, &new) => *earlier = new,
        Some(_) => {}
        None => {
            parts.push(new);
            parts.sort_unstable_by_key(HasUnit::unit);
        }
    }
    if sample.len() > limit {
        sample.pop_last();
    }
}

fn wants<T>(sample: &BTreeMap<u64, Vec<T>>, operation: u64, limit: usize) -> bool {
    sample.len() < limit || sample.last_key_value().is_some_and(|(last, _)| operation <= *last)
}

trait HasUnit {
    fn unit(&self) -> Unit;
}

impl HasUnit for Part {
    fn unit(&self) -> Unit {
        self.unit
    }
}

impl HasUnit for Documents {
    fn unit(&self) -> Unit {
        self.unit
    }
}

impl Default for OperationSample {
    fn default() -> Self {
        Self { operations: BTreeMap::new(), last: u64::MAX, documents: BTreeMap::new() }
    }
}

impl OperationSample {
    /// Whether an operation would enter, so that its part need not be built if not.
    pub(crate) fn wants(&self, operation: u64) -> bool {
        operation <= self.last
    }

    fn keep(&mut self, operation: u64, part: Part) {
        keep(&mut self.operations, operation, OPERATIONS, part, |a, b| a.precedence < b.precedence);
        if self.operations.len() >= OPERATIONS {
            self.last = self.operations.last_key_value().map_or(u64::MAX, |(last, _)| *last);
        }
    }

    /// Takes in one retrieval with the states of its documents; of several attempts the last one stands.
    pub(crate) fn insert(&mut self, operation: u64, part: Part, states: impl Iterator<Item = u32>) {
        let precedence = part.precedence;
        if wants(&self.documents, operation, DOCUMENTED) {
            let documents = Documents { unit: part.unit, precedence, states: states.collect() };
            keep(&mut self.documents, operation, DOCUMENTED, documents, |a, b| a.precedence < b.precedence);
        }
        self.keep(operation, part);
    }

    /// The operations in an order of their own, each with its retrievals.
    pub fn iter(&self) -> impl Iterator<Item = &[Part]> {
        self.operations.values().map(Vec::as_slice)
    }

    /// The same with the hash of each operation's id.
    pub(crate) fn by_operation(&self) -> impl Iterator<Item = (u64, &[Part])> {
        self.operations.iter().map(|(operation, parts)| (*operation, parts.as_slice()))
    }

    /// The retrievals from which marginal measures are taken.
    pub fn measured(&self) -> impl Iterator<Item = &Part> {
        self.operations.values().take(MEASURED).flatten()
    }

    /// The documents of some operations, stage by stage, with when each stage answered.
    pub(crate) fn documented(&self) -> impl Iterator<Item = (&[Part], &[Documents])> {
        let parts = |operation: &u64| self.operations.get(operation).map(Vec::as_slice);
        self.documents.iter().filter_map(move |(operation, documents)| Some((parts(operation)?, documents.as_slice())))
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (operation, parts) in other.operations {
            for part in parts {
                self.keep(operation, part);
            }
        }
        for (operation, all) in other.documents {
            for documents in all {
                keep(&mut self.documents, operation, DOCUMENTED, documents, |a, b| a.precedence < b.precedence);
            }
        }
    }

    /// The operations of some units as those of others.
    pub(crate) fn regrouped(&self, of: impl Fn(Unit) -> Option<Unit>) -> Self {
        let mut regrouped = Self::default();
        for (operation, parts) in &self.operations {
            for part in parts {
                if let Some(unit) = of(part.unit) {
                    regrouped.keep(*operation, Part { unit, ..part.clone() });
                }
            }
        }
        for (operation, all) in &self.documents {
            for documents in all {
                if let Some(unit) = of(documents.unit) {
                    let documents = Documents { unit, ..documents.clone() };
                    keep(&mut regrouped.documents, *operation, DOCUMENTED, documents, |a, b| {
                        a.precedence < b.precedence
                    });
                }
            }
        }
        regrouped
    }

    pub(crate) fn renumber(mut self, new: &Renumbering) -> Self {
        for parts in self.operations.values_mut() {
            for part in parts.iter_mut() {
                part.unit = part.unit.renumber(new);
                part.context = renumbered(&new.contexts, part.context, u32::MAX);
                part.segment = renumbered(&new.segments, part.segment, u32::MAX);
            }
            parts.sort_unstable_by_key(HasUnit::unit);
        }
        for all in self.documents.values_mut() {
            for documents in all.iter_mut() {
                documents.unit = documents.unit.renumber(new);
                documents.states.iter_mut().for_each(|state| *state = renumbered(&new.states, *state, *state));
            }
            all.sort_unstable_by_key(HasUnit::unit);
        }
        self
    }
}
