use std::borrow::Cow;

use icu_normalizer::DecomposingNormalizerBorrowed;

use super::Span;

/// A text as the detectors see it, and the way back to the text as it was written.
///
/// What looks like a digit, `@`, a dash or a space becomes the ASCII character it looks like; what is not seen at all
/// (zero-width characters, combining marks) is left out. So `４１１１` and `al\u{200b}ice＠example.com` are recognised.
/// Letters of other scripts stay as they are.
pub(super) struct Folded<'a> {
    original: &'a str,
    text: Cow<'a, str>,
    /// For each byte of `text`, where the character that it stands for begins in the original; empty if all is ASCII.
    starts: Vec<usize>,
}

impl<'a> Folded<'a> {
    pub(super) fn new(original: &'a str) -> Self {
        if original.is_ascii() {
            return Self { original, text: Cow::Borrowed(original), starts: Vec::new() };
        }
        let nfkd = DecomposingNormalizerBorrowed::new_nfkd();
        let mut text = String::with_capacity(original.len());
        let mut starts = Vec::with_capacity(original.len());
        for (start, c) in original.char_indices() {
            if c.is_ascii() {
                text.push(c);
            } else if let Some(ascii) = look(c) {
                text.push(ascii);
            } else if !unseen(c) {
                let decomposed = nfkd.normalize(c.encode_utf8(&mut [0; 4])).into_owned();
                // A letter with an accent is a letter; only what stands for ASCII altogether is replaced.
                if decomposed.is_ascii() { text.push_str(&decomposed) } else { text.push(c) }
            }
            starts.resize(text.len(), start);
        }
        Self { original, text: Cow::Owned(text), starts }
    }

    /// The text to search.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the text to search differs from the text as it was written.
    pub(super) fn differs(&self) -> bool {
        self.text != self.original
    }

    /// The bytes of the original that a span of the searched text stands for.
    pub(super) fn original_span(&self, span: Span) -> Span {
        let first = self.starts.get(span.start).copied();
        let last = span.end.checked_sub(1).and_then(|last| self.starts.get(last)).copied();
        let (Some(first), Some(last)) = (first, last) else { return span };
        first..self.original.ceil_char_boundary(last + 1)
    }
}

/// Default ignorable code points (Unicode Standard Annex 44) and the combining marks that stand on any character.
fn unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{1ab0}'..='\u{1aff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{20d0}'..='\u{20ff}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// The zeros of the scripts whose decimal digits have no compatibility decomposition (`Nd` of the Unicode Character
/// Database); the nine digits after each are its other values.
const ZEROS: [u32; 22] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
    0x1040, 0x1090, 0x17e0, 0x1810, 0x19d0, 0xa9d0,
];

/// What a character looks like that no decomposition makes ASCII.
fn look(c: char) -> Option<char> {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{2043}' => Some('-'),
        '\u{3002}' | '\u{ff61}' | '\u{6d4}' => Some('.'),
        '\u{2044}' | '\u{2215}' => Some('/'),
        '\u{2028}' | '\u{2029}' | '\u{85}' => Some('\n'),
        _ if c.is_whitespace() => Some(' '),
        _ => {
            let mut values = ZEROS.iter().filter_map(|zero| u32::from(c).checked_sub(*zero));
            values.find_map(|value| char::from_digit(value, 10))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(original: &str, seen: &str) {
        assert_eq!(Folded::new(original).text(), seen);
    }

    #[test]
    fn what_looks_like_ascii_is_ascii_and_what_is_not_seen_is_left_out() {
        check("plain", "plain");
        check("４１１１　１１１１", "4111 1111");
        check("al\u{200b}ice＠exam\u{ad}ple。com", "alice@example.com");
        check("٤١١١ 𝟒𝟏 ①", "4111 41 1");
        check("4\u{20e3}1\u{fe0f}\u{20e3}", "41");
        check("030–12 34", "030-12 34");
    }

    #[test]
    fn letters_with_accents_and_other_scripts_stay() {
        check("Gäste 東京", "Gäste 東京");
    }

    #[test]
    fn a_range_leads_back_to_whole_characters() {
        let folded = Folded::new("x４\u{200b}２y");
        assert_eq!(folded.text(), "x42y");
        assert_eq!(folded.original_span(1..3), 1..10);
        assert_eq!(Folded::new("abc").original_span(1..2), 1..2);
    }
}
