//! Names as small numbers, and the two hashes that this crate uses.

use std::collections::HashMap;
use std::marker::PhantomData;

use indexmap::IndexSet;
use twox_hash::XxHash3_64;

/// Tables whose order nobody sees are hashed fast; whatever is summed or shown is put in order first.
pub(crate) type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
/// A set of the same kind.
pub(crate) type FastSet<K> = std::collections::HashSet<K, foldhash::fast::RandomState>;

/// A 64-bit hash of a text, the same on every machine and in every version: samples are drawn by it.
pub(crate) fn stable_hash(text: &[u8]) -> u64 {
    XxHash3_64::oneshot(text)
}

/// A number that an [`Interner`] gives.
pub trait Number: Copy {
    /// The number at a place.
    fn at(place: u32) -> Self;
    /// The place.
    fn place(self) -> u32;
}

impl Number for u32 {
    fn at(place: u32) -> Self {
        place
    }

    fn place(self) -> u32 {
        self
    }
}

/// A query, by its fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryNumber(u32);

/// A document, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentNumber(u32);

impl Number for QueryNumber {
    fn at(place: u32) -> Self {
        Self(place)
    }

    fn place(self) -> u32 {
        self.0
    }
}

impl Number for DocumentNumber {
    fn at(place: u32) -> Self {
        Self(place)
    }

    fn place(self) -> u32 {
        self.0
    }
}

/// Texts as small numbers: each text is kept once and counted from 0 in the order of first sight.
#[derive(Debug)]
pub struct Interner<N = u32> {
    texts: IndexSet<Box<str>, foldhash::fast::RandomState>,
    number: PhantomData<N>,
}

impl<N> Default for Interner<N> {
    fn default() -> Self {
        Self { texts: IndexSet::default(), number: PhantomData }
    }
}

impl<N: Number> Interner<N> {
    /// The number of a text.
    pub fn number(&mut self, text: &str) -> N {
        let place = self.texts.get_index_of(text).unwrap_or_else(|| self.texts.insert_full(text.into()).0);
        N::at(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// The number of a text that was seen before.
    pub fn find(&self, text: &str) -> Option<N> {
        self.texts.get_index_of(text).and_then(|place| u32::try_from(place).ok()).map(N::at)
    }

    /// The text of a number.
    pub fn text(&self, number: N) -> &str {
        self.texts.get_index(number.place() as usize).map_or("", |text| text)
    }

    /// All texts by their numbers.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Takes in the texts of another one; gives the new number of each of its numbers.
    pub(crate) fn absorb(&mut self, other: &Self) -> Vec<N> {
        other.texts().map(|text| self.number(text)).collect()
    }
}
