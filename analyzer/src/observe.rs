//! What a window held, in the form that comparisons need and in a bounded size.
//!
//! - *Which queries*: all of them up to [`QUERIES`]; beyond, those whose fingerprints have the smallest hashes. Both
//!   windows keep the same ones, so the queries that match stay matched.
//! - *Which operations of a query*: the [`SAMPLE`] whose ids have the smallest hashes, half as many where there are more
//!   than [`MANY_QUERIES`]. All attempts of one operation fall on the same place, where the last one stands for the
//!   operation.
//!
//! Both are uniform samples, do not depend on the order of the rows, and can be merged. What integrity is judged by
//! ([`Sightings`]) is counted over every row.

use std::collections::HashMap;
use std::sync::Arc;

use tidemark_schema::Timestamp;

use crate::answer::{Answer, Place};
use crate::error::Error;
use crate::marginals::OperationSample;
use crate::outcome::Outcome;
use crate::sightings::Sightings;
use crate::vocabulary::Vocabulary;

/// How many operations of one query a window keeps: their pairs grow with its square.
pub const SAMPLE: usize = 8;
/// How many queries a window keeps.
pub const QUERIES: usize = 1 << 17;
/// With more queries than this, half as many operations of each are enough: certainty comes from the number of queries.
pub const MANY_QUERIES: usize = 1 << 16;

/// One operation in the sample of its query. Equal answers are kept once.
#[derive(Debug, Clone)]
pub struct Observed {
    key: u64,
    attempt: u32,
    tie: u64,
    /// The hash of its operation's id: by it outputs find their retrievals.
    pub(crate) operation: u64,
    /// How it was retrieved.
    pub context: u32,
    /// Which part of the traffic it belongs to.
    pub segment: u32,
    /// The hash of its trace, if it had one.
    pub(crate) trace: Option<std::num::NonZeroU64>,
    /// What it was answered.
    pub places: Arc<[Place]>,
    /// What came of it, if an output was recorded.
    pub outcome: Option<Box<Outcome>>,
}

/// What one query was answered in a window.
#[derive(Debug, Default)]
pub struct QuerySample {
    /// How many operations asked it.
    pub operations: u32,
    /// A hash by which similar queries are found.
    pub signature: Option<u64>,
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
    /// How many operations: retries count once.
    pub operations: u64,
    /// The queries, by their numbers.
    pub queries: HashMap<u32, QuerySample>,
    /// The earliest and the latest event.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Scores of a uniform sample of operations.
    pub scored: OperationSample,
    /// Which documents were returned as what, over all rows.
    pub sightings: Sightings,
    /// Fingerprints with a hash up to this are kept.
    level: u64,
    /// How many operations of one query are kept.
    per_query: usize,
}

impl Default for Observations {
    fn default() -> Self {
        Self {
            events: 0,
            operations: 0,
            queries: HashMap::new(),
            span: None,
            scored: OperationSample::default(),
            sightings: Sightings::default(),
            level: u64::MAX,
            per_query: SAMPLE,
        }
    }
}

/// A 64-bit hash of a text, the same on every machine.
pub(crate) fn hash(text: &str) -> u64 {
    blake3::hash(text.as_bytes()).as_bytes().iter().take(8).fold(0, |key, byte| (key << 8) | u64::from(*byte))
}

impl Observations {
    /// Whether a query is among those that are kept.
    pub fn wants(&self, fingerprint: &str) -> bool {
        self.level == u64::MAX || hash(fingerprint) <= self.level
    }

    /// The share of queries that are kept; 1 unless there were more than [`QUERIES`].
    pub fn kept(&self) -> f64 {
        // 2^64 is exact as a floating-point number, 2^64 - 1 is not; both give 1 here.
        self.level as f64 / 2.0_f64.powi(64)
    }

    /// How many different queries there were: counted, or estimated where not all are kept.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    pub fn query_count(&self) -> usize {
        if self.level == u64::MAX {
            self.queries.len()
        } else {
            (self.queries.len() as f64 / self.kept()).round() as usize
        }
    }

    /// How many operations of one query are kept.
    pub(crate) fn per_query(&self) -> usize {
        self.per_query
    }

    /// Keeps fewer operations of each query, then fewer queries, until there are few enough.
    pub(crate) fn bound(&mut self, vocabulary: &Vocabulary) {
        if self.queries.len() > MANY_QUERIES {
            self.shorten(SAMPLE / 2);
        }
        while self.queries.len() > QUERIES {
            self.restrict(self.level / 2, vocabulary);
        }
    }

    fn shorten(&mut self, per_query: usize) {
        if per_query < self.per_query {
            self.per_query = per_query;
            for query in self.queries.values_mut() {
                query.sample.truncate(per_query);
                query.sample.shrink_to_fit();
            }
        }
    }

    /// Keeps what another window kept.
    pub(crate) fn keep_alike(&mut self, other: &mut Self, vocabulary: &Vocabulary) {
        let (level, per_query) = (self.level.min(other.level), self.per_query.min(other.per_query));
        self.shorten(per_query);
        other.shorten(per_query);
        self.restrict(level, vocabulary);
        other.restrict(level, vocabulary);
    }

    fn restrict(&mut self, level: u64, vocabulary: &Vocabulary) {
        if level < self.level {
            self.level = level;
            self.queries.retain(|query, _| hash(vocabulary.fingerprints.text(*query)) <= level);
        }
    }

    /// The queries in the order of their fingerprints, so that every sum has one order.
    pub fn ordered<'a>(&'a self, vocabulary: &Vocabulary) -> Vec<(u32, &'a QuerySample)> {
        let mut queries: Vec<_> = self.queries.iter().map(|(number, query)| (*number, query)).collect();
        queries.sort_unstable_by_key(|(number, _)| vocabulary.fingerprints.text(*number));
        queries
    }
}

impl Observed {
    /// The hash by which it is sampled.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// Which attempt it is, from 1.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// One attempt of a retrieval: where it falls in the sample of its query. Several retrievers may work for one operation (a
/// search and a reranker, say); each one's retrieval stands for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The hash of operation and retriever.
    pub(crate) key: u64,
    /// The hash of the operation's id.
    pub(crate) operation: u64,
    /// 1 for the first.
    pub(crate) number: u32,
    /// Which of two events with the same number stands: the one with the larger id, so that their order does not matter.
    tie: u64,
}

impl Attempt {
    /// An attempt of a retriever for an operation, told by an event.
    pub fn of(operation: &str, retriever: &str, number: u32, event: &[u8]) -> Self {
        let tie = event.iter().take(8).fold(0, |tie, byte| (tie << 8) | u64::from(*byte));
        let operation_hash = hash(operation);
        let key = if retriever.is_empty() { operation_hash } else { hash(&format!("{operation}\u{1f}{retriever}")) };
        Self { key, operation: operation_hash, number, tie }
    }

    fn precedence(self) -> (u32, u64) {
        (self.number, self.tie)
    }
}

impl QuerySample {
    /// Whether an operation would enter a sample of at most `limit`, so that its answer need not be built if not.
    pub fn wants(&self, attempt: Attempt, limit: usize) -> bool {
        match self.sample.binary_search_by_key(&attempt.key, |observed| observed.key) {
            Ok(at) => {
                self.sample.get(at).is_some_and(|observed| (observed.attempt, observed.tie) < attempt.precedence())
            }
            Err(at) => at < limit,
        }
    }

    /// Whether it would be the first of the sample, which stands for the query in lists.
    pub fn leads(&self, attempt: Attempt) -> bool {
        self.sample.first().is_none_or(|first| {
            attempt.key < first.key || (attempt.key == first.key && (first.attempt, first.tie) < attempt.precedence())
        })
    }

    /// Takes an answer into a sample of at most `limit`, if it is wanted.
    pub fn insert(
        &mut self,
        (attempt, limit): (Attempt, usize),
        (context, segment): (u32, u32),
        trace: Option<&str>,
        places: Vec<Place>,
    ) {
        if !self.wants(attempt, limit) {
            return;
        }
        let equal = self.sample.iter().find(|observed| observed.context == context && *observed.places == *places);
        let places = equal.map_or_else(|| Arc::from(places), |observed| observed.places.clone());
        let trace = trace.and_then(|trace| std::num::NonZeroU64::new(hash(trace)));
        let Attempt { key, operation, number, tie } = attempt;
        let observed =
            Observed { key, attempt: number, tie, operation, context, segment, trace, places, outcome: None };
        match self.sample.binary_search_by_key(&key, |observed| observed.key) {
            Ok(at) => {
                if let Some(earlier) = self.sample.get_mut(at) {
                    *earlier = observed;
                }
            }
            Err(at) => {
                if self.sample.len() == self.sample.capacity() {
                    // One more than the limit is held for a moment.
                    let room = if self.sample.len() < 2 { 1 } else { (limit + 1).saturating_sub(self.sample.len()) };
                    self.sample.reserve_exact(room.max(1));
                }
                self.sample.insert(at, observed);
                self.sample.truncate(limit);
            }
        }
    }

    /// The sampled operation with a hash.
    pub(crate) fn find(&mut self, key: u64) -> Option<&mut Observed> {
        let at = self.sample.binary_search_by_key(&key, |observed| observed.key).ok()?;
        self.sample.get_mut(at)
    }

    /// How much the query counts: its operations. One of which only retries lie in the window counts as one.
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

    /// The different answers of the sample, and how many operations got each.
    pub fn answers(&self, vocabulary: &Vocabulary) -> Result<Vec<(Answer, f64)>, Error> {
        distinct(self.sample.iter(), vocabulary)
    }

    /// The same for the operations of one part of the traffic.
    pub fn answers_in(
        &self,
        vocabulary: &Vocabulary,
        part: impl Fn(&Observed) -> bool,
    ) -> Result<Vec<(Answer, f64)>, Error> {
        distinct(self.sample.iter().filter(|observed| part(observed)), vocabulary)
    }
}

fn distinct<'a>(
    sample: impl Iterator<Item = &'a Observed>,
    vocabulary: &Vocabulary,
) -> Result<Vec<(Answer, f64)>, Error> {
    let mut kept: Vec<(&Observed, f64)> = Vec::new();
    for observed in sample {
        let equal =
            |other: &Observed| Arc::ptr_eq(&other.places, &observed.places) && other.context == observed.context;
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
mod tests {
    use super::*;

    fn sample(operations: &[(&str, u32, &[u32])]) -> Vec<Vec<u32>> {
        let mut query = QuerySample::default();
        for (operation, attempt, states) in operations {
            let places = states.iter().map(|state| Place::new(*state, None)).collect();
            query.insert((Attempt::of(operation, "", *attempt, &[]), SAMPLE), (0, 0), None, places);
        }
        query.sample.iter().map(|observed| observed.places.iter().map(|place| place.state()).collect()).collect()
    }

    #[test]
    fn the_sample_does_not_depend_on_the_order_of_the_rows() {
        let names: Vec<String> = (0..40).map(|i| format!("op-{i}")).collect();
        let documents: Vec<[u32; 1]> = (0..40).map(|i| [i]).collect();
        let rows: Vec<_> = names.iter().zip(&documents).map(|(name, d)| (name.as_str(), 1, d.as_slice())).collect();
        let mut reversed = rows.clone();
        reversed.reverse();
        assert_eq!(sample(&rows).len(), SAMPLE);
        assert_eq!(sample(&rows), sample(&reversed));
    }

    #[test]
    fn the_last_attempt_stands_for_its_operation() {
        let rows: [(&str, u32, &[u32]); 3] = [("op", 2, &[2]), ("op", 3, &[3]), ("op", 1, &[1])];
        assert_eq!(sample(&rows), vec![vec![3]]);
    }

    #[test]
    fn of_two_events_of_one_attempt_the_one_with_the_larger_id_stands() {
        let kept = |ids: [u8; 2]| {
            let mut query = QuerySample::default();
            for id in ids {
                let attempt = Attempt::of("op", "dense", 1, &[id; 16]);
                query.insert((attempt, SAMPLE), (0, 0), None, vec![Place::new(u32::from(id), None)]);
            }
            query.sample.iter().map(|observed| observed.places[0].state()).collect::<Vec<_>>()
        };
        assert_eq!((kept([3, 9]), kept([9, 3])), (vec![9], vec![9]));
    }

    #[test]
    fn equal_answers_are_kept_once_and_counted() {
        let mut query = QuerySample::default();
        for i in 0..5 {
            query.insert((Attempt::of(&format!("op-{i}"), "", 1, &[]), SAMPLE), (0, 0), None, Vec::new());
        }
        let answers = query.answers(&Vocabulary::default()).unwrap();
        assert_eq!((answers.len(), answers[0].1), (1, 5.0));
    }

    #[test]
    fn two_windows_that_keep_a_part_of_the_queries_keep_the_same_ones() {
        let mut vocabulary = Vocabulary::default();
        let (mut first, mut second) = (Observations::default(), Observations::default());
        for i in 0..2_000 {
            let text = format!("query-{i}");
            let number = vocabulary.fingerprints.number(&text);
            first.queries.insert(number, QuerySample::default());
            second.queries.insert(number, QuerySample::default());
        }
        first.restrict(u64::MAX / 4, &vocabulary);
        first.keep_alike(&mut second, &vocabulary);
        let numbers = |window: &Observations| window.ordered(&vocabulary).iter().map(|(n, _)| *n).collect::<Vec<_>>();
        assert_eq!(numbers(&first), numbers(&second));
        assert!((400..600).contains(&first.queries.len()), "{}", first.queries.len());
        assert!((1_800..2_200).contains(&first.query_count()), "{}", first.query_count());
    }
}
