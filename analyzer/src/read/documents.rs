//! The documents of a row: states and scores, for which each text is looked up once for a dictionary and not for a row.

use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, Int32Array, ListArray, PrimitiveArray, StringArray};
use tidemark_schema::Timestamp;
use tidemark_schema::columns::{ColumnError, Columns, Texts};

use crate::answer::Place;
use crate::intern::DocumentNumber;
use crate::vocabulary::{Digest, State, Vocabulary};

/// The columns of the documents of a batch of rows.
pub(super) struct Documents<'a> {
    lists: &'a ListArray,
    document: Texts<'a>,
    content: Option<Texts<'a>>,
    scope: Option<Texts<'a>>,
    score: &'a PrimitiveArray<Float64Type>,
    tokens: Option<&'a Int32Array>,
    updated_at: Option<&'a PrimitiveArray<TimestampMicrosecondType>>,
}

/// The members of a document that a batch may lack if it holds nothing in them.
pub(super) const OPTIONAL: [&str; 4] = ["content_hash", "scope", "tokens", "updated_at"];

/// The numbers of the texts of the dictionaries that were read last, and the states that their combinations are.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    document: Dictionary<DocumentNumber>,
    content: Dictionary<u32>,
    scope: Dictionary<u32>,
    /// By the place of the document's text.
    states: Vec<Option<Known>>,
}

/// The state that a document was in when it was read last.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// The places of the texts of its content and its scope.
    content: u32,
    scope: u32,
    tokens: Option<i32>,
    updated_at: Option<i64>,
    number: u32,
    content_number: Option<u32>,
    document_hash: u64,
}

/// The place of a text that is null.
const NO_TEXT: u32 = u32::MAX;

fn optional<T>(column: Result<T, ColumnError>) -> Result<Option<T>, ColumnError> {
    match column {
        Err(ColumnError::Missing(_)) => Ok(None),
        column => column.map(Some),
    }
}

impl<'a> Documents<'a> {
    pub(super) fn of(columns: &Columns<'a>) -> Result<Self, ColumnError> {
        let lists = columns.list("results")?;
        let elements = Columns::of_elements(lists, "results")?;
        Ok(Self {
            lists,
            document: elements.repeated_texts("doc_id")?,
            content: optional(elements.repeated_texts("content_hash"))?,
            scope: optional(elements.repeated_texts("scope"))?,
            score: elements.numbers("score")?,
            tokens: optional(elements.counts("tokens"))?,
            updated_at: optional(elements.times("updated_at"))?,
        })
    }

    /// The places of a row's answer, best first, and the contents that it holds; gives the answer's digest.
    pub(super) fn places(
        &self,
        row: usize,
        (numbers, vocabulary): (&mut Numbers, &mut Vocabulary),
        (places, contents): (&mut Vec<Place>, &mut Vec<u32>),
    ) -> u64 {
        contents.clear();
        let mut digest = Digest::default();
        let states = Columns::range(self.lists, row).map(|i| {
            let known = self.state(i, numbers, vocabulary);
            contents.extend(known.content_number);
            digest.add(known.document_hash);
            (known.number, self.score.is_valid(i).then(|| self.score.value(i)))
        });
        Place::list(states, places);
        digest.0
    }

    fn state(&self, i: usize, numbers: &mut Numbers, vocabulary: &mut Vocabulary) -> Known {
        // Never null.
        let document = self.document.place(i).unwrap_or(usize::MAX);
        let place = |texts: Option<Texts<'_>>| {
            texts.and_then(|texts| texts.place(i)).and_then(|place| u32::try_from(place).ok()).unwrap_or(NO_TEXT)
        };
        let (content, scope) = (place(self.content), place(self.scope));
        let tokens = self.tokens.filter(|tokens| tokens.is_valid(i)).map(|tokens| tokens.value(i));
        let updated_at = self.updated_at.filter(|times| times.is_valid(i)).map(|times| times.value(i));
        let same = |known: &Known| {
            (known.content, known.scope, known.tokens, known.updated_at) == (content, scope, tokens, updated_at)
        };
        if let Some(Some(known)) = numbers.states.get(document)
            && same(known)
        {
            return *known;
        }
        let is_there = |place: u32| (place != NO_TEXT).then_some(place as usize);
        let content_number =
            is_there(content).map(|at| numbers.content.number(at, |text| vocabulary.contents.number(text)));
        let of_document = numbers.document.number(document, |text| vocabulary.document(text));
        let state = State {
            document: of_document,
            content: content_number,
            scope: is_there(scope).map(|at| numbers.scope.number(at, |text| vocabulary.scopes.number(text))),
            tokens: tokens.map(|tokens| u32::try_from(tokens).unwrap_or(0)),
            updated_at: updated_at.and_then(|micros| Timestamp::from_micros(micros).ok()),
        };
        let number = vocabulary.state(state);
        let document_hash = vocabulary.document_hash(of_document);
        let known = Known { content, scope, tokens, updated_at, number, content_number, document_hash };
        if let Some(place) = numbers.states.get_mut(document) {
            *place = Some(known);
        }
        known
    }
}

impl Numbers {
    /// Forgets what the places meant before, if they are those of other texts.
    pub(super) fn follow(&mut self, documents: &Documents<'_>) {
        let changed = [
            self.document.follow(documents.document.values()),
            documents.content.is_some_and(|texts| self.content.follow(texts.values())),
            documents.scope.is_some_and(|texts| self.scope.follow(texts.values())),
        ];
        if changed.contains(&true) {
            self.states.clear();
            self.states.resize(documents.document.values().len(), None);
        }
    }
}

/// The numbers of the texts of one dictionary.
#[derive(Debug)]
struct Dictionary<N> {
    /// Kept, so that no other texts can come to lie where these do.
    texts: StringArray,
    numbers: Vec<Option<N>>,
}

impl<N> Default for Dictionary<N> {
    fn default() -> Self {
        Self { texts: StringArray::new_null(0), numbers: Vec::new() }
    }
}

impl<N: Copy> Dictionary<N> {
    /// Whether other texts took the place of those before.
    fn follow(&mut self, texts: &StringArray) -> bool {
        let same =
            self.texts.values().ptr_eq(texts.values()) && self.texts.offsets().inner().ptr_eq(texts.offsets().inner());
        if same {
            return false;
        }
        self.texts = texts.clone();
        self.numbers.clear();
        self.numbers.resize(texts.len(), None);
        true
    }

    fn number(&mut self, at: usize, number: impl FnOnce(&str) -> N) -> N {
        match self.numbers.get_mut(at) {
            Some(Some(known)) => *known,
            Some(unknown) => *unknown.insert(number(self.texts.value(at))),
            None => number(""),
        }
    }
}
