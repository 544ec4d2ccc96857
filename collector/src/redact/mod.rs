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

use std::collections::BTreeSet;

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

    fn find(self, text: &str, found: &mut Vec<Span>) {
        match self {
            Self::ApiKey => api_key::find(text, found),
            Self::Iban => iban::find(text, found),
            Self::Card => card::find(text, found),
            Self::Email => email::find(text, found),
            Self::Ip => ip::find(text, found),
            Self::Phone => phone::find(text, found),
        }
    }
}

/// The bytes of a text from `start` up to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

/// A place of the original text that goes, and what for: an index of [`Redactor::names`].
#[derive(Debug, Clone, Copy)]
struct Hit {
    span: Span,
    name: usize,
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
        for _ in 0..PASSES {
            let hits = self.hits(text);
            if hits.is_empty() {
                return;
            }
            self.replace(text, &hits, found);
        }
        if let Some(hit) = self.hits(text).first() {
            let whole = Hit { span: Span { start: 0, end: text.len() }, name: hit.name };
            self.replace(text, &[whole], found);
        }
    }

    fn replace(&self, text: &mut String, hits: &[Hit], found: &mut BTreeSet<Label>) {
        let mut redacted = String::with_capacity(text.len());
        let mut kept = 0;
        for hit in hits {
            redacted.push_str(text.get(kept..hit.span.start).unwrap_or_default());
            redacted.push_str(self.placeholders.get(hit.name).map_or("[redacted]", String::as_str));
            found.extend(self.names().nth(hit.name).and_then(|name| format!("redacted.{name}").parse().ok()));
            kept = hit.span.end;
        }
        redacted.push_str(text.get(kept..).unwrap_or_default());
        *text = redacted;
    }

    /// The places to replace, in order and apart from each other.
    fn hits(&self, text: &str) -> Vec<Hit> {
        let folded = Folded::new(text);
        let mut hits = Vec::new();
        let mut spans = Vec::new();
        for (name, pattern) in self.patterns.iter().enumerate() {
            pattern.find(folded.text(), &mut spans);
            hits.extend(spans.drain(..).map(|span| Hit { span: original(&folded, span), name }));
            if folded.differs() {
                pattern.find(text, &mut spans);
                hits.extend(spans.drain(..).map(|span| Hit { span, name }));
            }
        }
        for (name, detector) in self.detectors.iter().enumerate() {
            detector.find(folded.text(), &mut spans);
            let name = self.patterns.len() + name;
            hits.extend(spans.drain(..).map(|span| Hit { span: original(&folded, span), name }));
        }
        if hits.is_empty() {
            return hits;
        }
        apart(self.outside_of_placeholders(text, hits))
    }

    /// A pattern may match what stands in place of something: what lies inside of one placeholder stays, and what reaches
    /// into one takes the whole of it. So each replacement leaves less to replace.
    fn outside_of_placeholders(&self, text: &str, mut hits: Vec<Hit>) -> Vec<Hit> {
        let mut placeholders: Vec<Span> = Vec::new();
        for placeholder in &self.placeholders {
            let places = text.match_indices(placeholder.as_str());
            placeholders.extend(places.map(|(start, found)| Span { start, end: start + found.len() }));
        }
        placeholders.sort_unstable_by_key(|span| span.start);
        let touching = |at: usize| {
            let next = placeholders.partition_point(|span| span.end <= at);
            placeholders.get(next).filter(|span| span.start <= at)
        };
        hits.retain_mut(|hit| {
            let first = touching(hit.span.start).copied();
            let last = touching(hit.span.end.saturating_sub(1)).copied();
            let inside = first.is_some() && first == last;
            if let Some(first) = first {
                hit.span.start = first.start;
            }
            if let Some(last) = last {
                hit.span.end = last.end;
            }
            !inside
        });
        hits
    }
}

fn original(folded: &Folded<'_>, span: Span) -> Span {
    let (start, end) = folded.original_range(span.start, span.end);
    Span { start, end }
}

/// Joins what overlaps under the name of the longest, or of the most specific of equally long ones.
fn apart(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by_key(|hit| (hit.span.start, usize::MAX - hit.span.end, hit.name));
    let mut apart: Vec<Hit> = Vec::with_capacity(hits.len());
    let mut longest = 0;
    for hit in hits {
        let length = hit.span.end - hit.span.start;
        match apart.last_mut() {
            Some(last) if hit.span.start < last.span.end => {
                if length > longest {
                    longest = length;
                    last.name = hit.name;
                }
                last.span.end = last.span.end.max(hit.span.end);
            }
            _ => {
                longest = length;
                apart.push(hit);
            }
        }
    }
    apart
}

#[cfg(test)]
mod tests;
