//! The few lines that suffice: what a user would notice, how much, since when, where, why, better or worse, what to do.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{
    Affects, CauseReport, Judgement, NeighbourBasis, NeighboursReport, QualityMeasure, QualityVerdict, SegmentReport,
    Since, StageReport,
};
use tidemark_schema::Timestamp;

use super::{declared, next, segments};
use crate::document::{Block, Inline, Section, Text, join, name, own, prose};
use crate::number::{interval, number, percent, size};
use crate::wording::{judgement, queries};

/// Symptoms that are named at most.
const SYMPTOMS_MAX: usize = 3;
/// Segments that are named at most.
const SEGMENTS_MAX: usize = 2;
/// A stage that is asked by so much more or less of the operations is worth a word.
const SKIPPED: f64 = 0.05;
/// Causes that are named at most.
const CAUSES_MAX: usize = 3;

/// The answers in the order in which they are asked; none where there is nothing to say.
pub(super) fn section(report: &Report) -> Option<Section> {
    let step = next::steps(report).into_iter().next().filter(|_| judgement(report) != Judgement::Stable);
    let answers: Vec<_> = [
        ("noticed", symptoms(report).map(Into::into)),
        ("how much", how_much(report).map(|says| own(says).into())),
        ("since", moment(report).map(Into::into)),
        ("where", place(report).map(Into::into)),
        ("why", why(report).map(Into::into)),
        ("rests on", basis(report).map(|says| own(says).into())),
        ("next", step),
        ("better?", better(report).map(Into::into)),
    ]
    .into_iter()
    .filter_map(|(question, answer)| answer.map(|answer| (question, answer)))
    .collect();
    (!answers.is_empty()).then(|| Section::unheaded(Block::Answers(answers)))
}

fn symptoms(report: &Report) -> Option<Text> {
    let texts: Vec<&str> = report.symptoms.iter().take(SYMPTOMS_MAX).map(|symptom| symptom.text.as_str()).collect();
    (!texts.is_empty()).then(|| prose(texts.join("; ")))
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
fn moment(report: &Report) -> Option<Text> {
    let found = report.since.as_ref()?;
    let lately =
        format!("; {} of each answer differs from then on, too late to count for the window", number(found.rise));
    Some(if report.retrieval.verdict == Judgement::Drift { since(found) } else { since(found) + own(lately) })
}

/// `2026-10-15T09:14:00Z (-12 min, +3 min), together with embedder e5`
fn since(since: &Since) -> Text {
    let [from, to] = since.interval;
    let apart = |a: Timestamp, b: Timestamp| duration(b.micros().saturating_sub(a.micros()) / 1_000_000);
    let moment = own(format!("{} (-{}, +{}), ", since.at, apart(from, since.at), apart(since.at, to)));
    moment
        + match since.coincides_with.as_slice() {
            [] => own("nothing that events declare began then"),
            what => own("together with ") + join(what.iter().map(name), ", "),
        }
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
fn place(report: &Report) -> Option<Text> {
    let mut says = Vec::from_iter(first_stage(report));
    says.extend(report.stages.iter().filter_map(recorded));
    let segment = |segment: &_| join(segments::pairs(segment), " and ") + own(change(segment));
    let drifting: Vec<Text> = segments::drifting(report).take(SEGMENTS_MAX).map(segment).collect();
    if !drifting.is_empty() {
        let more = segments::drifting(report).count() - drifting.len();
        let others = if more > 0 { format!(" and {} more", size(more)) } else { String::new() };
        says.push(own("segments that changed: ") + join(drifting, ", ") + own(others));
    }
    (!says.is_empty()).then(|| join(says, "; "))
}

fn change(segment: &SegmentReport) -> String {
    segment.excess_change.map_or_else(String::new, |change| format!(" ({})", number(change)))
}

/// Where a change began, if there are several stages where it could have, and which of them follow.
fn first_stage(report: &Report) -> Option<Text> {
    let named = |stage: &StageReport| name(stage.stage.as_str());
    let first = join(report.stages.iter().filter(|stage| stage.first_to_change).map(named), " and ");
    if report.stages.len() < 2 || first.parts.is_empty() {
        return None;
    }
    let follows = |stage: &&StageReport| stage.verdict == Judgement::Drift && !stage.first_to_change;
    let follow: Vec<Text> = report.stages.iter().filter(follows).map(named).collect();
    let verb = if follow.len() == 1 { " follows" } else { " follow" };
    let follow = if follow.is_empty() { own("") } else { own("; ") + join(follow, ", ") + own(verb) };
    Some(own("changed at ") + first + follow)
}

/// What is odd about how much of a stage is recorded.
fn recorded(stage: &StageReport) -> Option<Text> {
    let named = name(stage.stage.as_str());
    let only =
        |window: &str| own(format!("only the {window} records ")) + named.clone() + own(", which judges nothing");
    if let Some(other) = &stage.replaced_by {
        return Some(name(other.as_str()) + own(" took the place of ") + named);
    }
    match (stage.recorded_in_reference, stage.recorded_in_current, stage.operations) {
        (true, false, _) => Some(only("reference")),
        (false, true, _) => Some(only("current window")),
        (_, _, [before, now]) if (now - before).abs() > SKIPPED => {
            Some(named + own(format!(" answers {} of operations, {} before", percent(now), percent(before))))
        }
        _ => None,
    }
}

/// The causes of what changed in retrieval, with their shares, declared or silent.
fn why(report: &Report) -> Option<Text> {
    if judgement(report) == Judgement::Stable {
        return None;
    }
    let named = |cause: &CauseReport| {
        let declared = match declared(cause) {
            "" => String::new(),
            declared => format!(", {declared}"),
        };
        name(cause.cause.as_str()) + own(format!(" {}{declared}", percent(cause.share)))
    };
    let of = |affects: Affects| report.causes.iter().filter(move |cause| cause.affects == affects);
    if of(Affects::Ranking).next().is_some() {
        return Some(join(of(Affects::Ranking).take(CAUSES_MAX).map(named), "; "));
    }
    of(Affects::Scores).next().map(|cause| own("scores: ") + named(cause))
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

/// What is known of quality, for the queries whose answers changed.
fn better(report: &Report) -> Option<Text> {
    let quality = &report.quality;
    if report.retrieval.verdict != Judgement::Drift {
        return None;
    }
    let says = |measure: &QualityMeasure| {
        let (before, now) = (number(measure.reference), number(measure.current));
        name(&measure.measure) + own(format!(" {before} → {now} over {}", queries(measure.queries)))
    };
    let decided = |measure: &&QualityMeasure| Some(&measure.measure) == quality.decided_by.as_ref();
    let deciding = quality.measures.iter().find(decided).map(says).unwrap_or_default();
    let verdict = match quality.verdict {
        QualityVerdict::Improved => "improved where answers changed: ",
        QualityVerdict::Worse => "worse where answers changed: ",
        QualityVerdict::Same => "the same where answers changed: ",
        QualityVerdict::InsufficientEvidence => "not enough is known to say better or worse: ",
        QualityVerdict::Unknown => {
            let label = own("nothing tells: send feedback or evaluations, or label 30 questions (");
            return Some(label + Inline::Command("--queries FILE".to_owned()).into() + own(" writes them)"));
        }
    };
    Some(own(verdict) + deciding)
}
