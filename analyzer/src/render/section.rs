//! Parts of a report, said but not yet laid out.

use crate::report::Judgement;

use super::number::UNKNOWN;
use super::table::Column;

/// A heading and what stands under it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Section {
    pub(super) heading: String,
    pub(super) blocks: Vec<Block>,
}

/// What stands under a heading.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    /// Numbers, one in each line.
    Facts(Vec<Fact>),
    /// Rows of values.
    Grid(Grid),
    /// A sentence, which may hold names.
    Sentence(String),
}

/// One number of the report. All of it is in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) meaning: String,
}

impl Fact {
    pub(super) fn new(name: &'static str, value: String, meaning: impl Into<String>) -> Self {
        Self { name, value, meaning: meaning.into() }
    }
}

/// Rows of values under headings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grid {
    pub(super) columns: Vec<(String, Column)>,
    pub(super) rows: Vec<Vec<Value>>,
}

impl Grid {
    pub(super) fn new<const N: usize>(columns: [(&str, Column); N], rows: Vec<[Value; N]>) -> Self {
        Self {
            columns: columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect(),
            rows: rows.into_iter().map(|row| row.to_vec()).collect(),
        }
    }
}

/// A value, by whose words it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Ours.
    Own(String),
    /// A verdict, in a word that fits into a table.
    Verdict(Judgement),
    /// Those of whoever sent the events.
    Names(Vec<String>),
}

impl Value {
    pub(super) fn own(text: impl Into<String>) -> Self {
        Self::Own(text.into())
    }

    pub(super) fn name(name: &str) -> Self {
        Self::Names(vec![name.to_owned()])
    }

    /// As text, in which names are not marked as such.
    pub(super) fn joined(&self) -> String {
        match self {
            Self::Own(text) => text.clone(),
            Self::Verdict(judgement) => short_word(*judgement).to_owned(),
            Self::Names(names) if names.is_empty() => UNKNOWN.to_owned(),
            Self::Names(names) => names.join(", "),
        }
    }
}

/// A verdict in a table: what drifted stands out.
pub(super) fn short_word(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Stable => "stable",
        Judgement::Drift => "DRIFT",
        Judgement::InsufficientEvidence => "not judged",
    }
}
