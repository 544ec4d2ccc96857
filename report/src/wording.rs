//! Words that several parts of a report use.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{Judgement, NeighbourBasis, NeighboursReport};

use crate::document::{Block, Section, Text, Tone, join, name, own, prose};
use crate::number::{UNKNOWN, number, probability, size};

/// The verdict on retrieval, which is that of the report: the context and its scores.
pub(crate) fn judgement(report: &Report) -> Judgement {
    match (report.retrieval.verdict, report.retrieval.scores.verdict) {
        (Judgement::Drift, _) | (_, Judgement::Drift) => Judgement::Drift,
        (verdict, _) => verdict,
    }
}

/// A verdict as a word that is seen from afar.
pub(crate) fn word(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Stable => "STABLE",
        Judgement::Drift => "DRIFT",
        Judgement::InsufficientEvidence => "INSUFFICIENT EVIDENCE",
    }
}

/// A verdict in a table: what drifted stands out.
pub(crate) fn short_word(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Stable => "stable",
        Judgement::Drift => "DRIFT",
        Judgement::InsufficientEvidence => "not judged",
    }
}

/// The same in a cell.
pub(crate) fn verdict(judgement: Judgement) -> Text {
    let tone = if judgement == Judgement::Drift { Tone::Bad } else { Tone::Plain };
    own(short_word(judgement)).toned(tone)
}

/// The tone of a verdict.
pub(crate) fn tone(judgement: Judgement) -> Tone {
    match judgement {
        Judgement::Stable => Tone::Good,
        Judgement::Drift => Tone::Bad,
        Judgement::InsufficientEvidence => Tone::Unsure,
    }
}

/// The verdict over a part of the report; without numbers there is nothing to see there.
pub(crate) fn state(judgement: Judgement, has_numbers: bool) -> &'static str {
    match judgement {
        Judgement::InsufficientEvidence if !has_numbers => "NOT JUDGED",
        judgement => word(judgement),
    }
}

/// From where on a change counts.
pub(crate) fn matters_above(threshold: f64) -> String {
    format!("matters above {}", number(threshold))
}

/// A p-value or a q-value, as far as it is known.
pub(crate) fn p_value(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), probability)
}

/// A number with its unit; without a number there is no unit.
pub(crate) fn with_unit(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{} {unit}", number(value)))
}

/// The test that gave a p-value, for the meaning of it.
pub(crate) fn tested_by(test: Option<&str>) -> String {
    test_name(test).map_or_else(|| "nothing was tested".to_owned(), |name| format!("{name}; small = not by chance"))
}

/// The name of the test of rankings.
pub(crate) fn test_name(name: Option<&str>) -> Option<&'static str> {
    Some(match name? {
        "kernel_two_sample" => "kernel two-sample test",
        "bootstrap" => "bootstrap over queries",
        _ => "another test",
    })
}

/// `1 query`, `2 queries`.
pub(crate) fn queries(n: usize) -> String {
    format!("{} {}", size(n), if n == 1 { "query" } else { "queries" })
}

/// `214 groups of similar queries`.
pub(crate) fn groups(neighbours: &NeighboursReport) -> String {
    let groups = format!("{} group{}", size(neighbours.groups), if neighbours.groups == 1 { "" } else { "s" });
    match neighbours.basis {
        NeighbourBasis::Embedding | NeighbourBasis::Text => format!("{groups} of similar queries"),
        NeighbourBasis::FirstDocument => format!("{groups} of queries whose answers begin alike"),
    }
}

/// A sentence of its own, from words that were written to be part of one.
pub(crate) fn sentence(words: &str) -> String {
    let mut rest = words.chars();
    let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if words.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", rest.as_str())
}

/// A name, as far as it is known.
pub(crate) fn known_name(known: Option<&str>) -> Text {
    known.map_or_else(|| own(UNKNOWN), name)
}

/// Names after each other, if there are any.
pub(crate) fn names(names: impl IntoIterator<Item = Text>) -> Text {
    let names = join(names, ", ");
    if names.parts.is_empty() { own(UNKNOWN) } else { names }
}

/// What a reader should know besides.
pub(crate) fn notes(notes: &[String]) -> Option<Section> {
    let items = notes.iter().map(|note| prose(sentence(note)).into()).collect();
    (!notes.is_empty()).then(|| Section::headed("Notes", vec![Block::Items(items)]))
}
