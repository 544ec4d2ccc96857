//! Rankings: which documents are returned, and in which order.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{FloorBasis, Judgement};

use crate::document::{Block, Fact, Layout, Plot, Section, Table, name, own};
use crate::number::{estimate, known, number, percent, probability, size};
use crate::wording::{groups, known_name, matters_above, p_value, tested_by, with_unit, word};

pub(super) fn section(report: &Report) -> Section {
    let retrieval = &report.retrieval;
    let plot = retrieval.excess_change.zip(retrieval.interval).map(|(estimate, interval)| {
        let (threshold, label) = (retrieval.threshold, matters_above(retrieval.threshold));
        Block::Plot(Plot { name: "excess change", estimate, interval, threshold, label })
    });
    let blocks = [Block::Facts(facts(report))].into_iter().chain(plot).collect();
    Section::headed(format!("Rankings: {}", word(retrieval.verdict)), blocks)
}

/// The queries that changed most, where any may have.
pub(super) fn queries_section(report: &Report) -> Option<Section> {
    if report.retrieval.verdict == Judgement::Stable || report.queries.is_empty() {
        return None;
    }
    let columns = [
        ("fingerprint", Layout::Elided),
        ("change", Layout::Right),
        ("reference trace", Layout::Left),
        ("current trace", Layout::Left),
    ];
    let rows = report.queries.iter().map(|query| {
        [
            name(&query.fingerprint),
            own(number(query.excess_change)),
            known_name(query.reference_trace.as_deref()),
            known_name(query.current_trace.as_deref()),
        ]
    });
    let heading = "Queries that changed most (beyond noise: 0 = same, 1 = nothing in common)";
    Some(Section::headed(heading, vec![Block::Table(Table::new(columns, rows))]))
}

/// The numbers behind the verdict on rankings.
pub(super) fn facts(report: &Report) -> Vec<Fact> {
    let retrieval = &report.retrieval;
    let change = estimate(retrieval.excess_change, retrieval.interval, retrieval.confidence);
    let mut facts = vec![
        Fact::new("mean overlap", with_unit(retrieval.mean_overlap, "overlap"), "1 = same documents in the same order"),
        Fact::new("mean RBO", with_unit(retrieval.mean_rbo, "RBO"), "extrapolated: blind to answers that were cut"),
        Fact::new("mean set overlap", with_unit(retrieval.mean_jaccard, "Jaccard"), "1 = same set"),
        Fact::new("mean agreement", with_unit(retrieval.mean_kendall_top_k, "Kendall top-k"), "1 = same order"),
        Fact::new(
            "noise floor",
            known(retrieval.noise_floor),
            format!("{}; current {}", floor(report), known(retrieval.current_noise_floor)),
        ),
        Fact::new(
            "excess change",
            change,
            format!("beyond the floor, 0 = same; {}", matters_above(retrieval.threshold)),
        ),
        Fact::new("p-value", p_value(retrieval.p_value), tested_by(retrieval.test)),
    ];
    facts.extend(retrieval.coverage.map(|share| {
        Fact::new("coverage", percent(share), "of the current operations; nothing is claimed of the others")
    }));
    facts.extend(relevance(report));
    facts.extend(exposure(report));
    facts
}

/// Whose repeats the noise floor is that of, and how many questions it is known for.
fn floor(report: &Report) -> String {
    let retrieval = &report.retrieval;
    let judged = size(retrieval.judged_queries);
    if let Some(neighbours) = &retrieval.neighbours {
        return format!("distance in the reference within {}", groups(neighbours));
    }
    match retrieval.floor_basis {
        FloorBasis::Reference => format!("distance of repeats of {judged} queries in the reference"),
        FloorBasis::Current => format!("distance of repeats of {judged} queries in the current window"),
        FloorBasis::Unknown => "unknown: too few queries repeat".to_owned(),
    }
}

/// How good the answers are; nothing where nobody judged them.
fn relevance(report: &Report) -> Vec<Fact> {
    let Some(relevance) = &report.relevance else { return Vec::new() };
    let facts = relevance.measures.iter().map(|measure| {
        let name = match measure.name {
            "ndcg_at_10" => "nDCG@10",
            "recall_at_10" => "recall@10",
            _ => "reciprocal rank",
        };
        let change = format!("{} → {}", number(measure.reference), number(measure.current));
        Fact::new(
            name,
            change,
            format!("1 = best, {} judged queries; p {}", relevance.queries, probability(measure.p_value)),
        )
    });
    facts.collect()
}

/// Which documents were shown; nothing where that was not measured.
fn exposure(report: &Report) -> Vec<Fact> {
    let exposure = &report.exposure;
    let follows = "documents shown, 0 = same; follows the mix too";
    let distance = exposure.js_distance.map(|distance| format!("{} Jensen–Shannon", number(distance)));
    let first_seen = "exposure on documents not shown before";
    [
        distance.map(|distance| Fact::new("exposure", distance, follows)),
        exposure.first_seen_share.map(|share| Fact::new("first seen", percent(share), first_seen)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
