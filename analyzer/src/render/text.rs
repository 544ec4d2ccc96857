//! The report for a terminal.

use crate::report::{CauseReport, Judgement, Report};

use super::number::{UNKNOWN, number, percent};
use super::page::{COLUMNS, Page, Role, Span};
use super::table::{Column, Table};
use super::words::{self, Fact};
use super::{Style, next, plot};

/// The report as text of at most 100 columns, the verdict in its first line. Only a word of a command that is longer than
/// a line exceeds them: it has to be copied whole.
pub fn text(report: &Report, style: Style) -> String {
    let mut page = Page::new(style);
    let judgement = words::judgement(report);
    let headline = format!("{}: {}", words::word(judgement), words::verdict(report));
    page.paragraph(0, &Span::new(role(judgement), &headline));
    let asked = words::asked(report);
    let about =
        format!("corpus {}, {} → {}, {asked}", report.corpus, report.reference.selector, report.current.selector);
    page.paragraph(0, &Span::plain(&about));

    for (heading, causes) in words::causes(report) {
        page.heading(heading);
        write_causes(&mut page, &causes);
    }
    write_windows(&mut page, report);
    if judgement == Judgement::Stable {
        write_in_short(&mut page, report);
    } else {
        write_rankings(&mut page, report);
        write_scores(&mut page, report);
    }
    if report.retrieval.verdict != Judgement::Stable {
        write_queries(&mut page, report);
    }
    write_notes(&mut page, &next::notes(report));
    write_steps(&mut page, report);
    page.gap();
    let made = format!("{}, {}", report.id, words::made(report));
    page.paragraph(0, &Span::new(Role::Quiet, &made));
    page.finish()
}

/// The colour of a verdict.
fn role(judgement: Judgement) -> Role {
    match judgement {
        Judgement::Stable => Role::Good,
        Judgement::Drift => Role::Bad,
        Judgement::InsufficientEvidence => Role::Unsure,
    }
}

/// Columns of a bar that shows a share of 1.
const BAR: usize = 40;

fn write_causes(page: &mut Page, causes: &[&CauseReport]) {
    if causes.is_empty() {
        page.paragraph(2, &Span::plain(words::NO_CAUSE));
    }
    let name_columns = causes.iter().map(|cause| cause.cause.as_str().len()).max().unwrap_or(0);
    for cause in causes {
        let share = percent(cause.share);
        let bar_at = 2 + name_columns + 2 + "100.0 %".len() + 2;
        page.line(&[
            (2, Span::new(Role::Heading, cause.cause.as_str())),
            (bar_at - 2 - share.len(), Span::plain(&share)),
            (bar_at, Span::new(Role::Picture, &plot::bar(cause.share, BAR))),
            (bar_at + BAR + 2, Span::new(if cause.declared { Role::Plain } else { Role::Bad }, words::declared(cause))),
        ]);
        page.paragraph(4, &Span::plain(&words::sentence(&cause.evidence)));
    }
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

/// What carries a stable verdict, a line for each question.
fn write_in_short(page: &mut Page, report: &Report) {
    page.heading("Numbers");
    let mut table = Table::new(&[Column::Left, Column::Left, Column::Left]);
    let short = words::rankings(report);
    let kept = short.iter().filter(|fact| matches!(fact.name, "mean overlap" | "noise floor" | "excess change"));
    for fact in kept {
        add_fact(&mut table, fact);
    }
    if let Some(fact) = words::scores(report).into_iter().find(|fact| fact.name == "effect") {
        add_fact(&mut table, &Fact { name: "scores", ..fact });
    }
    table.write(page);
    if report.retrieval.scores.verdict == Judgement::InsufficientEvidence {
        let why = words::scores_not_judged(&report.retrieval.scores);
        page.paragraph(2, &Span::plain(&format!("Scores were not judged: {why}.")));
    }
}

fn add_fact(table: &mut Table, fact: &Fact) {
    table.row([Span::plain(fact.name), Span::plain(&fact.value), Span::new(Role::Quiet, &fact.meaning)]);
}

fn write_facts(page: &mut Page, facts: &[Fact]) {
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
    page.heading("Queries that changed most (RBO, 1 = same)");
    let mut table = Table::new(&[Column::Elided, Column::Right, Column::Left, Column::Left]);
    table.headings(&["fingerprint", "RBO", "reference trace", "current trace"]);
    let name = |name: Option<&str>| Span::plain(name.unwrap_or(UNKNOWN));
    for query in &report.queries {
        table.row([
            name(Some(&query.fingerprint)),
            Span::plain(&number(query.rbo)),
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
