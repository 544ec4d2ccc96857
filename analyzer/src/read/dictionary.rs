//! Texts that are looked up once for a dictionary and not for a row.

use arrow_array::{Array, StringArray};

/// The numbers of the texts of the dictionary that was read last.
#[derive(Debug)]
pub(super) struct Dictionary<N> {
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
    /// Goes on with these texts; whether they are others and took the place of those before.
    pub(super) fn follow(&mut self, texts: &StringArray) -> bool {
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

    /// The number of the text at a place: what `number` says of it the first time.
    pub(super) fn number(&mut self, at: usize, number: impl FnOnce(&str) -> N) -> N {
        match self.numbers.get_mut(at) {
            Some(Some(known)) => *known,
            Some(unknown) => *unknown.insert(number(self.texts.value(at))),
            None => number(""),
        }
    }
}
