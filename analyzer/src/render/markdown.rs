//! The report for a comment on a pull request, in GitHub-flavoured Markdown without HTML.

use crate::report::{CauseReport, Judgement, Report};

use super::inline::{code, prose};
use super::number::{UNKNOWN, number, percent};
use super::words::{self, Fact, Value};
use super::{next, plot};

/// The report as GitHub-flavoured Markdown. No name in it can become markup, a mention or a link.
pub fn markdown(report: &Report) -> String {
    let judgement = words::judgement(report);
    let mut parts = vec![
        format!("## {}: {}", words::word(judgement), words::verdict(report)),
        format!(
            "Corpus {}, {} → {}, {}.",
            code(report.corpus.as_str()),
            code(&report.reference.selector),
            code(&report.current.selector),
            words::asked(report)
        ),
    ];
    for (heading, causes) in words::causes(report) {
        parts.push(format!("### {heading}"));
        parts.push(causes_table(&causes));
    }
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
        let declared = if cause.declared { words::declared(cause).to_owned() } else { "**SILENT**".to_owned() };
        row(&[
            code(cause.cause.as_str()),
            percent(cause.share).replace('<', "under"),
            code(&plot::filled_bar(cause.share, BAR)),
            declared,
            prose(&words::sentence(&cause.evidence)),
        ])
    });
    table(&["cause", "share", "", "declared?", "what was counted"], "| --- | ---: | --- | --- | --- |", rows.collect())
}

fn windows_table(report: &Report) -> String {
    let shown = |value: &Value| match value {
        Value::Own(text) => text.clone(),
        Value::Names(names) if names.is_empty() => UNKNOWN.to_owned(),
        Value::Names(names) => names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", "),
    };
    let rows = words::windows(report)
        .into_iter()
        .map(|(name, [reference, current])| row(&[name.to_owned(), shown(&reference), shown(&current)]));
    table(&["", "reference", "current"], "| --- | --- | --- |", rows.collect())
}

fn facts_table(facts: &[Fact]) -> String {
    let rows = facts.iter().map(|fact| row(&[fact.name.to_owned(), fact.value.clone(), fact.meaning.clone()]));
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
            number(query.rbo),
            name(query.reference_trace.as_ref()),
            name(query.current_trace.as_ref()),
        ])
    });
    let headings = ["fingerprint", "RBO (1 = same)", "reference trace", "current trace"];
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
