//! The report for a terminal.

use crate::report::{CauseReport, IntegrityReport, Judgement, Report};

use super::escape::{elide, visible};
use super::number::{UNKNOWN, number, percent};
use super::page::{COLUMNS, Page, Role, Span};
use super::section::{Block, Fact, Grid, Section, Value};
use super::table::{Column, Table};
use super::words::{self, integrity, outputs, segments, stages, summary, traffic};
use super::{Style, next, plot};

/// The report as text of at most 100 columns, the verdict in its first line. Only a word of a command that is longer than
/// a line exceeds them: it has to be copied whole.
pub fn text(report: &Report, style: Style) -> String {
    let mut page = Page::new(style);
    write_head(&mut page, report);
    write_summary(&mut page, report);
    let quiet = words::judgement(report) == Judgement::Stable;
    for (heading, causes) in words::causes(report) {
        page.heading(heading);
        write_causes(&mut page, &causes, quiet);
    }
    write_integrity(&mut page, report);
    write_section(&mut page, stages::section(report).as_ref());
    let some_drift = segments::drifting(report).next().is_some();
    write_section(&mut page, segments::section(report).filter(|_| some_drift).as_ref());
    write_windows(&mut page, report);
    if words::judgement(report) == Judgement::Stable {
        write_in_short(&mut page, report);
    } else {
        write_rankings(&mut page, report);
        write_scores(&mut page, report);
        if report.retrieval.verdict != Judgement::Stable {
            write_queries(&mut page, report);
        }
        write_section(&mut page, segments::section(report).filter(|_| !some_drift).as_ref());
        write_section(&mut page, Some(&outputs::section(report)));
        write_section(&mut page, Some(&traffic::section(report)));
    }
    write_notes(&mut page, &next::notes(report));
    write_steps(&mut page, report);
    page.gap();
    let made = format!("{}, {}", report.id, words::made(report));
    page.paragraph(0, &Span::new(Role::Quiet, &made));
    page.finish()
}

/// The verdict, and what was compared.
pub(super) fn write_head(page: &mut Page, report: &Report) {
    page.paragraph(0, &Span::new(role(words::alarm(report)), &words::headline(report)));
    let segment = words::segment(report);
    let part = if segment.is_empty() { String::new() } else { format!(", segment {}", segment.join(", ")) };
    let (asked, windows) = (words::asked(report), [&report.reference, &report.current]);
    let [before, after] = windows.map(|window| window.selector.as_str());
    page.paragraph(0, &Span::plain(&format!("corpus {}{part}, {before} → {after}, {asked}", report.corpus)));
}

/// Columns of the names in the summary.
const NAMES: usize = 12;

/// The lines that suffice.
fn write_summary(page: &mut Page, report: &Report) {
    let lines = summary::lines(report);
    if lines.is_empty() {
        return;
    }
    page.gap();
    for line in lines {
        let lines_max = if line.name == "next" { SUMMARY_LINES + 1 } else { SUMMARY_LINES };
        let says = Span::plain(&line.says).wrapped(COLUMNS - NAMES, lines_max);
        for (at, part) in says.into_iter().enumerate() {
            let name = if at == 0 { line.name } else { "" };
            page.line(&[(2, Span::new(Role::Heading, name)), (NAMES, part)]);
        }
        if let Some(command) = &line.command {
            page.command(NAMES, command);
        }
    }
}

/// Lines of one answer of the summary at most.
const SUMMARY_LINES: usize = 2;

/// The colour of a verdict.
pub(super) fn role(judgement: Judgement) -> Role {
    match judgement {
        Judgement::Stable => Role::Good,
        Judgement::Drift => Role::Bad,
        Judgement::InsufficientEvidence => Role::Unsure,
    }
}

/// Columns of a bar that shows a share of 1.
const BAR: usize = 40;

/// A bar for each cause; where the verdict is stable nothing asks for attention.
fn write_causes(page: &mut Page, causes: &[&CauseReport], quiet: bool) {
    if causes.is_empty() {
        page.paragraph(2, &Span::plain(words::NO_CAUSE));
    }
    let name_columns = causes.iter().map(|cause| cause.cause.as_str().len()).max().unwrap_or(0);
    for cause in causes {
        let share = percent(cause.share);
        let bar_at = 2 + name_columns + 2 + "100.0 %".len() + 2;
        let role = if cause.declared || quiet { Role::Plain } else { Role::Bad };
        let bar = if quiet { String::new() } else { plot::bar(cause.share, BAR) };
        let declared_at = if quiet { bar_at } else { bar_at + BAR + 2 };
        let declared = words::declared(cause);
        let declared = if quiet { declared.to_lowercase() } else { declared.to_owned() };
        page.line(&[
            (2, Span::new(Role::Heading, cause.cause.as_str())),
            (bar_at - 2 - share.len(), Span::plain(&share)),
            (bar_at, Span::new(Role::Picture, &bar)),
            (declared_at, Span::new(role, &declared)),
        ]);
        page.paragraph(4, &Span::plain(&words::sentence(&cause.evidence)));
    }
}

/// Columns of a name of an example; a longer one loses its middle.
const EXAMPLE: usize = 46;

fn write_integrity(page: &mut Page, report: &Report) {
    if report.integrity.is_empty() {
        return;
    }
    page.heading(integrity::HEADING);
    let columns = report.integrity.iter().map(|finding| finding.kind.as_str().len()).max().unwrap_or(0);
    for finding in &report.integrity {
        let role = if integrity::is_new(finding) { Role::Bad } else { Role::Unsure };
        let tally = integrity::tally(finding);
        page.line(&[(2, Span::new(role, finding.kind.as_str())), (2 + columns + 2, Span::plain(&tally))]);
        page.paragraph(4, &Span::plain(&words::sentence(&finding.evidence)));
        write_examples(page, finding);
        if !integrity::is_new(finding) {
            page.paragraph(4, &Span::plain(&words::sentence(finding.advice)));
        }
    }
}

fn write_examples(page: &mut Page, finding: &IntegrityReport) {
    let shown = finding.examples.iter().take(integrity::EXAMPLES_MAX);
    // Written out first: what is left out is then no part of what writes a character out.
    let names: Vec<String> = shown.map(|name| elide(&visible(name), EXAMPLE)).collect();
    if !names.is_empty() {
        page.paragraph(4, &Span::new(Role::Quiet, &format!("such as {}", names.join(", "))));
    }
}

/// A part of the report, if there is one.
pub(super) fn write_section(page: &mut Page, section: Option<&Section>) {
    let Some(section) = section else { return };
    page.heading(&section.heading);
    for (place, block) in section.blocks.iter().enumerate() {
        // Tables are told apart by an empty line.
        if place > 0 && matches!(block, Block::Grid(_)) {
            page.gap();
        }
        match block {
            Block::Facts(facts) => write_facts(page, facts),
            Block::Grid(grid) => write_grid(page, grid),
            Block::Sentence(sentence) => page.paragraph(2, &Span::plain(sentence)),
        }
    }
}

fn write_grid(page: &mut Page, grid: &Grid) {
    let columns: Vec<Column> = grid.columns.iter().map(|(_, column)| *column).collect();
    let mut table = Table::new(&columns);
    table.headings(&grid.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    for row in &grid.rows {
        table.row(row.iter().map(|value| {
            let role = match value {
                Value::Verdict(Judgement::Drift) => Role::Bad,
                _ => Role::Plain,
            };
            Span::new(role, &value.joined())
        }));
    }
    table.write(page);
}

fn write_windows(page: &mut Page, report: &Report) {
    page.heading("Windows");
    let mut table = Table::new(&[Column::Left, Column::Left, Column::Left]);
    table.headings(&["", "reference", "current"]);
    for (name, [reference, current]) in words::windows(report) {
        table.row([Span::plain(name), Span::plain(&reference.joined()), Span::plain(&current.joined())]);
    }
    table.write(page);
}

/// What carries a stable verdict, a line for each question; what is not stable has its own part.
fn write_in_short(page: &mut Page, report: &Report) {
    page.heading("Numbers");
    let kept = |fact: &Fact| matches!(fact.name, "mean overlap" | "noise floor" | "excess change");
    let mut facts: Vec<Fact> = words::rankings(report).into_iter().filter(kept).collect();
    let scores = words::scores(report).into_iter().find(|fact| fact.name == "effect");
    facts.extend(scores.map(|fact| Fact { name: "scores", ..fact }));
    facts.extend(segments::short(report).filter(|_| segments::drifting(report).next().is_none()));
    facts.extend([outputs::short(report), traffic::short(report)].into_iter().flatten());
    write_facts(page, &facts);
    let scores = &report.retrieval.scores;
    let no_scores = (scores.verdict == Judgement::InsufficientEvidence).then(|| words::scores_not_judged(scores));
    for (what, why) in [
        ("Scores", no_scores),
        ("Segments", segments::not_judged(report)),
        ("Outputs", outputs::not_judged(&report.outputs)),
        ("Traffic", traffic::not_judged(&report.traffic)),
    ] {
        if let Some(why) = why {
            let verb = if what == "Traffic" { "was" } else { "were" };
            page.paragraph(2, &Span::plain(&format!("{what} {verb} not judged: {why}.")));
        }
    }
    let drifted = |judgement| judgement == Judgement::Drift;
    write_section(page, Some(&outputs::section(report)).filter(|_| drifted(report.outputs.verdict)));
    write_section(page, Some(&traffic::section(report)).filter(|_| drifted(report.traffic.verdict)));
}

fn add_fact(table: &mut Table, fact: &Fact) {
    table.row([Span::plain(fact.name), Span::plain(&fact.value), Span::new(Role::Quiet, &fact.meaning)]);
}

pub(super) fn write_facts(page: &mut Page, facts: &[Fact]) {
    let mut table = Table::new(&[Column::Left, Column::Left, Column::Left]);
    for fact in facts {
        add_fact(&mut table, fact);
    }
    table.write(page);
}

fn write_rankings(page: &mut Page, report: &Report) {
    let retrieval = &report.retrieval;
    page.heading(&format!("Rankings: {}", words::word(retrieval.verdict)));
    write_facts(page, &words::rankings(report));
    if let (Some(estimate), Some(interval)) = (retrieval.excess_change, retrieval.interval) {
        page.gap();
        page.line(&[(2, Span::new(Role::Quiet, "excess change"))]);
        let lines = plot::interval(estimate, interval, retrieval.threshold, &words::matters(report), COLUMNS - 4);
        for line in lines {
            page.line(&[(2, Span::new(Role::Picture, &line))]);
        }
    }
}

fn write_scores(page: &mut Page, report: &Report) {
    let scores = &report.retrieval.scores;
    if scores.verdict == Judgement::InsufficientEvidence {
        page.heading("Scores of unchanged documents: NOT JUDGED");
        page.paragraph(2, &Span::plain(&words::sentence(&words::scores_not_judged(scores))));
    } else {
        let queries = words::queries(scores.queries);
        page.heading(&format!("Scores of unchanged documents: {} ({queries})", words::word(scores.verdict)));
        write_facts(page, &words::scores(report));
    }
}

fn write_queries(page: &mut Page, report: &Report) {
    if report.queries.is_empty() {
        return;
    }
    page.heading("Queries that changed most (beyond noise: 0 = same, 1 = nothing in common)");
    let mut table = Table::new(&[Column::Elided, Column::Right, Column::Left, Column::Left]);
    table.headings(&["fingerprint", "change", "reference trace", "current trace"]);
    let name = |name: Option<&str>| Span::plain(name.unwrap_or(UNKNOWN));
    for query in &report.queries {
        table.row([
            name(Some(&query.fingerprint)),
            Span::plain(&number(query.excess_change)),
            name(query.reference_trace.as_deref()),
            name(query.current_trace.as_deref()),
        ]);
    }
    table.write(page);
}

/// What a reader should know besides.
pub(super) fn write_notes(page: &mut Page, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    page.heading("Notes");
    for note in notes {
        page.item(&words::sentence(note));
    }
}

fn write_steps(page: &mut Page, report: &Report) {
    let steps = next::steps(report);
    if steps.is_empty() {
        return;
    }
    page.heading("Next:");
    for step in steps {
        page.item(&step.why);
        if let Some(command) = &step.command {
            page.command(6, command);
        }
    }
}
