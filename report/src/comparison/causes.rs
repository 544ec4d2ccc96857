//! Why something changed.

use tidemark_analyzer::Report;
use tidemark_analyzer::causes::Cause;
use tidemark_analyzer::report::{Affects, CauseReport, Judgement};

use crate::document::{Block, Layout, Section, Table, Tone, bar, name, own, prose};
use crate::number::percent;
use crate::wording::{judgement, sentence};

/// Said where rankings changed and nothing was charged.
pub(crate) const NO_CAUSE: &str = "No part of the change could be charged to a cause.";

/// The causes of the change in one dimension, under its heading.
pub(crate) fn groups(report: &Report) -> Vec<(&'static str, Vec<&CauseReport>)> {
    let of = |affects: Affects| -> Vec<&CauseReport> {
        report.causes.iter().filter(|cause| cause.affects == affects).collect()
    };
    [
        (Affects::Ranking, "Why rankings changed"),
        (Affects::Scores, "Why scores changed"),
        (Affects::Traffic, "Why traffic changed"),
        (Affects::Identity, "What happened to document ids"),
    ]
    .into_iter()
    .map(|(affects, heading)| (affects, heading, of(affects)))
    .filter(|(affects, _, causes)| {
        !causes.is_empty() || (report.retrieval.verdict == Judgement::Drift && *affects == Affects::Ranking)
    })
    .map(|(_, heading, causes)| (heading, causes))
    .collect()
}

/// Whether events or registry said that it would happen. What users ask is nobody's to declare.
pub(crate) fn declared(cause: &CauseReport) -> &'static str {
    match (cause.cause, cause.declared) {
        (Cause::QueryMix, _) => "",
        (_, true) => "declared",
        (_, false) => "SILENT",
    }
}

pub(super) fn sections(report: &Report) -> impl Iterator<Item = Section> {
    let quiet = judgement(report) == Judgement::Stable;
    groups(report).into_iter().map(move |(heading, causes)| {
        let no_cause = || Block::Paragraph(own(NO_CAUSE));
        let block = if causes.is_empty() { no_cause() } else { Block::Table(table(&causes, quiet)) };
        Section::headed(heading, vec![block])
    })
}

/// A bar for each cause; where the verdict is stable nothing asks for attention.
fn table(causes: &[&CauseReport], quiet: bool) -> Table {
    let columns = [
        ("cause", Layout::Left),
        ("share", Layout::Right),
        ("", Layout::Left),
        ("declared?", Layout::Left),
        ("what was counted", Layout::Below),
    ];
    let row = |cause: &&CauseReport| {
        let share = percent(cause.share);
        let said = if quiet { declared(cause).to_lowercase() } else { declared(cause).to_owned() };
        [
            name(cause.cause.as_str()).toned(Tone::Strong),
            // As wide as 100.0 %, so that the bars of all dimensions begin alike.
            own(format!("{share:>7}")),
            if quiet { own("") } else { bar(cause.share) },
            own(said).toned(if cause.declared || quiet { Tone::Plain } else { Tone::Bad }),
            prose(sentence(&cause.evidence)),
        ]
    };
    Table::new(columns, causes.iter().map(row)).without_empty_columns()
}
