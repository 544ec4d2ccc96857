use indexmap::IndexSet;

/// Texts as small numbers: each text is kept once and counted from 0 in the order of first sight.
#[derive(Debug, Default)]
pub struct Interner(IndexSet<Box<str>>);

impl Interner {
    /// The number of a text.
    pub fn number(&mut self, text: &str) -> u32 {
        let number = self.0.get_index_of(text).unwrap_or_else(|| self.0.insert_full(text.into()).0);
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// The number of a text that was seen before.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.0.get_index_of(text).and_then(|number| u32::try_from(number).ok())
    }

    /// The text of a number.
    pub fn text(&self, number: u32) -> &str {
        self.0.get_index(number as usize).map_or("", |text| text)
    }

    /// All texts by their numbers.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|text| &**text)
    }
}
