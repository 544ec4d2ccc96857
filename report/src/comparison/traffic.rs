//! Whether users asked different things.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{ClusterShare, Judgement, MarginalReport, TrafficBasis, TrafficReport};

use super::scores;
use crate::document::{Block, Fact, Layout, Section, Table, Text, name, own};
use crate::number::{count, estimate, fixed, known, number, percent, size};
use crate::wording::{matters_above, p_value, sentence, state};

/// Classes that are shown at most.
const CLASSES_MAX: usize = 5;

/// Said in the first line.
pub(super) fn clause(report: &Report) -> Option<&'static str> {
    (report.traffic.verdict == Judgement::Drift).then_some("users ask other things")
}

/// The number that carries a stable verdict.
pub(super) fn short(report: &Report) -> Option<Fact> {
    let traffic = &report.traffic;
    let meaning = format!("query mix, 0 = same; {}", matters_above(traffic.threshold));
    let value = estimate(traffic.excess_distance, traffic.interval, report.retrieval.confidence);
    (traffic.verdict == Judgement::Stable).then(|| Fact::new("traffic", value, meaning))
}

/// Why there is no verdict.
pub(super) fn not_judged(traffic: &TrafficReport) -> Option<String> {
    if traffic.verdict != Judgement::InsufficientEvidence {
        return None;
    }
    let seen = format!("the windows hold {}", operations(traffic));
    Some(match traffic.operations_needed {
        Some(needed) => format!("{seen}, a verdict needs {} in each", count(needed)),
        None => seen,
    })
}

/// `5,012 and 4,870 operations`.
pub(crate) fn operations(traffic: &TrafficReport) -> String {
    let [before, after] = traffic.operations;
    format!("{} and {} operations", count(before), count(after))
}

/// What the distance is taken over.
pub(crate) fn classes(traffic: &TrafficReport) -> String {
    let classes = size(traffic.classes);
    match traffic.basis {
        TrafficBasis::QueryClusters => format!("{classes} query clusters"),
        TrafficBasis::Fingerprints => format!("{classes} fingerprint classes"),
    }
}

/// What was asked: all of it where it drifted, and the least where it did not.
pub(super) fn section(report: &Report) -> Section {
    let traffic = &report.traffic;
    let asked = match traffic.verdict {
        Judgement::Drift => format!(" ({} operations)", traffic.operations.map(count).join(" → ")),
        _ => String::new(),
    };
    let heading = format!("Traffic: {}{asked}", state(traffic.verdict, traffic.js_distance.is_some()));
    let mut blocks = Vec::new();
    if let Some(fact) = short(report) {
        blocks.push(Block::Facts(vec![Fact { name: "excess distance", ..fact }]));
        return Section::headed(heading, blocks);
    }
    if let Some(why) = not_judged(traffic) {
        blocks.push(Block::Paragraph(own(sentence(&why))));
    }
    if traffic.js_distance.is_some() {
        blocks.push(Block::Facts(facts(report)));
    }
    if traffic.verdict == Judgement::Drift {
        blocks.extend(mixes(traffic).map(Block::Table));
        blocks.extend(shifted(traffic).map(Block::Table));
        blocks.extend((!traffic.marginals.is_empty()).then(|| Block::Table(marginals(report))));
    }
    Section::headed(heading, blocks)
}

fn facts(report: &Report) -> Vec<Fact> {
    let traffic = &report.traffic;
    let distance =
        traffic.js_distance.map_or_else(|| known(None), |distance| format!("{} Jensen–Shannon", number(distance)));
    let overlap = traffic.fingerprint_overlap.map_or_else(|| known(None), percent);
    vec![
        Fact::new("query overlap", overlap, "common part of both windows' operations"),
        Fact::new("distance", distance, format!("0 = same mix, 1 = disjoint; {}", classes(traffic))),
        Fact::new("noise floor", known(traffic.noise_floor), "distance that samples of one mix would show"),
        Fact::new(
            "excess distance",
            estimate(traffic.excess_distance, traffic.interval, report.retrieval.confidence),
            format!("beyond the floor, 0 = same; {}", matters_above(traffic.threshold)),
        ),
        Fact::new("p-value", p_value(traffic.p_value), "G-test of homogeneity; small = not by chance"),
    ]
}

/// Who asks: the values whose share moved, of the keys whose mix did.
fn mixes(traffic: &TrafficReport) -> Option<Table> {
    let moved = traffic.mixes.iter().filter(|mix| mix.interval[0] > traffic.threshold);
    let values = moved.flat_map(|mix| mix.shifted.iter().map(move |value| (mix, value)));
    let asks = values
        .map(|(mix, value)| (name(format!("{}={}", mix.key, value.value)), value.reference_share, value.current_share));
    shares("who asks", asks)
}

/// The classes whose share changed most.
fn shifted(traffic: &TrafficReport) -> Option<Table> {
    let class = |class: &ClusterShare| {
        let example = class.example.as_deref().map_or_else(|| own("all rare queries"), name);
        (example, class.reference_share, class.current_share)
    };
    shares("class, by its most asked query", traffic.shifted.iter().map(class))
}

/// What moved, and its share before and now; none if nothing did.
fn shares(what: &str, moved: impl Iterator<Item = (Text, f64, f64)>) -> Option<Table> {
    let columns =
        [(what, Layout::Elided), ("reference", Layout::Right), ("current", Layout::Right), ("change", Layout::Right)];
    let row = |(what, before, now): (Text, f64, f64)| {
        let sign = if now > before { "+" } else { "" };
        let change = format!("{sign}{} points", fixed((now - before) * 100.0, 1));
        [what, own(percent(before)), own(percent(now)), own(change)]
    };
    let table = Table::new(columns, moved.take(CLASSES_MAX).map(row));
    (!table.rows.is_empty()).then_some(table)
}

/// Measures of all answers, and what of their change other queries make.
fn marginals(report: &Report) -> Table {
    let columns = [
        ("mean of all answers", Layout::Left),
        ("unit", Layout::Left),
        ("reference", Layout::Right),
        ("current", Layout::Right),
        ("change", Layout::Right),
        ("= other queries", Layout::Right),
        ("+ same queries", Layout::Right),
    ];
    let row = |marginal: &MarginalReport| {
        let unit = if marginal.measure == "results" { "documents" } else { scores::unit(&report.retrieval.scores) };
        let three = |value| own(fixed(value, 3));
        [
            name(marginal.measure),
            own(unit),
            three(marginal.reference),
            three(marginal.current),
            three(marginal.change),
            three(marginal.mix),
            three(marginal.within),
        ]
    };
    Table::new(columns, report.traffic.marginals.iter().map(row))
}
