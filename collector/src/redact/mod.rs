//! The one place where texts are redacted, before anything of them is written.
//!
//! A text is folded (`fold.rs`), each detector says where it sees something (one file each), overlapping places become
//! one, and each is replaced by its name in brackets. All detectors read a text once, from its start to its end.

mod api_key;
mod card;
mod email;
mod fold;
mod iban;
mod ip;
mod number;
mod pattern;
mod phone;
mod value;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use tidemark_schema::Label;

use fold::Folded;
pub use pattern::{InvalidPattern, Pattern};
pub use value::Texts;

/// How much of a query or an answer may be stored as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPolicy {
    /// Nothing: fingerprints and hashes are kept, texts are not. Attributes, parameters and filters are kept redacted.
    #[default]
    None,
    /// What the detectors leave of them.
    Redacted,
    /// Everything, as it was sent; nothing is redacted.
    Full,
}

/// What is recognised without a pattern of one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// Keys to programs, such as `AKIA…`, `ghp_…`, `sk-…`, JSON Web Tokens and private keys in PEM.
    ApiKey,
    /// International bank account numbers (ISO 13616).
    Iban,
    /// Numbers of payment cards (ISO/IEC 7812).
    Card,
    /// E-mail addresses (RFC 5321).
    Email,
    /// IP addresses of both versions.
    Ip,
    /// Phone numbers (ITU-T E.164 and common national forms).
    Phone,
}

impl Detector {
    /// All of them, the most specific first.
    pub const ALL: [Self; 6] = [Self::ApiKey, Self::Iban, Self::Card, Self::Email, Self::Ip, Self::Phone];

    /// The name in policies, in marks and in place of what was found.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Iban => "iban",
            Self::Card => "card",
            Self::Email => "email",
            Self::Ip => "ip",
            Self::Phone => "phone",
        }
    }

    fn find(self, text: &str) -> Vec<Span> {
        match self {
            Self::ApiKey => api_key::find(text),
            Self::Iban => iban::find(text),
            Self::Card => card::find(text),
            Self::Email => email::find(text),
            Self::Ip => ip::find(text),
            Self::Phone => phone::find(text),
        }
    }
}

/// The regular expression of a detector: of ASCII and verbose, unless it says otherwise.
#[expect(clippy::expect_used, reason = "the expressions are constants, and the tests compile each of them")]
fn regex(expression: &str) -> Regex {
    let built = RegexBuilder::new(expression).unicode(false).ignore_whitespace(true).build();
    built.expect("a regular expression")
}

/// Bytes of a text.
type Span = Range<usize>;

/// A place of the original text that goes, and what for: an index of [`Redactor::names`].
#[derive(Debug, Clone)]
struct Hit {
    span: Span,
    name: usize,
    /// How many bytes of the span were found under this name: none if it stands in place of something already.
    found: usize,
}

/// What is looked for in texts, and what stands in its place.
#[derive(Debug, Clone)]
pub struct Redactor {
    patterns: Vec<Pattern>,
    detectors: Vec<Detector>,
    /// What stands in place of each pattern and then of each detector, such as `[email]`.
    placeholders: Vec<String>,
}

/// Redacting can bring something new together, so it is repeated; a text that is not done after this many times was made
/// for that and goes as a whole.
const PASSES: usize = 8;

impl Redactor {
    /// One that looks for patterns first and for these detectors then.
    pub fn new(patterns: Vec<Pattern>, detectors: &BTreeSet<Detector>) -> Self {
        let detectors: Vec<Detector> = detectors.iter().copied().collect();
        let names = patterns.iter().map(Pattern::name).chain(detectors.iter().map(|detector| detector.as_str()));
        let placeholders = names.map(|name| format!("[{name}]")).collect();
        Self { patterns, detectors, placeholders }
    }

    /// The names of all that can be found: of the patterns, then of the detectors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.placeholders.iter().map(|placeholder| placeholder.trim_matches(['[', ']']))
    }

    /// The text without what is looked for; what was found is added to `found` by name. Redacting the result again
    /// changes nothing.
    pub fn redact(&self, text: &mut String, found: &mut BTreeSet<Label>) {
        for pass in 0..=PASSES {
            let mut hits = self.hits(text);
            let Some(first) = hits.first_mut() else { return };
            if pass == PASSES {
                first.span = 0..text.len();
                hits.truncate(1);
            }
            let mut kept = 0;
            let mut redacted = String::with_capacity(text.len());
            for Hit { span, name, .. } in hits {
                redacted.push_str(&text[kept..span.start]);
                redacted.push_str(&self.placeholders[name]);
                found.extend(self.names().nth(name).and_then(|name| format!("redacted.{name}").parse().ok()));
                kept = span.end;
            }
            redacted.push_str(&text[kept..]);
            *text = redacted;
        }
    }

    /// The places to replace, in order and apart from each other: what overlaps is one, under the name of the longest, or
    /// of the first of equally long ones.
    fn hits(&self, text: &str) -> Vec<Hit> {
        let folded = Folded::new(text);
        let mut hits = Vec::new();
        let mut add = |span: Span, name: usize| hits.push(Hit { found: span.len(), span, name });
        for (name, pattern) in self.patterns.iter().enumerate() {
            pattern.find(folded.text()).for_each(|span| add(folded.original_span(span), name));
            if folded.differs() {
                pattern.find(text).for_each(|span| add(span, name));
            }
        }
        for (name, detector) in (self.patterns.len()..).zip(&self.detectors) {
            detector.find(folded.text()).into_iter().for_each(|span| add(folded.original_span(span), name));
        }
        if hits.is_empty() {
            return hits;
        }
        // A pattern may match what stands in place of something: what reaches into that takes the whole of it, and what
        // lies inside of it changes nothing. So each replacement leaves less to replace.
        for (name, placeholder) in self.placeholders.iter().enumerate() {
            let places = text.match_indices(placeholder.as_str());
            hits.extend(places.map(|(start, place)| Hit { span: start..start + place.len(), name, found: 0 }));
        }
        hits.sort_by_key(|hit| (hit.span.start, hit.name));
        hits.dedup_by(|hit, joined| {
            let overlap = hit.span.start < joined.span.end;
            if overlap {
                joined.span.end = joined.span.end.max(hit.span.end);
                if (hit.found, Reverse(hit.name)) > (joined.found, Reverse(joined.name)) {
                    (joined.found, joined.name) = (hit.found, hit.name);
                }
            }
            overlap
        });
        hits.retain(|hit| !self.placeholders.iter().any(|placeholder| *placeholder == text[hit.span.clone()]));
        hits
    }
}

#[cfg(test)]
mod tests;
