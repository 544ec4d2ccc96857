use regex::{Regex, RegexBuilder};

use super::{Detector, Span};

/// A pattern of one's own: a name, and a regular expression that is matched in time linear in the text.
#[derive(Debug, Clone)]
pub struct Pattern {
    name: String,
    regex: Regex,
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// The name would not stand out in a text, or not be a mark.
    #[error("the name {0:?} is not 1 to 40 of the characters a-z, 0-9, `_` and `-`")]
    Name(String),
    /// The name is that of a detector.
    #[error("the name {0:?} is that of a detector; give the pattern another")]
    Taken(String),
    /// No regular expression, or one that is too large.
    #[error("the pattern {name:?} is {reason}; see the syntax of the crate regex, which has no look-around")]
    Regex {
        /// The name of the pattern.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Bytes that one compiled pattern may take.
const COMPILED_BYTES: usize = 1 << 20;

impl Pattern {
    /// Compiles a pattern of at most 4,096 bytes whose program takes at most 1 MiB.
    pub fn new(name: &str, pattern: &str) -> Result<Self, InvalidPattern> {
        let of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        if !(1..=40).contains(&name.len()) || !name.bytes().all(of_name) {
            return Err(InvalidPattern::Name(name.to_owned()));
        }
        if Detector::ALL.iter().any(|detector| detector.as_str() == name) {
            return Err(InvalidPattern::Taken(name.to_owned()));
        }
        let invalid = |reason: String| InvalidPattern::Regex { name: name.to_owned(), reason };
        if pattern.len() > 4_096 {
            return Err(invalid(format!("{} bytes long, the limit is 4096", pattern.len())));
        }
        let built = RegexBuilder::new(pattern).size_limit(COMPILED_BYTES).dfa_size_limit(COMPILED_BYTES).build();
        match built {
            Ok(regex) => Ok(Self { name: name.to_owned(), regex }),
            Err(regex::Error::CompiledTooBig(_)) => {
                Err(invalid("too large when compiled (the limit is 1 MiB): lower its repetition counts".to_owned()))
            }
            Err(error) => Err(invalid(format!("no regular expression: {error}"))),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Span> {
        self.regex.find_iter(text).map(|found| found.range()).filter(|span| !span.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, pattern: &str, expected: &str) {
        let error = Pattern::new(name, pattern).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn a_bad_pattern_is_named() {
        check("Employee", "x", "the name \"Employee\" is not 1 to 40 of the characters");
        check("email", "x", "the name \"email\" is that of a detector");
        check("open", "(", "the pattern \"open\" is no regular expression: regex parse error");
        check("huge", r"\w{1000}{100}", "the pattern \"huge\" is too large when compiled (the limit is 1 MiB)");
    }
}
