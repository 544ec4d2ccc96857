//! The report for a comment on a pull request, in GitHub-flavoured Markdown without HTML.

use crate::report::{CauseReport, Judgement, Report};

use super::inline::{code, prose};
use super::number::{UNKNOWN, number, percent};
use super::section::{Block, Fact, Grid, Section, Value};
use super::table::Column;
use super::words::{self, integrity, outputs, segments, stages, summary, traffic};
use super::{next, plot};

/// The report as GitHub-flavoured Markdown. No name in it can become markup, a mention or a link.
pub fn markdown(report: &Report) -> String {
    let segment: Vec<String> = words::segment(report).iter().map(|pair| code(pair)).collect();
    let mut parts = vec![
        format!("## {}", words::headline(report)),
        format!(
            "Corpus {}{}, {} → {}, {}.",
            code(report.corpus.as_str()),
            if segment.is_empty() { String::new() } else { format!(", segment {}", segment.join(", ")) },
            code(&report.reference.selector),
            code(&report.current.selector),
            words::asked(report)
        ),
    ];
    let lines = summary::lines(report);
    if !lines.is_empty() {
        let line = |line: summary::Line| match line.command {
            Some(command) => {
                format!("- **{}** {}\n\n  ```sh\n  {}\n  ```", line.name, prose(&line.says), command.join(" "))
            }
            None => format!("- **{}** {}", line.name, prose(&line.says)),
        };
        parts.push(lines.into_iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    for (heading, causes) in words::causes(report) {
        parts.push(format!("### {heading}"));
        parts.push(causes_table(&causes));
    }
    parts.extend(integrity_parts(report));
    parts.extend(stages::section(report).iter().flat_map(section));
    let (drifting, settled) = match segments::section(report) {
        segments if segments::drifting(report).next().is_some() => (segments, None),
        segments => (None, segments),
    };
    parts.extend(drifting.iter().flat_map(section));
    parts.push("### Windows".to_owned());
    parts.push(windows_table(report));
    parts.push(format!("### Rankings: {}", words::word(report.retrieval.verdict)));
    parts.push(facts_table(&words::rankings(report)));
    parts.extend(picture(report));
    parts.extend(scores(report));
    if report.retrieval.verdict != Judgement::Stable && !report.queries.is_empty() {
        parts.push("### Queries that changed most".to_owned());
        parts.push(queries_table(report));
    }
    parts.extend(settled.iter().flat_map(section));
    parts.extend(section(&outputs::section(report)));
    parts.extend(section(&traffic::section(report)));
    let notes = next::notes(report);
    if !notes.is_empty() {
        parts.push("### Notes".to_owned());
        let items: Vec<String> = notes.iter().map(|note| format!("- {}", prose(&words::sentence(note)))).collect();
        parts.push(items.join("\n"));
    }
    parts.extend(steps(report));
    parts.push(format!("{}, {}", code(&report.id), words::made(report)));
    parts.join("\n\n") + "\n"
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn table(headings: &[&str], alignment: &str, rows: Vec<String>) -> String {
    let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    [vec![row(&headings), alignment.to_owned()], rows].concat().join("\n")
}

/// Blocks of a bar that shows a share of 1.
const BAR: usize = 20;

fn causes_table(causes: &[&CauseReport]) -> String {
    if causes.is_empty() {
        return words::NO_CAUSE.to_owned();
    }
    let rows = causes.iter().map(|cause| {
        let declared = match words::declared(cause) {
            "SILENT" => "**SILENT**",
            "" => UNKNOWN,
            declared => declared,
        };
        row(&[
            code(cause.cause.as_str()),
            percent(cause.share).replace('<', "under"),
            code(&plot::filled_bar(cause.share, BAR)),
            declared.to_owned(),
            prose(&words::sentence(&cause.evidence)),
        ])
    });
    table(&["cause", "share", "", "declared?", "what was counted"], "| --- | ---: | --- | --- | --- |", rows.collect())
}

/// The findings, and what to do about those that a step does not name.
fn integrity_parts(report: &Report) -> Vec<String> {
    if report.integrity.is_empty() {
        return Vec::new();
    }
    let rows = report.integrity.iter().map(|finding| {
        let examples: Vec<String> =
            finding.examples.iter().take(integrity::EXAMPLES_MAX).map(|name| code(name)).collect();
        let mut seen = prose(&words::sentence(&finding.evidence));
        if !integrity::is_new(finding) {
            seen = format!("{seen} {}", prose(&words::sentence(finding.advice)));
        }
        row(&[
            code(finding.kind.as_str()),
            integrity::counted(finding.count, finding.unit),
            integrity::counted(finding.reference_count, finding.unit),
            seen,
            if examples.is_empty() { UNKNOWN.to_owned() } else { examples.join(", ") },
        ])
    });
    let headings = ["finding", "count", "in the reference", "what was seen", "such as"];
    let table = table(&headings, "| --- | ---: | ---: | --- | --- |", rows.collect());
    vec![format!("### {}", integrity::HEADING), table]
}

/// A part of the report: its heading and its blocks.
fn section(section: &Section) -> Vec<String> {
    let block = |block: &Block| match block {
        Block::Facts(facts) => facts_table(facts),
        Block::Grid(grid) => grid_table(grid),
        Block::Sentence(sentence) => prose(sentence),
    };
    let heading = format!("### {}", section.heading);
    std::iter::once(heading).chain(section.blocks.iter().map(block)).collect()
}

fn grid_table(grid: &Grid) -> String {
    let names: Vec<&str> = grid.columns.iter().map(|(name, _)| name.as_str()).collect();
    let alignment = grid.columns.iter().map(|(_, column)| match column {
        Column::Right => "---:".to_owned(),
        Column::Left | Column::Elided => "---".to_owned(),
    });
    let rows = grid.rows.iter().map(|values| row(&values.iter().map(shown).collect::<Vec<_>>()));
    table(&names, &row(&alignment.collect::<Vec<_>>()), rows.collect())
}

/// A value in a cell: names are code.
fn shown(value: &Value) -> String {
    match value {
        Value::Own(text) => text.replace('<', "under"),
        Value::Verdict(Judgement::Drift) => format!("**{}**", value.joined()),
        Value::Names(names) if !names.is_empty() => names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", "),
        Value::Verdict(_) | Value::Names(_) => value.joined(),
    }
}

fn windows_table(report: &Report) -> String {
    let rows = words::windows(report)
        .into_iter()
        .map(|(name, [reference, current])| row(&[name.to_owned(), shown(&reference), shown(&current)]));
    table(&["", "reference", "current"], "| --- | --- | --- |", rows.collect())
}

fn facts_table(facts: &[Fact]) -> String {
    let rows = facts
        .iter()
        .map(|fact| row(&[fact.name.to_owned(), fact.value.replace('<', "under"), fact.meaning.replace('<', "under")]));
    table(&["number", "value", "meaning"], "| --- | --- | --- |", rows.collect())
}

/// Columns of the picture; a comment is narrower than a terminal.
const PICTURE: usize = 72;

fn picture(report: &Report) -> Option<String> {
    let retrieval = &report.retrieval;
    let interval = retrieval.interval.filter(|_| words::judgement(report) != Judgement::Stable)?;
    let label = words::matters(report);
    let lines = plot::interval(retrieval.excess_change?, interval, retrieval.threshold, &label, PICTURE);
    Some(format!("```text\nexcess change\n{}\n```", lines.join("\n")))
}

fn scores(report: &Report) -> [String; 2] {
    let scores = &report.retrieval.scores;
    if scores.verdict == Judgement::InsufficientEvidence {
        let why = words::sentence(&words::scores_not_judged(scores));
        return ["### Scores of unchanged documents: NOT JUDGED".to_owned(), why];
    }
    let (word, queries) = (words::word(scores.verdict), words::queries(scores.queries));
    [format!("### Scores of unchanged documents: {word} ({queries})"), facts_table(&words::scores(report))]
}

fn queries_table(report: &Report) -> String {
    let name = |name: Option<&String>| name.map_or_else(|| UNKNOWN.to_owned(), |name| code(name));
    let rows = report.queries.iter().map(|query| {
        row(&[
            code(&query.fingerprint),
            number(query.excess_change),
            name(query.reference_trace.as_ref()),
            name(query.current_trace.as_ref()),
        ])
    });
    let headings = ["fingerprint", "change (0 = same)", "reference trace", "current trace"];
    table(&headings, "| --- | ---: | --- | --- |", rows.collect())
}

/// A fence cannot be closed from inside: a command begins with our words and is one line.
fn steps(report: &Report) -> Vec<String> {
    let steps = next::steps(report);
    let heading = (!steps.is_empty()).then(|| "### Next".to_owned());
    let step = |step: next::Step| match step.command {
        Some(command) => format!("- {}\n\n  ```sh\n  {}\n  ```", prose(&step.why), command.join(" ")),
        None => format!("- {}", prose(&step.why)),
    };
    heading.into_iter().chain(steps.into_iter().map(step)).collect()
}
