//! What contradicts what was declared.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::IntegrityReport;

use crate::document::{Block, Inline, Layout, Section, Table, Text, Tone, join, name, own, prose};
use crate::number::{count, size};
use crate::wording::sentence;

/// Examples that are shown of each finding.
const EXAMPLES_MAX: usize = 3;

/// `1 integrity finding`, `2 integrity findings`; none if there are none.
pub(super) fn clause(report: &Report) -> Option<String> {
    match report.integrity.len() {
        0 => None,
        1 => Some("1 integrity finding".to_owned()),
        n => Some(format!("{} integrity findings", size(n))),
    }
}

/// Whether the current window holds more of it than the reference did.
pub(super) fn is_new(finding: &IntegrityReport) -> bool {
    finding.count > finding.reference_count
}

/// What was found, and how many there were before: `3 documents, none in the reference`.
pub(crate) fn finding(finding: &IntegrityReport) -> [Text; 2] {
    let unit = if finding.count == 1 { finding.unit.strip_suffix('s').unwrap_or(finding.unit) } else { finding.unit };
    let before = if finding.reference_count == 0 { "none".to_owned() } else { count(finding.reference_count) };
    let tone = if is_new(finding) { Tone::Bad } else { Tone::Unsure };
    let tally = format!("{} {unit}, {before} in the reference", count(finding.count));
    [name(finding.kind.as_str()).toned(tone), own(tally)]
}

/// The findings, and what to do about those that a step does not name.
pub(super) fn section(report: &Report) -> Option<Section> {
    let columns = [
        ("finding", Layout::Left),
        ("count", Layout::Left),
        ("what was seen", Layout::Below),
        ("such as", Layout::BelowNamed),
        ("what to do", Layout::Below),
    ];
    let rows = report.integrity.iter().map(|found| {
        let [kind, tally] = finding(found);
        let examples = found.examples.iter().take(EXAMPLES_MAX).map(|example| Inline::LongName(example.clone()).into());
        let advice = if is_new(found) { own("") } else { prose(sentence(found.advice)) };
        [kind, tally, prose(sentence(&found.evidence)), join(examples, ", ").toned(Tone::Quiet), advice]
    });
    let table = Table::new(columns, rows).without_empty_columns();
    (!report.integrity.is_empty()).then(|| Section::headed("Integrity", vec![Block::Table(table)]))
}
