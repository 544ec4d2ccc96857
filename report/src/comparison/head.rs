//! The first lines: the verdict, and what was compared.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{Affects, FloorBasis, Judgement};

use super::{integrity, outputs, segments, traffic};
use crate::document::{Text, join, name, own};
use crate::number::{percent, size};
use crate::wording::{groups, judgement, queries, tone, word};

/// The verdict on retrieval, and what else a reader must not miss.
pub(crate) fn title(report: &Report) -> Text {
    let clauses = [
        Some(verdict(report)),
        segments::clause(report),
        traffic::clause(report).map(str::to_owned),
        outputs::clause(report).map(str::to_owned),
        integrity::clause(report),
    ];
    let clauses: Vec<String> = clauses.into_iter().flatten().collect();
    own(format!("{}: {}", word(judgement(report)), clauses.join("; "))).toned(tone(alarm(report)))
}

/// The corpus, the part of its traffic, the windows, and on how many queries the verdict rests.
pub(crate) fn subtitle(report: &Report) -> Text {
    let segment = join(report.segment.iter().map(|(key, value)| name(format!("{key}={value}"))), ", ");
    let part = if report.segment.is_empty() { segment } else { own(", segment ") + segment };
    let windows = name(&report.reference.selector) + own(" → ") + name(&report.current.selector);
    own("corpus ") + name(report.corpus.as_str()) + part + own(", ") + windows + own(format!(", {}", asked(report)))
}

/// How much the first line asks for attention. A verdict of `stable` on retrieval alone is not good news where something
/// else drifted or contradicts what was declared.
fn alarm(report: &Report) -> Judgement {
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

/// On how many queries the verdict on rankings rests; of similar ones, on how much of the traffic as well.
fn asked(report: &Report) -> String {
    let retrieval = &report.retrieval;
    let share = retrieval.coverage.map_or_else(String::new, |share| format!(" ({} of the traffic)", percent(share)));
    match &retrieval.neighbours {
        Some(neighbours) => format!("{}{share}", groups(neighbours)),
        None => format!("{} asked in both", queries(retrieval.matched_queries)),
    }
}
