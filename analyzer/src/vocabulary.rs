//! What both windows of a comparison name by the same numbers.

use indexmap::IndexSet;
use tidemark_schema::{ScoreKind, Timestamp};

use crate::aliases::Aliases;
use crate::intern::{DocumentNumber, FastMap, Interner, Number, QueryNumber, stable_hash};
use crate::stage::Stage;

/// Texts, states, contexts and segments as numbers.
#[derive(Debug, Default)]
pub struct Vocabulary {
    /// Queries by their fingerprints.
    pub queries: Interner<QueryNumber>,
    /// Fingerprints under another key that mean the same query.
    pub aliases: Aliases,
    /// Documents by their ids.
    pub documents: Interner<DocumentNumber>,
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
    contexts: FastMap<Box<str>, u32>,
    context_list: Vec<Context>,
    states: IndexSet<State, foldhash::fast::RandomState>,
    segments: FastMap<Box<[u32]>, u32>,
    segment_list: Vec<Box<[u32]>>,
    stages: IndexSet<Stage, foldhash::fast::RandomState>,
    limits: IndexSet<Limits, foldhash::fast::RandomState>,
    /// A hash of each document's id that does not depend on numbers.
    document_hashes: Vec<u64>,
}

/// A document as it was when it was retrieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// Which document.
    pub document: DocumentNumber,
    /// The hash of its content, if the event carried it.
    pub content: Option<u32>,
    /// Its scope, if the event carried it.
    pub scope: Option<u32>,
    /// Its length in tokens, if the event carried it.
    pub tokens: Option<u32>,
    /// When it last changed, if the event carried it.
    pub updated_at: Option<Timestamp>,
}

/// What limits an answer besides the question: two answers under different limits are answers to different questions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// The tenant, as the number of a label.
    pub tenant: Option<u32>,
    /// The scopes that were searched; empty when not restricted.
    pub scope: Box<[u32]>,
    /// The filter.
    pub filter: Option<Box<str>>,
}

/// Everything a retrieval declares about how it was done. Two retrievals of one context differ by nothing declared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context {
    /// The version of the corpus.
    pub corpus_version: Option<String>,
    /// The retriever's name and version.
    pub retriever: (Option<String>, Option<String>),
    /// The retriever's kind.
    pub kind: Option<String>,
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
    /// Whether a search has an embedder that its scores could tell of: a keyword search and a reranker have none.
    pub(crate) fn embeds(&self) -> bool {
        match self.score_kind {
            ScoreKind::Bm25 | ScoreKind::Rerank => false,
            ScoreKind::Rrf => self.embedder.is_some(),
            _ => {
                let named = [&self.kind, &self.retriever.0].into_iter().flatten().map(|name| name.to_lowercase());
                let mut named = named.collect::<Vec<_>>().into_iter();
                !named.any(|name| {
                    ["sparse", "bm25", "keyword", "lexical", "rerank"].iter().any(|word| name.contains(word))
                })
            }
        }
    }

    /// What is declared of the search itself: model, index, retriever, parameters and kind of scores.
    pub(crate) fn search(&self) -> impl Eq + std::hash::Hash + '_ {
        (&self.embedder, &self.index, &self.retriever, &self.kind, &self.params, self.score_kind)
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

/// New numbers in place of those that another vocabulary gave.
#[derive(Debug)]
pub(crate) struct Renumbering {
    pub(crate) queries: Vec<QueryNumber>,
    pub(crate) documents: Vec<DocumentNumber>,
    pub(crate) versions: Vec<u32>,
    pub(crate) outputs: Vec<u32>,
    pub(crate) contexts: Vec<u32>,
    pub(crate) states: Vec<u32>,
    pub(crate) segments: Vec<u32>,
    pub(crate) stages: Vec<u32>,
    pub(crate) limits: Vec<u32>,
}

/// The new number in a list; every old one has its place in it.
pub(crate) fn renumbered<N: Number, M: Copy>(list: &[M], old: N, missing: M) -> M {
    list.get(old.place() as usize).copied().unwrap_or(missing)
}

/// A hash of a list of documents that tells answers apart by their documents and their order, whatever their numbers.
#[derive(Debug)]
pub(crate) struct Digest(pub(crate) u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Digest {
    /// Adds a document by the hash of its id.
    pub(crate) fn add(&mut self, document_hash: u64) {
        self.0 = (self.0 ^ document_hash).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }
}

fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl Vocabulary {
    /// An empty one that knows which fingerprints mean the same query.
    pub fn with_aliases(aliases: Aliases) -> Self {
        Self { aliases, ..Self::default() }
    }

    /// The number of a document.
    pub fn document(&mut self, id: &str) -> DocumentNumber {
        let number = self.documents.number(id);
        if number.place() as usize == self.document_hashes.len() {
            self.document_hashes.push(stable_hash(id.as_bytes()));
        }
        number
    }

    /// The hash of a document's id.
    pub(crate) fn document_hash(&self, document: DocumentNumber) -> u64 {
        self.document_hashes.get(document.place() as usize).copied().unwrap_or_default()
    }

    /// The number of a document's state.
    pub fn state(&mut self, state: State) -> u32 {
        place(self.states.insert_full(state).0)
    }

    /// The number of a context, found by a text that is different for different contexts.
    pub fn context(&mut self, key: &str, context: impl FnOnce(&mut Interner) -> Context) -> u32 {
        if let Some(number) = self.contexts.get(key) {
            return *number;
        }
        let number = place(self.context_list.len());
        self.contexts.insert(key.into(), number);
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
        let number = place(self.segment_list.len());
        self.segments.insert(labels.clone(), number);
        self.segment_list.push(labels);
        number
    }

    /// The number of a stage.
    pub fn stage(&mut self, stage: Stage) -> u32 {
        place(self.stages.insert_full(stage).0)
    }

    /// The number of what limits an answer.
    pub fn limit(&mut self, limits: Limits) -> u32 {
        place(self.limits.insert_full(limits).0)
    }

    /// The state with a number that [`Vocabulary::state`] gave.
    #[expect(clippy::indexing_slicing, reason = "numbers are given by `state` alone")]
    pub fn state_of(&self, number: u32) -> &State {
        &self.states[number as usize]
    }

    /// How many states there are.
    pub(crate) fn states(&self) -> usize {
        self.states.len()
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

    /// The stage with a number that [`Vocabulary::stage`] gave.
    #[expect(clippy::indexing_slicing, reason = "numbers are given by `stage` alone")]
    pub fn stage_of(&self, number: u32) -> &Stage {
        &self.stages[number as usize]
    }

    /// The limits with a number that [`Vocabulary::limit`] gave.
    #[expect(clippy::indexing_slicing, reason = "numbers are given by `limit` alone")]
    pub fn limits_of(&self, number: u32) -> &Limits {
        &self.limits[number as usize]
    }

    /// The place of each of the limits in the order of their names: numbers follow the order of rows.
    pub(crate) fn limit_ranks(&self) -> Vec<usize> {
        let name = |limits: &Limits| {
            let mut scope: Vec<&str> = limits.scope.iter().map(|scope| self.scopes.text(*scope)).collect();
            scope.sort_unstable();
            (limits.tenant.map(|tenant| self.labels.text(tenant)), scope, limits.filter.clone())
        };
        let mut order: Vec<usize> = (0..self.limits.len()).collect();
        order.sort_by_cached_key(|at| self.limits.get_index(*at).map(name));
        let mut ranks = vec![0; order.len()];
        for (rank, at) in order.into_iter().enumerate() {
            if let Some(place) = ranks.get_mut(at) {
                *place = rank;
            }
        }
        ranks
    }

    /// All contexts by their numbers.
    pub fn contexts(&self) -> &[Context] {
        &self.context_list
    }

    /// Whether two contents can be compared, and are different: hashes of two schemes tell nothing of each other.
    pub(crate) fn contents_differ(&self, a: u32, b: u32) -> bool {
        a != b && self.scheme(a) == self.scheme(b)
    }

    /// What stands before the colon of a content hash: the function that made it.
    pub(crate) fn scheme(&self, content: u32) -> &str {
        self.contents.text(content).split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// Takes in all that another vocabulary numbered.
    pub(crate) fn absorb(&mut self, other: Self) -> Renumbering {
        let documents: Vec<DocumentNumber> = other.documents.texts().map(|id| self.document(id)).collect();
        let contents = self.contents.absorb(&other.contents);
        let scopes = self.scopes.absorb(&other.scopes);
        let labels = self.labels.absorb(&other.labels);
        let scope = |old: u32| renumbered(&scopes, old, u32::MAX);
        let states = other.states.iter().map(|state| State {
            document: renumbered(&documents, state.document, state.document),
            content: state.content.map(|old| renumbered(&contents, old, u32::MAX)),
            scope: state.scope.map(scope),
            ..*state
        });
        let states = states.map(|state| place(self.states.insert_full(state).0)).collect();
        let mut contexts = vec![u32::MAX; other.context_list.len()];
        for (key, old) in &other.contexts {
            let Some(context) = other.context_list.get(*old as usize) else { continue };
            let new = self.context(key, |_| Context {
                scope: context.scope.iter().copied().map(scope).collect(),
                ..context.clone()
            });
            if let Some(at) = contexts.get_mut(*old as usize) {
                *at = new;
            }
        }
        let segments = other.segment_list.iter().map(|old| {
            let mut new: Vec<u32> = old.iter().map(|label| renumbered(&labels, *label, u32::MAX)).collect();
            new.sort_unstable();
            self.segment(new)
        });
        let segments = segments.collect();
        let limits = other.limits.iter().map(|limits| {
            let mut scope: Vec<u32> = limits.scope.iter().copied().map(scope).collect();
            scope.sort_unstable();
            let tenant = limits.tenant.map(|tenant| renumbered(&labels, tenant, u32::MAX));
            self.limit(Limits { tenant, scope: scope.into(), filter: limits.filter.clone() })
        });
        let limits = limits.collect();
        Renumbering {
            queries: self.queries.absorb(&other.queries),
            documents,
            versions: self.versions.absorb(&other.versions),
            outputs: self.outputs.absorb(&other.outputs),
            contexts,
            states,
            segments,
            stages: other.stages.into_iter().map(|stage| self.stage(stage)).collect(),
            limits,
        }
    }
}
