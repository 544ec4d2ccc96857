//! What both windows of a comparison name by the same numbers.

use std::collections::HashMap;

use indexmap::IndexSet;
use tidemark_schema::{ScoreKind, Timestamp};

use crate::aliases::Aliases;
use crate::intern::Interner;

/// Texts, states, contexts and segments as numbers.
#[derive(Debug, Default)]
pub struct Vocabulary {
    /// Queries by their fingerprints.
    pub fingerprints: Interner,
    /// Fingerprints under another key that mean the same query.
    pub aliases: Aliases,
    /// Documents by their ids.
    pub documents: Interner,
    /// Contents by their hashes.
    pub contents: Interner,
    /// Scopes of documents.
    pub scopes: Interner,
    /// Versions of the corpus.
    pub versions: Interner,
    /// Keys of segments with their values, as [`label`] writes them.
    pub labels: Interner,
    /// Models, prompts, hashes of outputs and names of evaluations.
    pub outputs: Interner,
    contexts: HashMap<String, u32>,
    context_list: Vec<Context>,
    states: IndexSet<State>,
    segments: HashMap<Box<[u32]>, u32>,
    segment_list: Vec<Box<[u32]>>,
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

impl Context {
    /// What is declared of the search itself: model, index, retriever, parameters and kind of scores.
    pub(crate) fn search(&self) -> impl Eq + std::hash::Hash + '_ {
        (&self.embedder, &self.index, &self.retriever, &self.params, self.score_kind)
    }
}

/// The text by which a key and its value are numbered. Neither holds a control character: the decoder refuses them.
pub(crate) fn label(key: &str, value: &str) -> String {
    format!("{key}\u{1f}{value}")
}

/// The key and the value of a label.
pub(crate) fn key_and_value(label: &str) -> (&str, &str) {
    label.split_once('\u{1f}').unwrap_or((label, ""))
}

impl Vocabulary {
    /// An empty one that knows which fingerprints mean the same query.
    pub fn with_aliases(aliases: Aliases) -> Self {
        Self { aliases, ..Self::default() }
    }

    /// The number of a document's state.
    pub fn state(&mut self, state: State) -> u32 {
        u32::try_from(self.states.insert_full(state).0).unwrap_or(u32::MAX)
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

    /// The number of a segment: a set of labels, given in ascending order.
    pub fn segment(&mut self, labels: Vec<u32>) -> u32 {
        let labels = labels.into_boxed_slice();
        if let Some(number) = self.segments.get(&labels) {
            return *number;
        }
        let number = u32::try_from(self.segment_list.len()).unwrap_or(u32::MAX);
        self.segments.insert(labels.clone(), number);
        self.segment_list.push(labels);
        number
    }

    /// The state with a number that [`Vocabulary::state`] gave.
    #[expect(clippy::indexing_slicing, reason = "numbers are given by `state` alone")]
    pub fn state_of(&self, number: u32) -> &State {
        &self.states[number as usize]
    }

    /// The context with a number that [`Vocabulary::context`] gave.
    #[expect(clippy::indexing_slicing, reason = "numbers are given by `context` alone")]
    pub fn context_of(&self, number: u32) -> &Context {
        &self.context_list[number as usize]
    }

    /// The labels of a segment with a number that [`Vocabulary::segment`] gave.
    pub fn labels_of(&self, segment: u32) -> &[u32] {
        self.segment_list.get(segment as usize).map_or(&[], |labels| labels)
    }

    /// All contexts by their numbers.
    pub fn contexts(&self) -> &[Context] {
        &self.context_list
    }
}
