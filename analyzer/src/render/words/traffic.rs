//! Whether users asked different things.

use crate::report::{ClusterShare, Judgement, MarginalReport, Report, TrafficBasis, TrafficReport, ValueShare};

use super::super::number::{UNKNOWN, count, estimate, fixed, known, number, percent, probability, size};
use super::super::section::{Block, Fact, Grid, Section, Value};
use super::super::table::Column;
use super::{matters_above, score_unit, state};

/// Classes that are shown at most.
const CLASSES_MAX: usize = 5;

/// Said in the first line.
pub(in super::super) fn clause(report: &Report) -> Option<&'static str> {
    (report.traffic.verdict == Judgement::Drift).then_some("users ask other things")
}

/// The number that carries a stable verdict.
pub(in super::super) fn short(report: &Report) -> Option<Fact> {
    let traffic = &report.traffic;
    let meaning = format!("query mix, 0 = same; {}", matters_above(traffic.threshold));
    let value = estimate(traffic.excess_distance, traffic.interval, report.retrieval.confidence);
    (traffic.verdict == Judgement::Stable).then(|| Fact::new("traffic", value, meaning))
}

/// Why there is no verdict.
pub(in super::super) fn not_judged(traffic: &TrafficReport) -> Option<String> {
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
pub(in super::super) fn operations(traffic: &TrafficReport) -> String {
    let [before, after] = traffic.operations;
    format!("{} and {} operations", count(before), count(after))
}

/// What the distance is taken over.
pub(in super::super) fn classes(traffic: &TrafficReport) -> String {
    let classes = size(traffic.classes);
    match traffic.basis {
        TrafficBasis::QueryClusters => format!("{classes} query clusters"),
        TrafficBasis::Fingerprints => format!("{classes} fingerprint classes"),
    }
}

/// What was asked: all of it where it drifted, and the least where it did not.
pub(in super::super) fn section(report: &Report) -> Section {
    let traffic = &report.traffic;
    let asked = match traffic.verdict {
        Judgement::Drift => format!(" ({} operations)", traffic.operations.map(count).join(" → ")),
        _ => String::new(),
    };
    let heading = format!("Traffic: {}{asked}", state(traffic.verdict, traffic.js_distance.is_some()));
    let mut blocks = Vec::new();
    if let Some(fact) = short(report) {
        blocks.push(Block::Facts(vec![Fact { name: "excess distance", ..fact }]));
        return Section { heading, blocks };
    }
    if let Some(why) = not_judged(traffic) {
        blocks.push(Block::Sentence(super::sentence(&why)));
    }
    if traffic.js_distance.is_some() {
        blocks.push(Block::Facts(facts(report)));
    }
    if traffic.verdict == Judgement::Drift {
        blocks.extend(mixes(traffic).map(Block::Grid));
        blocks.extend((!traffic.shifted.is_empty()).then(|| Block::Grid(shifted(traffic))));
        blocks.extend((!traffic.marginals.is_empty()).then(|| Block::Grid(marginals(report))));
    }
    Section { heading, blocks }
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
        Fact::new(
            "p-value",
            traffic.p_value.map_or_else(|| UNKNOWN.to_owned(), probability),
            "G-test of homogeneity; small = not by chance",
        ),
    ]
}

/// Who asks: the values whose share moved, of the keys whose mix did.
fn mixes(traffic: &TrafficReport) -> Option<Grid> {
    let columns = [
        ("who asks", Column::Elided),
        ("reference", Column::Right),
        ("current", Column::Right),
        ("change", Column::Right),
    ];
    let moved = traffic.mixes.iter().filter(|mix| mix.interval[0] > traffic.threshold);
    let rows: Vec<[Value; 4]> = moved
        .flat_map(|mix| mix.shifted.iter().map(move |value| (mix, value)))
        .take(CLASSES_MAX)
        .map(|(mix, value)| {
            let ValueShare { value, reference_share, current_share } = value;
            let change = (current_share - reference_share) * 100.0;
            let sign = if change > 0.0 { "+" } else { "" };
            [
                Value::Names(vec![format!("{}={value}", mix.key)]),
                Value::own(percent(*reference_share)),
                Value::own(percent(*current_share)),
                Value::own(format!("{sign}{} points", fixed(change, 1))),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| Grid::new(columns, rows))
}

/// The classes whose share changed most.
fn shifted(traffic: &TrafficReport) -> Grid {
    let columns = [
        ("class, by its most asked query", Column::Elided),
        ("reference", Column::Right),
        ("current", Column::Right),
        ("change", Column::Right),
    ];
    let row = |class: &ClusterShare| {
        let change = (class.current_share - class.reference_share) * 100.0;
        let sign = if change > 0.0 { "+" } else { "" };
        [
            class.example.as_deref().map_or_else(|| Value::own("all rare queries"), Value::name),
            Value::own(percent(class.reference_share)),
            Value::own(percent(class.current_share)),
            Value::own(format!("{sign}{} points", fixed(change, 1))),
        ]
    };
    Grid::new(columns, traffic.shifted.iter().take(CLASSES_MAX).map(row).collect())
}

/// Measures of all answers, and what of their change other queries make.
fn marginals(report: &Report) -> Grid {
    let columns = [
        ("mean of all answers", Column::Left),
        ("unit", Column::Left),
        ("reference", Column::Right),
        ("current", Column::Right),
        ("change", Column::Right),
        ("= other queries", Column::Right),
        ("+ same queries", Column::Right),
    ];
    let row = |marginal: &MarginalReport| {
        let unit = if marginal.measure == "results" { "documents" } else { score_unit(&report.retrieval.scores) };
        let three = |value| Value::own(fixed(value, 3));
        [
            Value::own(marginal.measure),
            Value::own(unit),
            three(marginal.reference),
            three(marginal.current),
            three(marginal.change),
            three(marginal.mix),
            three(marginal.within),
        ]
    };
    Grid::new(columns, report.traffic.marginals.iter().map(row).collect())
}
