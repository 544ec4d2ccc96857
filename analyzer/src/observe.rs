//! What a window held, in the form that comparisons need: per query a bounded sample of its answers.
//!
//! The sample of a query are the [`SAMPLE`] operations whose ids have the smallest hashes. That is a uniform sample, it
//! does not depend on the order of the rows, two of them can be merged, and all attempts of one operation fall on the
//! same place, where the last attempt stands for the operation.

use std::collections::HashMap;
use std::sync::Arc;

use tidemark_schema::{ScoreKind, Timestamp};
use tidemark_stats::Ranking;

use crate::intern::Interner;

/// How many answers of one query a window keeps: their pairs grow with its square.
pub const SAMPLE: usize = 8;

/// What both windows of a comparison name by the same numbers.
#[derive(Debug, Default)]
pub struct Vocabulary {
    /// Queries by their fingerprints.
    pub fingerprints: Interner,
    /// Documents by their ids.
    pub documents: Interner,
    /// Contents by their hashes.
    pub contents: Interner,
    /// Scopes of documents.
    pub scopes: Interner,
    contexts: HashMap<String, u32>,
    context_list: Vec<Context>,
    states: HashMap<State, u32>,
    state_list: Vec<State>,
}

/// A document as it was when it was retrieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// Which document.
    pub document: u32,
    /// The hash of its content, if the event carried it.
    pub content: Option<u32>,
    /// Its scope, if the event carried it.
    pub scope: Option<u32>,
    /// Its length in tokens, if the event carried it.
    pub tokens: Option<u32>,
    /// When it last changed, if the event carried it.
    pub updated_at: Option<Timestamp>,
}

/// Everything a retrieval declares about how it was done. Two retrievals of one context differ by nothing declared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context {
    /// The version of the corpus.
    pub corpus_version: Option<String>,
    /// The retriever's name and version.
    pub retriever: (Option<String>, Option<String>),
    /// The index.
    pub index: Option<String>,
    /// The model that embedded the query.
    pub embedder: Option<String>,
    /// Search parameters, as JSON.
    pub params: Option<String>,
    /// What the scores mean.
    pub score_kind: ScoreKind,
    /// How many documents were asked for.
    pub top_k: Option<u32>,
    /// How many tokens of context were asked for.
    pub context_tokens: Option<u32>,
    /// How old a document might be, in seconds.
    pub max_age_s: Option<u32>,
    /// The scopes that were searched; empty when not restricted.
    pub scope: Vec<u32>,
    /// The filter.
    pub filter: Option<String>,
}

/// One answer: documents best first, how they were, and their scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The documents, with groups of equal scores.
    pub ranking: Ranking<u32>,
    /// The state of each document.
    pub states: Vec<u32>,
    /// The score of each document, where the retriever gave one.
    pub scores: Vec<Option<f64>>,
    /// How it was retrieved.
    pub context: u32,
}

/// One operation in the sample of its query. Equal answers are kept once.
#[derive(Debug, Clone)]
pub struct Observed {
    key: u64,
    attempt: u32,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Its trace, if it had one.
    pub trace: Option<Arc<str>>,
    /// What it was answered.
    pub answer: Arc<Answer>,
}

/// What one query was answered in a window.
#[derive(Debug, Default)]
pub struct QuerySample {
    /// How many events asked it.
    pub events: u64,
    /// The sampled operations, by the hash of their ids.
    pub sample: Vec<Observed>,
}

/// A window.
#[derive(Debug, Default)]
pub struct Observations {
    /// How many events it held.
    pub events: u64,
    /// The queries, by their numbers.
    pub queries: HashMap<u32, QuerySample>,
    /// The earliest and the latest event.
    pub span: Option<(Timestamp, Timestamp)>,
}

impl Vocabulary {
    /// The number of a document's state.
    pub fn state(&mut self, state: State) -> u32 {
        let next = u32::try_from(self.state_list.len()).unwrap_or(u32::MAX);
        let states = &mut self.state_list;
        *self.states.entry(state).or_insert_with(|| {
            states.push(state);
            next
        })
    }

    /// The number of a context, found by a text that is different for different contexts.
    pub fn context(&mut self, key: &str, context: impl FnOnce(&mut Interner) -> Context) -> u32 {
        if let Some(number) = self.contexts.get(key) {
            return *number;
        }
        let number = u32::try_from(self.context_list.len()).unwrap_or(u32::MAX);
        self.contexts.insert(key.to_owned(), number);
        let context = context(&mut self.scopes);
        self.context_list.push(context);
        number
    }

    /// The state with a number that [`Vocabulary::state`] gave.
    #[expect(clippy::indexing_slicing, reason = "numbers are given by `state` alone")]
    pub fn state_of(&self, number: u32) -> &State {
        &self.state_list[number as usize]
    }

    /// The context with a number that [`Vocabulary::context`] gave.
    #[expect(clippy::indexing_slicing, reason = "numbers are given by `context` alone")]
    pub fn context_of(&self, number: u32) -> &Context {
        &self.context_list[number as usize]
    }

    /// All contexts by their numbers.
    pub fn contexts(&self) -> &[Context] {
        &self.context_list
    }
}

/// Where an operation falls in the sample of its query.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    key: u64,
    attempt: u32,
}

impl Place {
    /// The place of an attempt of an operation.
    pub fn of(operation: &str, attempt: u32) -> Self {
        let hash = blake3::hash(operation.as_bytes());
        let key = hash.as_bytes().iter().take(8).fold(0, |key, byte| (key << 8) | u64::from(*byte));
        Self { key, attempt }
    }
}

impl QuerySample {
    /// Whether an operation at this place would enter the sample, so that its answer need not be built if not.
    pub fn wants(&self, place: Place) -> bool {
        match self.sample.binary_search_by_key(&place.key, |observed| observed.key) {
            Ok(at) => self.sample.get(at).is_some_and(|observed| observed.attempt < place.attempt),
            Err(at) => at < SAMPLE,
        }
    }

    /// Takes an answer into the sample, if its place is wanted.
    pub fn insert(&mut self, place: Place, occurred_at: Timestamp, trace: Option<&str>, answer: Answer) {
        if !self.wants(place) {
            return;
        }
        let equal = self.sample.iter().find(|observed| *observed.answer == answer);
        let answer = equal.map_or_else(|| Arc::new(answer), |observed| observed.answer.clone());
        let Place { key, attempt } = place;
        let observed = Observed { key, attempt, occurred_at, trace: trace.map(Arc::from), answer };
        match self.sample.binary_search_by_key(&key, |observed| observed.key) {
            Ok(at) => {
                if let Some(earlier) = self.sample.get_mut(at) {
                    *earlier = observed;
                }
            }
            Err(at) => {
                self.sample.insert(at, observed);
                self.sample.truncate(SAMPLE);
            }
        }
    }

    /// Restores that equal answers are kept once, after answers were replaced.
    pub(crate) fn share_equal_answers(&mut self) {
        for i in 1..self.sample.len() {
            let (earlier, rest) = self.sample.split_at_mut(i);
            if let Some(observed) = rest.first_mut()
                && let Some(equal) = earlier.iter().find(|earlier| *earlier.answer == *observed.answer)
            {
                observed.answer = equal.answer.clone();
            }
        }
    }

    /// The different answers of the sample and how often each was given.
    pub fn answers(&self) -> Vec<(&Answer, f64)> {
        let mut answers: Vec<(&Answer, f64)> = Vec::new();
        for observed in &self.sample {
            match answers.iter_mut().find(|(answer, _)| std::ptr::eq(*answer, &raw const *observed.answer)) {
                Some((_, count)) => *count += 1.0,
                None => answers.push((&observed.answer, 1.0)),
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(documents: &[u32]) -> Answer {
        let ranking = Ranking::new(documents.to_vec()).unwrap();
        Answer { ranking, states: documents.to_vec(), scores: vec![None; documents.len()], context: 0 }
    }

    fn sample(operations: &[(&str, u32, &[u32])]) -> Vec<Vec<u32>> {
        let mut query = QuerySample::default();
        for (operation, attempt, documents) in operations {
            query.insert(Place::of(operation, *attempt), Timestamp::MIN, None, answer(documents));
        }
        query.sample.iter().map(|observed| observed.answer.ranking.items().to_vec()).collect()
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
    fn equal_answers_are_kept_once_and_counted() {
        let mut query = QuerySample::default();
        for i in 0..5 {
            query.insert(Place::of(&format!("op-{i}"), 1), Timestamp::MIN, None, answer(&[1, 2]));
        }
        let answers = query.answers();
        assert_eq!((answers.len(), answers[0].1), (1, 5.0));
    }
}
