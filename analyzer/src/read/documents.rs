//! The documents of a row: states and scores, for which each text is looked up once for a dictionary and not for a row.

use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, Int32Array, ListArray, PrimitiveArray};
use tidemark_schema::Timestamp;
use tidemark_schema::columns::{ColumnError, Columns, Texts};

use crate::answer::Place;
use crate::intern::{DocumentNumber, Number};
use crate::read::dictionary::Dictionary;
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
    states: Vec<Known>,
    /// The same of what few rows say; empty as long as none did.
    details: Vec<Details>,
    /// By the document's number, the state in which it was last, whatever the dictionary; [`NOT_READ`] if in none.
    last: Vec<u32>,
}

/// The state that a document was in when it was read last: as small as can be, because each place of each answer looks at
/// one.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// The places of the texts of its content and its scope.
    content: u32,
    scope: u32,
    /// [`NOT_READ`] of a document that was not read yet.
    number: u32,
    /// The number of its content, or [`NO_TEXT`].
    content_number: u32,
    document_hash: u64,
}

/// How long a document is and how old.
type Details = (Option<i32>, Option<i64>);

/// The place of a text that is null.
const NO_TEXT: u32 = u32::MAX;
/// No window comes near so many states.
const NOT_READ: u32 = u32::MAX;
const UNKNOWN: Known =
    Known { content: NO_TEXT, scope: NO_TEXT, number: NOT_READ, content_number: NO_TEXT, document_hash: 0 };

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
            if known.content_number != NO_TEXT {
                contents.push(known.content_number);
            }
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
        let details = (tokens, updated_at);
        let detailed = |numbers: &Numbers| numbers.details.get(document).copied().unwrap_or_default();
        if let Some(known) = numbers.states.get(document)
            && known.number != NOT_READ
            && (known.content, known.scope) == (content, scope)
            && detailed(numbers) == details
        {
            return *known;
        }
        let is_there = |place: u32| (place != NO_TEXT).then_some(place as usize);
        let of_document = numbers.document.number(document, |text| vocabulary.document(text));
        // A document that is met in one more dictionary is most often as it was: to compare a text is cheaper than to look
        // it up.
        let last = numbers.last.get(of_document.place() as usize).copied().filter(|last| *last != NOT_READ);
        let last = last.map(|number| (number, *vocabulary.state_of(number)));
        let same_content = last.and_then(|(_, state)| state.content);
        let content_number = is_there(content).map(|at| {
            numbers.content.number(at, |text| match same_content {
                Some(content) if vocabulary.contents.text(content) == text => content,
                _ => vocabulary.contents.number(text),
            })
        });
        let state = State {
            document: of_document,
            content: content_number,
            scope: is_there(scope).map(|at| numbers.scope.number(at, |text| vocabulary.scopes.number(text))),
            tokens: tokens.map(|tokens| u32::try_from(tokens).unwrap_or(0)),
            updated_at: updated_at.and_then(|micros| Timestamp::from_micros(micros).ok()),
        };
        let number = match last {
            Some((number, last)) if last == state => number,
            _ => numbers.keep(of_document, vocabulary.state(state)),
        };
        let document_hash = vocabulary.document_hash(of_document);
        let content_number = content_number.unwrap_or(NO_TEXT);
        let known = Known { content, scope, number, content_number, document_hash };
        if let Some(place) = numbers.states.get_mut(document) {
            *place = known;
        }
        if details != (None, None) && numbers.details.is_empty() {
            numbers.details.resize(numbers.states.len(), (None, None));
        }
        if let Some(place) = numbers.details.get_mut(document) {
            *place = details;
        }
        known
    }
}

impl Numbers {
    /// Keeps which state a document was in last.
    fn keep(&mut self, document: DocumentNumber, state: u32) -> u32 {
        let at = document.place() as usize;
        if at >= self.last.len() {
            self.last.resize(at + 1, NOT_READ);
        }
        if let Some(last) = self.last.get_mut(at) {
            *last = state;
        }
        state
    }

    /// Forgets what the places meant before, if they are those of other texts.
    pub(super) fn follow(&mut self, documents: &Documents<'_>) {
        let changed = [
            self.document.follow(documents.document.values()),
            documents.content.is_some_and(|texts| self.content.follow(texts.values())),
            documents.scope.is_some_and(|texts| self.scope.follow(texts.values())),
        ];
        if changed.contains(&true) {
            self.states.clear();
            self.states.resize(documents.document.values().len(), UNKNOWN);
            self.details.clear();
        }
    }
}
