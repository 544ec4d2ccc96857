//! The few lines that suffice: what a user would notice, how much, since when, where, why, better or worse, what to do.

use tidemark_schema::Timestamp;

use crate::report::{Affects, Judgement, NeighbourBasis, NeighboursReport, QualityVerdict, Report, Since};

use super::super::next;
use super::super::number::{interval, number, percent, size};
use super::{declared, judgement, queries, segments};

/// A question and its answer, a sentence that may hold names.
pub(in super::super) struct Line {
    pub(in super::super) name: &'static str,
    pub(in super::super) says: String,
    /// What to type, if that is the answer.
    pub(in super::super) command: Option<Vec<String>>,
}

/// Symptoms that are named at most.
const SYMPTOMS_MAX: usize = 3;
/// Segments that are named at most.
const SEGMENTS_MAX: usize = 2;
/// A stage that is asked by so much more or less of the operations is worth a word.
const SKIPPED: f64 = 0.05;
/// Causes that are named at most.
const CAUSES_MAX: usize = 3;

/// The lines in the order in which they are asked.
pub(in super::super) fn lines(report: &Report) -> Vec<Line> {
    let line = |name, says: Option<String>| says.map(|says| Line { name, says, command: None });
    let mut lines: Vec<Line> = [
        line("noticed", symptoms(report)),
        line("how much", how_much(report)),
        line("since", moment(report)),
        line("where", place(report)),
        line("why", why(report)),
        line("rests on", basis(report)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if judgement(report) != Judgement::Stable {
        lines.extend(next::steps(report).into_iter().next().map(|step| Line {
            name: "next",
            says: step.why,
            command: step.command,
        }));
    }
    lines.extend(line("better?", better(report)));
    lines
}

fn symptoms(report: &Report) -> Option<String> {
    let texts: Vec<&str> = report.symptoms.iter().take(SYMPTOMS_MAX).map(|symptom| symptom.text.as_str()).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// The size of the change, in words and with its interval; nothing where it is stable.
fn how_much(report: &Report) -> Option<String> {
    let retrieval = &report.retrieval;
    let change = retrieval.excess_change?;
    if retrieval.verdict == Judgement::Stable {
        return None;
    }
    if retrieval.verdict == Judgement::InsufficientEvidence && retrieval.noise_floor.is_none() {
        return Some("unknown: too few of the queries repeat to tell a change from noise".to_owned());
    }
    let words = match change {
        change if change <= retrieval.threshold => "hardly any of each answer",
        change if change < 0.1 => "a small part of each answer",
        change if change < 0.25 => "a part of each answer",
        change if change < 0.4 => "about a third of each answer",
        change if change < 0.6 => "about half of each answer",
        change if change < 0.85 => "most of each answer",
        _ => "nearly all of each answer",
    };
    let by_answers = |neighbours: &NeighboursReport| neighbours.basis == NeighbourBasis::FirstDocument;
    let at_least = if retrieval.neighbours.as_ref().is_some_and(by_answers) { "at least " } else { "" };
    let beyond = match retrieval.noise_floor {
        Some(_) => "beyond noise",
        None => "that no noise can make",
    };
    let change = interval(Some(change), retrieval.interval);
    Some(format!("{at_least}{words}: {change} {beyond} (1 = all of it)"))
}

/// Since when; where the window as a whole did not drift, how much a part of it did.
fn moment(report: &Report) -> Option<String> {
    let says = since(report.since.as_ref()?);
    let lately = report.retrieval.verdict != Judgement::Drift;
    let rise = || number(report.since.as_ref().map_or(0.0, |since| since.rise));
    Some(if lately {
        format!("{says}; {} of each answer differs from then on, too late to count for the window", rise())
    } else {
        says
    })
}

/// `2026-10-15T09:14:00Z (-12 min, +3 min), together with embedder e5`
pub(in super::super) fn since(since: &Since) -> String {
    let [from, to] = since.interval;
    let apart = |a: Timestamp, b: Timestamp| duration(b.micros().saturating_sub(a.micros()) / 1_000_000);
    let interval = format!("(-{}, +{})", apart(from, since.at), apart(since.at, to));
    let with = match since.coincides_with.as_slice() {
        [] => "nothing that events declare began then".to_owned(),
        what => format!("together with {}", what.join(", ")),
    };
    format!("{} {interval}, {with}", since.at)
}

/// `45 s`, `12 min`, `3 h`, `2 d`.
fn duration(seconds: i64) -> String {
    match seconds {
        ..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds / 60),
        6_000..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The stage that changed first, and the parts of the traffic that changed.
fn place(report: &Report) -> Option<String> {
    let mut says = Vec::new();
    let several = report.stages.len() > 1;
    let first: Vec<&str> =
        report.stages.iter().filter(|stage| stage.first_to_change).map(|stage| stage.stage.as_str()).collect();
    let follow: Vec<&str> = report
        .stages
        .iter()
        .filter(|stage| stage.verdict == Judgement::Drift && !stage.first_to_change)
        .map(|stage| stage.stage.as_str())
        .collect();
    if several && !first.is_empty() {
        let follows = match follow.as_slice() {
            [] => String::new(),
            [one] => format!("; {one} follows"),
            many => format!("; {} follow", many.join(", ")),
        };
        says.push(format!("changed at {}{follows}", first.join(" and ")));
    }
    for stage in &report.stages {
        let window = match (stage.recorded_in_reference, stage.recorded_in_current, &stage.replaced_by) {
            (_, _, Some(other)) => {
                says.push(format!("{} took the place of {}", other.as_str(), stage.stage.as_str()));
                continue;
            }
            (true, false, None) => "reference",
            (false, true, None) => "current window",
            _ => {
                let [before, now] = stage.operations;
                if (now - before).abs() > SKIPPED {
                    let name = stage.stage.as_str();
                    says.push(format!("{name} answers {} of operations, {} before", percent(now), percent(before)));
                }
                continue;
            }
        };
        says.push(format!("only the {window} records {}, which judges nothing", stage.stage.as_str()));
    }
    let drifting: Vec<String> = segments::drifting(report)
        .take(SEGMENTS_MAX)
        .map(|segment| {
            let change = segment.excess_change.map_or_else(String::new, |change| format!(" ({})", number(change)));
            format!("{}{change}", segments::pairs(segment).join(" and "))
        })
        .collect();
    if !drifting.is_empty() {
        let more = segments::drifting(report).count() - drifting.len();
        let others = if more > 0 { format!(" and {} more", size(more)) } else { String::new() };
        says.push(format!("segments that changed: {}{others}", drifting.join(", ")));
    }
    (!says.is_empty()).then(|| says.join("; "))
}

/// The causes of what changed in retrieval, with their shares, declared or silent.
fn why(report: &Report) -> Option<String> {
    let stable = judgement(report) == Judgement::Stable;
    let of = |affects: Affects| report.causes.iter().filter(move |cause| cause.affects == affects);
    let ranking: Vec<_> = of(Affects::Ranking).collect();
    let (of_what, causes) = match (ranking.is_empty(), of(Affects::Scores).next()) {
        (false, _) => ("", ranking),
        (true, Some(scores)) => ("scores: ", vec![scores]),
        (true, None) => return None,
    };
    if stable {
        return None;
    }
    let cause = |cause: &&crate::report::CauseReport| {
        let declared = match declared(cause) {
            "" => String::new(),
            declared => format!(", {declared}"),
        };
        format!("{} {}{declared}", cause.cause.as_str(), percent(cause.share))
    };
    let named: Vec<String> = causes.iter().take(CAUSES_MAX).map(cause).collect();
    Some(format!("{of_what}{}", named.join("; ")))
}

/// Repeats of a smaller part of the traffic are worth a word.
const MOST: f64 = 0.5;

/// What is compared, where that is not most of the traffic asked again.
fn basis(report: &Report) -> Option<String> {
    let retrieval = &report.retrieval;
    let covered = retrieval.coverage?;
    let (share, rest) = (percent(covered), percent(1.0 - covered));
    let Some(neighbours) = &retrieval.neighbours else {
        let says =
            format!("queries asked in both windows, {share} of the traffic; nothing is claimed of the other {rest}");
        return (covered < MOST && retrieval.matched_queries > 0).then_some(says);
    };
    let by = match neighbours.basis {
        NeighbourBasis::Embedding => "similar queries (by their embeddings), since hardly any is asked twice",
        NeighbourBasis::Text if neighbours.embedder_moved => {
            "similar queries (by their texts), since the query embedder changed and hardly any is asked twice"
        }
        NeighbourBasis::Text => "similar queries (by their texts), since hardly any is asked twice",
        NeighbourBasis::FirstDocument => {
            "answers that begin with the same document, since the query embedder changed and no text is known"
        }
    };
    Some(format!("{by}: {share} of the traffic; nothing is claimed of the other {rest}"))
}

fn better(report: &Report) -> Option<String> {
    let quality = &report.quality;
    let drifted = report.retrieval.verdict == Judgement::Drift;
    let says = |measure: &crate::report::QualityMeasure| {
        format!(
            "{} {} → {} over {}",
            measure.measure,
            number(measure.reference),
            number(measure.current),
            queries(measure.queries)
        )
    };
    let decided = |measure: &&crate::report::QualityMeasure| Some(&measure.measure) == quality.decided_by.as_ref();
    let deciding = quality.measures.iter().find(decided).map(says).unwrap_or_default();
    match quality.verdict {
        _ if !drifted => None,
        QualityVerdict::Improved => Some(format!("improved where answers changed: {deciding}")),
        QualityVerdict::Worse => Some(format!("worse where answers changed: {deciding}")),
        QualityVerdict::Same => Some(format!("the same where answers changed: {deciding}")),
        QualityVerdict::InsufficientEvidence => Some(format!("not enough is known to say better or worse: {deciding}")),
        QualityVerdict::Unknown => Some(
            "nothing tells: send feedback or evaluations, or label 30 questions (--queries FILE writes them)"
                .to_owned(),
        ),
    }
}
