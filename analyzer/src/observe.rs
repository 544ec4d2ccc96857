//! What a window held, in the form that comparisons need and in a bounded size.
//!
//! - *Which units* (a question, the stage that answered it, and what limited the answer): all of them up to [`UNITS`];
//!   beyond, those of the queries whose fingerprints have the smallest hashes. Both windows keep the same queries, so those
//!   that match stay matched.
//! - *Which operations of a unit*: the [`SAMPLE`] whose ids have the smallest hashes, fewer where there are many units
//!   ([`FEWER`]). All attempts of one operation fall on the same place, where the last one stands for the
//!   operation; and all stages of a pipeline keep the same operations.
//!
//! Both are uniform samples that do not depend on the order of the rows: [`Observations::merge`] of two halves is the
//! whole. What integrity is judged by ([`Sightings`]) is counted over every row.

mod regroup;

use std::sync::Arc;

use rayon::prelude::*;
use tidemark_schema::Timestamp;

use crate::answer::{Answer, Place};
use crate::error::Error;
use crate::intern::{FastMap, FastSet, QueryNumber, stable_hash};
use crate::operations::OperationSample;
use crate::outcome::Outcome;
use crate::sightings::Sightings;
use crate::signatures::Signatures;
use crate::stage::Stage;
use crate::vocabulary::{Renumbering, Vocabulary, renumbered};

/// How many operations of one unit a window keeps: their pairs grow with its square.
pub const SAMPLE: usize = 16;
/// How many units a window keeps: as many as a hash table of 2^17 buckets holds before it doubles.
pub const UNITS: usize = (1 << 17) / 8 * 7;
/// With more units than this, so many operations of each are enough: certainty comes from the number of units.
pub const FEWER: [(usize, usize); 2] = [(1 << 13, SAMPLE / 2), (1 << 16, SAMPLE / 4)];

/// What an answer is compared within: the question, who answered it, and what limited the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// The query.
    pub query: QueryNumber,
    /// The number of the stage.
    pub stage: u32,
    /// The number of what limited the answer.
    pub limits: u32,
}

/// One operation in the sample of its unit. Equal answers are kept once.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The hash of its operation's id: it is sampled by it, and outputs find their retrievals by it.
    pub(crate) operation: u64,
    attempt: u32,
    tie: u64,
    /// When it happened, in microseconds since 1970.
    pub(crate) occurred_at: i64,
    /// How it was retrieved.
    pub context: u32,
    /// Which part of the traffic it belongs to.
    pub segment: u32,
    /// The hash of its trace, if it had one.
    pub(crate) trace: Option<std::num::NonZeroU64>,
    /// Which documents it was answered, in which order, as a hash.
    pub(crate) digest: u64,
    /// How long it took, in milliseconds; not a number where that is unknown.
    pub(crate) latency_ms: f32,
    /// What it cost, in US dollars; not a number where that is unknown.
    pub(crate) cost_usd: f32,
    /// What it was answered.
    pub places: Arc<[Place]>,
    /// What came of it, if an output was recorded.
    pub outcome: Option<Box<Outcome>>,
}

/// What one unit was answered in a window.
#[derive(Debug, Clone, Default)]
pub struct UnitSample {
    /// How many operations asked it.
    pub operations: u32,
    /// The hashes by which similar queries are found.
    pub signatures: Signatures,
    /// The trace of the first operation of the sample.
    pub trace: Option<Box<str>>,
    /// The sampled operations, by the hash of their ids.
    pub sample: Vec<Observed>,
}

/// A window.
#[derive(Debug)]
pub struct Observations {
    /// How many events it held.
    pub events: u64,
    /// The units and what they were answered.
    pub units: FastMap<Unit, UnitSample>,
    /// The earliest and the latest event.
    pub span: Option<(Timestamp, Timestamp)>,
    /// A uniform sample of operations with all their stages.
    pub operations: OperationSample,
    /// Which documents were returned as what, over all rows.
    pub sightings: Sightings,
    /// Queries whose fingerprint has a hash up to this are kept.
    level: u64,
    /// How many operations of one unit are kept.
    per_unit: usize,
}

impl Default for Observations {
    fn default() -> Self {
        Self {
            events: 0,
            units: FastMap::default(),
            span: None,
            operations: OperationSample::default(),
            sightings: Sightings::default(),
            level: u64::MAX,
            per_unit: SAMPLE,
        }
    }
}

impl Observations {
    /// Whether a query is among those that are kept.
    pub fn wants(&self, fingerprint: &str) -> bool {
        self.level == u64::MAX || stable_hash(fingerprint.as_bytes()) <= self.level
    }

    /// The share of queries that are kept; 1 unless there were more units than [`UNITS`].
    pub fn kept(&self) -> f64 {
        // 2^64 is exact as a floating-point number, 2^64 - 1 is not; both give 1 here.
        self.level as f64 / 2.0_f64.powi(64)
    }

    /// How many different queries there were: counted, or estimated where not all are kept.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    pub fn query_count(&self) -> usize {
        let queries: FastSet<QueryNumber> = self.units.keys().map(|unit| unit.query).collect();
        if self.level == u64::MAX { queries.len() } else { (queries.len() as f64 / self.kept()).round() as usize }
    }

    /// How many operations of one unit are kept.
    pub(crate) fn per_unit(&self) -> usize {
        self.per_unit
    }

    /// Every sampled operation of every unit.
    pub(crate) fn sampled(&self) -> impl Iterator<Item = &Observed> {
        self.units.values().flat_map(|unit| &unit.sample)
    }

    /// The states of all documents that sampled operations were answered, each once.
    pub(crate) fn states(&self, vocabulary: &Vocabulary) -> Vec<u32> {
        let mut seen = vec![false; vocabulary.states()];
        for place in self.sampled().flat_map(|observed| observed.places.iter()) {
            if let Some(seen) = seen.get_mut(place.state() as usize) {
                *seen = true;
            }
        }
        (0_u32..).zip(seen).filter(|(_, seen)| *seen).map(|(state, _)| state).collect()
    }

    /// Keeps fewer operations of each unit, then fewer queries, until there are few enough.
    pub(crate) fn bound(&mut self, vocabulary: &Vocabulary) {
        for (units, sample) in FEWER {
            if self.units.len() > units {
                self.shorten(sample);
            }
        }
        while self.units.len() > UNITS {
            // In small steps: of questions that nobody repeats each one less has fewer neighbours.
            self.restrict(self.level / 8 * 7, vocabulary);
        }
    }

    fn shorten(&mut self, per_unit: usize) {
        if per_unit < self.per_unit {
            self.per_unit = per_unit;
            for unit in self.units.values_mut() {
                unit.sample.truncate(per_unit);
                unit.sample.shrink_to_fit();
            }
        }
    }

    /// Keeps what another window kept.
    pub(crate) fn keep_alike(&mut self, other: &mut Self, vocabulary: &Vocabulary) {
        let (level, per_unit) = (self.level.min(other.level), self.per_unit.min(other.per_unit));
        self.shorten(per_unit);
        other.shorten(per_unit);
        self.restrict(level, vocabulary);
        other.restrict(level, vocabulary);
    }

    fn restrict(&mut self, level: u64, vocabulary: &Vocabulary) {
        if level < self.level {
            self.level = level;
            self.units.retain(|unit, _| stable_hash(vocabulary.queries.text(unit.query).as_bytes()) <= level);
            self.units.shrink_to_fit();
        }
    }

    /// Takes in another part of the same window; the numbers of both must be of one vocabulary. The parts of a window
    /// merge to the whole of it, in whatever order.
    pub fn merge(&mut self, mut other: Self, vocabulary: &Vocabulary) {
        self.keep_alike(&mut other, vocabulary);
        self.events += other.events;
        self.span = match (self.span, other.span) {
            (Some((from, to)), Some((other_from, other_to))) => Some((from.min(other_from), to.max(other_to))),
            (span, other) => span.or(other),
        };
        for (unit, sample) in other.units {
            self.units.entry(unit).or_default().merge(sample, self.per_unit);
        }
        self.operations.merge(other.operations);
        self.sightings.merge(other.sightings);
        self.bound(vocabulary);
    }

    /// Gives everything the numbers of another vocabulary.
    pub(crate) fn renumber(self, new: &Renumbering) -> Self {
        let mut units: Vec<(Unit, UnitSample)> = self.units.into_iter().collect();
        units.par_iter_mut().for_each(|(unit, sample)| {
            *unit = unit.renumber(new);
            sample.renumber(new);
        });
        Self {
            units: units.into_iter().collect(),
            operations: self.operations.renumber(new),
            sightings: self.sightings.renumber(new),
            ..self
        }
    }
}

/// Takes another part of a window, with a vocabulary of its own, into the first: two halves of a window are the whole.
pub fn merge_parts(
    (vocabulary, window): (&mut Vocabulary, &mut Observations),
    (other_vocabulary, other): (Vocabulary, Observations),
) {
    let other = other.renumber(&vocabulary.absorb(other_vocabulary));
    window.merge(other, vocabulary);
}

impl Unit {
    /// What units are put in order by: no number has a part in it.
    pub(crate) fn order<'v>(
        self,
        (vocabulary, limits): (&'v Vocabulary, &[usize]),
    ) -> (&'v str, &'v Stage, Option<usize>) {
        let rank = limits.get(self.limits as usize).copied();
        (vocabulary.queries.text(self.query), vocabulary.stage_of(self.stage), rank)
    }

    pub(crate) fn renumber(self, new: &Renumbering) -> Self {
        Self {
            query: renumbered(&new.queries, self.query, self.query),
            stage: renumbered(&new.stages, self.stage, u32::MAX),
            limits: renumbered(&new.limits, self.limits, u32::MAX),
        }
    }
}

impl Observed {
    /// Which attempt it is, from 1.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    fn precedence(&self) -> (u32, u64) {
        (self.attempt, self.tie)
    }
}

/// One attempt of a retrieval: where it falls in the sample of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The hash of the operation's id.
    pub(crate) operation: u64,
    /// 1 for the first.
    pub(crate) number: u32,
    /// Which of two events with the same number stands: the one with the larger id, so that their order does not matter.
    pub(crate) tie: u64,
}

impl Attempt {
    /// An attempt for an operation, told by an event.
    pub fn of(operation: &str, number: u32, event: &[u8]) -> Self {
        let tie = event.iter().take(8).fold(0, |tie, byte| (tie << 8) | u64::from(*byte));
        Self { operation: stable_hash(operation.as_bytes()), number, tie }
    }

    pub(crate) fn precedence(self) -> (u32, u64) {
        (self.number, self.tie)
    }
}

/// What is known of one answer besides its documents.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// When it happened, in microseconds since 1970.
    pub occurred_at: i64,
    /// How it was retrieved.
    pub context: u32,
    /// Which part of the traffic it belongs to.
    pub segment: u32,
    /// Its trace.
    pub trace: Option<&'a str>,
    /// How long it took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// What it cost, in US dollars.
    pub cost_usd: Option<f64>,
    /// Its documents and their order, as a hash.
    pub digest: u64,
}

impl UnitSample {
    /// Whether an operation would enter a sample of at most `limit`, so that its answer need not be built if not.
    pub fn wants(&self, attempt: Attempt, limit: usize) -> bool {
        // Most operations come after the last one of a full sample.
        if self.sample.len() >= limit && self.sample.last().is_some_and(|last| last.operation < attempt.operation) {
            return false;
        }
        match self.place(attempt.operation) {
            Ok(at) => self.sample.get(at).is_some_and(|observed| observed.precedence() < attempt.precedence()),
            Err(at) => at < limit,
        }
    }

    fn place(&self, operation: u64) -> Result<usize, usize> {
        self.sample.binary_search_by_key(&operation, |observed| observed.operation)
    }

    /// Whether it would be the first of the sample, which stands for the unit in lists.
    pub fn leads(&self, attempt: Attempt) -> bool {
        self.sample.first().is_none_or(|first| {
            attempt.operation < first.operation
                || (attempt.operation == first.operation && first.precedence() < attempt.precedence())
        })
    }

    /// Takes an answer into a sample of at most `limit`, if it is wanted.
    pub fn insert(&mut self, (attempt, limit): (Attempt, usize), told: Circumstances<'_>, places: &[Place]) {
        if !self.wants(attempt, limit) {
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "24 bits are enough for a duration and a cost")]
        let short = |value: Option<f64>| value.map_or(f32::NAN, |value| value as f32);
        let trace = told.trace.and_then(|trace| std::num::NonZeroU64::new(stable_hash(trace.as_bytes())));
        let observed = Observed {
            operation: attempt.operation,
            attempt: attempt.number,
            tie: attempt.tie,
            occurred_at: told.occurred_at,
            context: told.context,
            segment: told.segment,
            trace,
            digest: told.digest,
            latency_ms: short(told.latency_ms),
            cost_usd: short(told.cost_usd),
            places: self.shared(told.context, places),
            outcome: None,
        };
        self.place_in(observed, limit);
    }

    /// An answer, or the equal one that is kept already.
    fn shared(&self, context: u32, places: &[Place]) -> Arc<[Place]> {
        let equal = self.sample.iter().find(|observed| observed.context == context && *observed.places == *places);
        equal.map_or_else(|| Arc::from(places), |observed| observed.places.clone())
    }

    fn place_in(&mut self, observed: Observed, limit: usize) {
        match self.place(observed.operation) {
            Ok(at) => {
                if let Some(earlier) = self.sample.get_mut(at)
                    && earlier.precedence() < observed.precedence()
                {
                    *earlier = observed;
                }
            }
            Err(at) if at < limit => {
                self.sample.truncate(limit - 1);
                let len = self.sample.len();
                if len == self.sample.capacity() {
                    // Doubled, and never beyond the limit: a window keeps hundreds of thousands of samples.
                    self.sample.reserve_exact(len.clamp(1, limit - len));
                }
                self.sample.insert(at, observed);
            }
            Err(_) => {}
        }
    }

    /// Takes in another part of the same unit's answers.
    fn merge(&mut self, other: Self, limit: usize) {
        let first = other.sample.first().map(|first| (first.operation, first.precedence()));
        let leads = first.is_some_and(|(operation, (number, tie))| self.leads(Attempt { operation, number, tie }));
        if leads || self.sample.is_empty() {
            self.trace = other.trace;
            self.signatures = other.signatures;
        }
        self.operations += other.operations;
        for observed in other.sample {
            self.place_in(observed, limit);
        }
        self.share_equal_answers();
    }

    fn renumber(&mut self, new: &Renumbering) {
        for observed in &mut self.sample {
            observed.context = renumbered(&new.contexts, observed.context, u32::MAX);
            observed.segment = renumbered(&new.segments, observed.segment, u32::MAX);
            if let Some(outcome) = &mut observed.outcome {
                outcome.renumber(new);
            }
        }
        // Equal answers are kept once: each is rewritten in its place and handed out again.
        let nothing: Arc<[Place]> = Arc::default();
        let mut answers: Vec<Arc<[Place]>> = Vec::with_capacity(1);
        let of: Vec<usize> = self
            .sample
            .iter_mut()
            .map(|observed| {
                let places = std::mem::replace(&mut observed.places, nothing.clone());
                let known = answers.iter().position(|known| Arc::ptr_eq(known, &places));
                known.unwrap_or_else(|| {
                    answers.push(places);
                    answers.len() - 1
                })
            })
            .collect();
        for places in &mut answers {
            let renumber = |place: &Place| place.with_state(renumbered(&new.states, place.state(), place.state()));
            match Arc::get_mut(places) {
                Some(places) => places.iter_mut().for_each(|place| *place = renumber(place)),
                None => *places = places.iter().map(renumber).collect(),
            }
        }
        for (observed, answer) in self.sample.iter_mut().zip(of) {
            if let Some(places) = answers.get(answer) {
                observed.places = places.clone();
            }
        }
    }

    /// The sampled operation with a hash.
    pub(crate) fn find(&mut self, operation: u64) -> Option<&mut Observed> {
        let at = self.place(operation).ok()?;
        self.sample.get_mut(at)
    }

    /// How much the unit counts: its operations. One of which only retries lie in the window counts as one.
    pub(crate) fn weight(&self) -> f64 {
        f64::from(self.operations.max(1))
    }

    /// Restores that equal answers are kept once, after answers were replaced.
    pub(crate) fn share_equal_answers(&mut self) {
        for i in 1..self.sample.len() {
            let (earlier, rest) = self.sample.split_at_mut(i);
            if let Some(observed) = rest.first_mut()
                && let Some(equal) =
                    earlier.iter().find(|e| e.context == observed.context && *e.places == *observed.places)
            {
                observed.places = equal.places.clone();
            }
        }
    }
}

/// The different answers of some operations, and how many operations got each.
pub(crate) fn distinct<'a>(
    sample: impl Iterator<Item = &'a Observed>,
    vocabulary: &Vocabulary,
) -> Result<Vec<(Answer, f64)>, Error> {
    let mut kept: Vec<(&Observed, f64)> = Vec::new();
    for observed in sample {
        let equal = |other: &Observed| {
            other.context == observed.context
                && (Arc::ptr_eq(&other.places, &observed.places) || *other.places == *observed.places)
        };
        match kept.iter_mut().find(|(other, _)| equal(other)) {
            Some((_, count)) => *count += 1.0,
            None => kept.push((observed, 1.0)),
        }
    }
    kept.into_iter()
        .map(|(observed, count)| Ok((Answer::of(&observed.places, observed.context, vocabulary)?, count)))
        .collect()
}

#[cfg(test)]
mod tests;
