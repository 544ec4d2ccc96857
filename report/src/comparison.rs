//! What a comparison found: the lines that suffice first, then why, where and how much, then what to do.

mod causes;
mod head;
mod integrity;
mod next;
mod outputs;
mod rankings;
mod scores;
mod segments;
mod stages;
mod summary;
mod traffic;

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{Judgement, WindowReport};
use tidemark_schema::Timestamp;

use crate::document::{Block, Document, Fact, Layout, Section, Table, Text, Tone, name, own};
use crate::number::{UNKNOWN, count, size};
use crate::wording::{judgement, names, notes};

pub(crate) use causes::{NO_CAUSE, declared, groups as cause_groups};
pub(crate) use head::{subtitle, title};
pub(crate) use integrity::finding;
pub(crate) use outputs::{because, is_two_sided};
pub(crate) use segments::{not_judged as segments_not_judged, pairs};
pub(crate) use traffic::{classes, operations};

/// What a comparison found, as a document.
pub fn comparison(report: &Report) -> Document {
    let segments = segments::section(report);
    // Parts of the traffic that changed say where; others only that all is well.
    let (drifting, settled) =
        if segments::drifting(report).next().is_some() { (segments, None) } else { (None, segments) };
    let mut sections = Vec::from_iter(summary::section(report));
    sections.extend(causes::sections(report));
    sections.extend(integrity::section(report));
    sections.extend(stages::section(report));
    sections.extend(drifting);
    sections.push(windows(report));
    if judgement(report) == Judgement::Stable {
        sections.push(numbers(report));
        sections.extend((report.outputs.verdict == Judgement::Drift).then(|| outputs::section(report)));
        sections.extend((report.traffic.verdict == Judgement::Drift).then(|| traffic::section(report)));
    } else {
        sections.push(rankings::section(report));
        sections.push(scores::section(report));
        sections.extend(rankings::queries_section(report));
        sections.extend(settled);
        sections.push(outputs::section(report));
        sections.push(traffic::section(report));
    }
    sections.extend(notes(&next::notes(report)));
    let steps = next::steps(report);
    sections.extend((!steps.is_empty()).then(|| Section::headed("Next:", vec![Block::Items(steps)])));
    sections.push(Section::unheaded(Block::Paragraph(made(report))));
    Document { title: title(report), subtitle: Some(subtitle(report)), sections }
}

/// One thing that tells windows apart.
type Part = fn(&WindowReport) -> Text;

fn windows(report: &Report) -> Section {
    fn time(time: Option<Timestamp>) -> Text {
        own(time.map_or_else(|| UNKNOWN.to_owned(), |time| time.to_string()))
    }
    let rows: [(&str, Part); 6] = [
        ("selector", |window| name(&window.selector)),
        ("from", |window| time(window.from)),
        ("to", |window| time(window.to)),
        ("events", |window| own(count(window.events))),
        ("queries", |window| own(size(window.queries))),
        ("corpus versions", |window| names(window.corpus_versions.iter().map(name))),
    ];
    let columns = [("", Layout::Left), ("reference", Layout::Left), ("current", Layout::Left)];
    let rows = rows.map(|(what, of)| [own(what), of(&report.reference), of(&report.current)]);
    Section::headed("Windows", vec![Block::Table(Table::new(columns, rows))])
}

/// What carries a stable verdict, a line for each question; what is not stable has its own part.
fn numbers(report: &Report) -> Section {
    let kept = |fact: &Fact| matches!(fact.name, "mean overlap" | "noise floor" | "excess change");
    let mut facts: Vec<Fact> = rankings::facts(report).into_iter().filter(kept).collect();
    let effect = scores::facts(report).into_iter().find(|fact| fact.name == "effect");
    facts.extend(effect.map(|fact| Fact { name: "scores", ..fact }));
    facts.extend(segments::short(report).filter(|_| segments::drifting(report).next().is_none()));
    facts.extend([outputs::short(report), traffic::short(report)].into_iter().flatten());
    let mut blocks = vec![Block::Facts(facts)];
    for (what, why) in [
        ("Scores were", scores::not_judged(report)),
        ("Segments were", segments::not_judged(report)),
        ("Outputs were", outputs::not_judged(&report.outputs)),
        ("Traffic was", traffic::not_judged(&report.traffic)),
    ] {
        blocks.extend(why.map(|why| Block::Paragraph(own(format!("{what} not judged: {why}.")))));
    }
    Section::headed("Numbers", blocks)
}

/// Which comparison this is, and when it was made.
fn made(report: &Report) -> Text {
    let (before, after) = (report.reference.table_version, report.current.table_version);
    let tables = if before == after { count(before) } else { format!("{} and {}", count(before), count(after)) };
    let made = format!(", made {} from version {tables} of the table", report.created_at);
    (name(&report.id) + own(made)).toned(Tone::Quiet)
}
