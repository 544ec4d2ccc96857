//! What a report says, in words and numbers, before it is laid out.

pub(super) mod integrity;
pub(super) mod outputs;
pub(super) mod segments;
pub(super) mod stages;
pub(super) mod summary;
pub(super) mod traffic;

use crate::causes::Cause;
use crate::report::{
    Affects, CauseReport, FloorBasis, Judgement, NeighbourBasis, NeighboursReport, Report, ScoreReport, WindowReport,
};

use super::number::{UNKNOWN, count, estimate, known, number, percent, probability, size};
use super::section::{Fact, Value};

/// The verdict on retrieval, which is that of the report: the context and its scores.
pub(super) fn judgement(report: &Report) -> Judgement {
    match (report.retrieval.verdict, report.retrieval.scores.verdict) {
        (Judgement::Drift, _) | (_, Judgement::Drift) => Judgement::Drift,
        (verdict, _) => verdict,
    }
}

/// A verdict as a word that is seen from afar.
pub(super) fn word(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Stable => "STABLE",
        Judgement::Drift => "DRIFT",
        Judgement::InsufficientEvidence => "INSUFFICIENT EVIDENCE",
    }
}

/// The verdict over a part of the report; without numbers there is nothing to see there.
fn state(judgement: Judgement, has_numbers: bool) -> &'static str {
    match judgement {
        Judgement::InsufficientEvidence if !has_numbers => "NOT JUDGED",
        judgement => word(judgement),
    }
}

/// The first line: the verdict on retrieval, and what else a reader must not miss.
pub(super) fn headline(report: &Report) -> String {
    let clauses = [
        Some(verdict(report)),
        segments::clause(report),
        traffic::clause(report).map(str::to_owned),
        outputs::clause(report).map(str::to_owned),
        integrity::clause(report),
    ];
    let clauses: Vec<String> = clauses.into_iter().flatten().collect();
    format!("{}: {}", word(judgement(report)), clauses.join("; "))
}

/// How much the first line asks for attention. A verdict of `stable` on retrieval alone is not good news where something
/// else drifted or contradicts what was declared.
pub(super) fn alarm(report: &Report) -> Judgement {
    let besides = [report.traffic.verdict, report.outputs.verdict];
    let unsettled = besides.contains(&Judgement::Drift)
        || segments::drifting(report).next().is_some()
        || !report.integrity.is_empty();
    match judgement(report) {
        _ if report.integrity.iter().any(integrity::is_new) => Judgement::Drift,
        Judgement::Stable if unsettled => Judgement::InsufficientEvidence,
        judgement => judgement,
    }
}

/// The verdict on retrieval in words, to follow [`word`].
fn verdict(report: &Report) -> String {
    let retrieval = &report.retrieval;
    let renamed = report.causes.iter().any(|cause| cause.affects == Affects::Identity);
    let mut words = match (retrieval.verdict, retrieval.scores.verdict) {
        (Judgement::Drift, Judgement::Drift) => {
            "the same queries get different context and different scores".to_owned()
        }
        (Judgement::Drift, _) => "the same queries get different context".to_owned(),
        (Judgement::Stable, Judgement::Drift) => {
            "the same queries get the same context with different scores".to_owned()
        }
        (Judgement::InsufficientEvidence, Judgement::Drift) => {
            "the same documents get different scores; too little was seen to judge the context".to_owned()
        }
        (Judgement::Stable, Judgement::Stable) => "the same queries get the same context".to_owned(),
        (Judgement::Stable, Judgement::InsufficientEvidence) => {
            "the same queries get the same context; scores were not judged".to_owned()
        }
        (Judgement::InsufficientEvidence, _) => lack(report),
    };
    if renamed {
        words.push_str("; documents have new ids");
    }
    words
}

/// What was too little, and what would be enough.
fn lack(report: &Report) -> String {
    let matched = report.retrieval.matched_queries;
    let were = if matched == 1 { "was" } else { "were" };
    let asked = format!("{} {were} asked in both windows", queries(matched));
    if let Some(neighbours) = &report.retrieval.neighbours {
        return match report.retrieval.queries_needed {
            Some(needed) => format!(
                "{} {} compared, a verdict needs {}",
                groups(neighbours),
                if neighbours.groups == 1 { "was" } else { "were" },
                size(needed)
            ),
            None => format!("{} say too little to tell a change from noise", groups(neighbours)),
        };
    }
    match (report.retrieval.queries_needed, report.retrieval.floor_basis) {
        (Some(needed), _) if report.retrieval.judged_queries < matched => format!(
            "{} of {} that both windows asked repeat, a verdict needs {}",
            size(report.retrieval.judged_queries),
            queries(matched),
            size(needed)
        ),
        (Some(needed), _) => format!("{asked}, a verdict needs {}", size(needed)),
        (None, FloorBasis::Unknown) if matched > 0 => {
            format!("{asked}, too few of them repeat to tell a change from noise")
        }
        (None, _) => format!("{asked}, and some of them were asked once, so that a change cannot be told from noise"),
    }
}

/// Which comparison this is, and when it was made. The id is not in it: it is written as a name.
pub(super) fn made(report: &Report) -> String {
    let (before, after) = (report.reference.table_version, report.current.table_version);
    let tables = if before == after { count(before) } else { format!("{} and {}", count(before), count(after)) };
    format!("made {} from version {tables} of the table", report.created_at)
}

/// The part of the traffic that was compared; none if that is all of it.
pub(super) fn segment(report: &Report) -> Vec<String> {
    report.segment.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// On how many queries the verdict on rankings rests; of similar ones, on how much of the traffic as well.
pub(super) fn asked(report: &Report) -> String {
    let retrieval = &report.retrieval;
    let share = retrieval.coverage.map_or_else(String::new, |share| format!(" ({} of the traffic)", percent(share)));
    match &retrieval.neighbours {
        Some(neighbours) => format!("{}{share}", groups(neighbours)),
        None => format!("{} asked in both", queries(retrieval.matched_queries)),
    }
}

/// `214 groups of similar queries`.
pub(super) fn groups(neighbours: &NeighboursReport) -> String {
    let groups = format!("{} group{}", size(neighbours.groups), if neighbours.groups == 1 { "" } else { "s" });
    match neighbours.basis {
        NeighbourBasis::Embedding | NeighbourBasis::Text => format!("{groups} of similar queries"),
        NeighbourBasis::FirstDocument => format!("{groups} of queries whose answers begin alike"),
    }
}

/// The rows that tell the windows apart: a name, and the value of each window in one or more parts. What comes from
/// events is in [`Value::Names`].
pub(super) fn windows(report: &Report) -> Vec<(&'static str, [Value; 2])> {
    let both = |of: fn(&WindowReport) -> Value| [of(&report.reference), of(&report.current)];
    let time = |time: Option<tidemark_schema::Timestamp>| {
        Value::Own(time.map_or_else(|| UNKNOWN.to_owned(), |time| time.to_string()))
    };
    vec![
        ("selector", both(|window| Value::Names(vec![window.selector.clone()]))),
        ("from", [time(report.reference.from), time(report.current.from)]),
        ("to", [time(report.reference.to), time(report.current.to)]),
        ("events", both(|window| Value::Own(count(window.events)))),
        ("queries", both(|window| Value::Own(size(window.queries)))),
        ("corpus versions", both(|window| Value::Names(window.corpus_versions.clone()))),
    ]
}

/// A number with its unit; without a number there is no unit.
fn with_unit(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{} {unit}", number(value)))
}

/// The numbers behind the verdict on rankings.
pub(super) fn rankings(report: &Report) -> Vec<Fact> {
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
        Fact::new("excess change", change, format!("beyond the floor, 0 = same; {}", matters(report))),
        Fact::new("p-value", retrieval.p_value.map_or_else(|| UNKNOWN.to_owned(), probability), test(retrieval.test)),
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

/// From where on a change counts.
pub(super) fn matters(report: &Report) -> String {
    matters_above(report.retrieval.threshold)
}

fn matters_above(threshold: f64) -> String {
    format!("matters above {}", number(threshold))
}

/// The unit of the scores.
fn score_unit(scores: &ScoreReport) -> &'static str {
    scores.kind.map_or("score", |kind| match kind {
        tidemark_schema::ScoreKind::Other => "score",
        known => known.as_str(),
    })
}

fn test(name: Option<&str>) -> String {
    test_name(name).map_or_else(|| "nothing was tested".to_owned(), |name| format!("{name}; small = not by chance"))
}

/// The name of the test of rankings.
pub(super) fn test_name(name: Option<&str>) -> Option<&'static str> {
    Some(match name? {
        "kernel_two_sample" => "kernel two-sample test",
        "bootstrap" => "bootstrap over queries",
        _ => "another test",
    })
}

/// The numbers behind the verdict on scores; none if there was nothing to compare.
pub(super) fn scores(report: &Report) -> Vec<Fact> {
    let scores = &report.retrieval.scores;
    if scores.effect.is_none() {
        return Vec::new();
    }
    let kind = score_unit(scores);
    vec![
        Fact::new(
            "effect",
            estimate(scores.effect, scores.interval, report.retrieval.confidence),
            format!("standard deviations, 0 = same; {}", matters_above(scores.threshold)),
        ),
        Fact::new("shift", with_unit(scores.shift, kind), "current minus reference, 0 = same"),
        Fact::new("scale", known(scores.scale), "slope of current on reference, 1 = same"),
        Fact::new("order agreement", with_unit(scores.order_agreement, "tau-b"), "1 = same order, -1 = reversed"),
        Fact::new("p-value", scores.p_value.map_or_else(|| UNKNOWN.to_owned(), probability), test(Some("bootstrap"))),
    ]
}

/// Why there is no verdict on scores.
pub(super) fn scores_not_judged(scores: &ScoreReport) -> String {
    match scores.queries {
        0 => "no query returned an unchanged document with a comparable score in both windows".to_owned(),
        n => format!("only {} returned an unchanged document with a comparable score in both windows", queries(n)),
    }
}

/// `1 query`, `2 queries`.
pub(super) fn queries(n: usize) -> String {
    format!("{} {}", size(n), if n == 1 { "query" } else { "queries" })
}

/// The causes of the change in one dimension, under its heading.
pub(super) fn causes(report: &Report) -> Vec<(&'static str, Vec<&CauseReport>)> {
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
    .map(|(affects, heading)| (heading, of(affects)))
    .filter(|(heading, causes)| {
        !causes.is_empty() || (report.retrieval.verdict == Judgement::Drift && heading.contains("rankings"))
    })
    .collect()
}

/// Said where rankings changed and nothing was charged.
pub(super) const NO_CAUSE: &str = "No part of the change could be charged to a cause.";

/// Whether events or registry said that it would happen. What users ask is nobody's to declare.
pub(super) fn declared(cause: &CauseReport) -> &'static str {
    match (cause.cause, cause.declared) {
        (Cause::QueryMix, _) => "",
        (_, true) => "declared",
        (_, false) => "SILENT",
    }
}

/// A sentence of its own, from words that were written to be part of one.
pub(super) fn sentence(words: &str) -> String {
    let mut rest = words.chars();
    let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if words.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", rest.as_str())
}
