//! What to do next, derived from the report.

use tidemark_analyzer::Report;
use tidemark_analyzer::causes::Cause;
use tidemark_analyzer::report::{Because, CauseReport, FloorBasis, Judgement, SegmentReport};

use super::{integrity, segments};
use crate::document::{Item, Text, join, name, own, prose};
use crate::escape::shell_word;
use crate::number::size;
use crate::wording::{judgement, queries, sentence};

/// Why, and what to type; none if a name in the command cannot be typed.
fn run(why: &str, fixed: &[&str], names: &[&str], rest: &[&str]) -> Option<Item> {
    let names: Vec<String> = names.iter().map(|name| shell_word(name)).collect::<Option<_>>()?;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Some(Item { text: own(why), command: Some([words(fixed), names, words(rest)].concat()) })
}

/// The steps that this report suggests, the most urgent first.
pub(super) fn steps(report: &Report) -> Vec<Item> {
    let mut steps = Vec::new();
    if report.retrieval.verdict != Judgement::Drift {
        steps.extend(segment(report));
    }
    if report.retrieval.verdict == Judgement::InsufficientEvidence {
        steps.extend(more_evidence(report).into_iter().map(|why| own(why).into()));
    }
    steps.extend(contradictions(report).map(Item::from));
    steps.extend(silent(&report.causes).map(Item::from));
    steps.extend(asked_differently(report).map(|why| own(why).into()));
    steps.extend(answered_differently(report).map(|why| own(why).into()));
    if report.retrieval.verdict == Judgement::Drift {
        steps.extend(segment(report));
    }
    if judgement(report) != Judgement::Stable {
        steps.extend(most_changed(report));
    }
    // Registered first: versions are compared by their manifests.
    steps.extend(unregistered(report).into_iter().filter_map(|(_, step)| step));
    steps.extend(corpus_diff(report));
    steps
}

/// What would be enough for a verdict on retrieval.
fn more_evidence(report: &Report) -> Vec<String> {
    let retrieval = &report.retrieval;
    let mut steps = Vec::new();
    if retrieval.neighbours.is_some() {
        let few = "in these too few queries are similar enough to tell a change from what is asked";
        steps.push(format!("Compare longer windows: {few}."));
    } else if let Some(needed) = retrieval.queries_needed {
        steps.push(format!(
            "Compare longer windows: a verdict needs about {} that both windows ask and the reference repeats, these share {}.",
            queries(needed),
            size(retrieval.judged_queries)
        ));
    }
    if retrieval.floor_basis == FloorBasis::Unknown && retrieval.matched_queries >= retrieval.queries_min {
        let least = retrieval.queries_min;
        steps
            .push(format!("Ask {least} of these queries twice within a window: then a change can be told from noise."));
    }
    steps
}

/// What to do about each finding that the reference did not hold to the same extent.
fn contradictions(report: &Report) -> impl Iterator<Item = Text> {
    let new = report.integrity.iter().filter(|finding| integrity::is_new(finding));
    new.map(|finding| name(finding.kind.as_str()) + own(": ") + prose(sentence(finding.advice)))
}

/// Whom not to blame when users ask other things.
fn asked_differently(report: &Report) -> Option<&'static str> {
    let why = match report.retrieval.verdict {
        Judgement::Drift => {
            "Users ask other things besides: retrieval is to blame only for what changed for the same queries. See under \
             Traffic what is asked more often, and who sends it."
        }
        Judgement::Stable => {
            "Users ask other things: retrieval is not to blame for means that moved. See under Traffic what is asked more \
             often, and who sends it."
        }
        Judgement::InsufficientEvidence => {
            "Users ask other things, so few queries can be compared. See under Traffic what is asked more often, and who \
             sends it."
        }
    };
    (report.traffic.verdict == Judgement::Drift).then_some(why)
}

/// Where to look when outputs changed and retrieval does not account for it.
fn answered_differently(report: &Report) -> Option<&'static str> {
    let look = match report.outputs.because? {
        Because::Retrieval => return None,
        Because::Model => {
            "Outputs changed where the model did. Look at what was deployed between the windows before the index."
        }
        Because::Prompt => {
            "Outputs changed where the prompt did. Look at what was deployed between the windows before the index."
        }
        Because::Several => {
            "Outputs changed where several of context, model and prompt did. Look at what was deployed together between \
             the windows, and compare windows that lie between two deployments."
        }
        Because::Unknown => {
            "Outputs changed, and neither context, model nor prompt goes with it. Look at what events do not declare: \
             decoding settings, tools, post-processing."
        }
    };
    (report.outputs.verdict == Judgement::Drift).then_some(look)
}

/// The comparison of the first drifting segment that can be typed.
fn segment(report: &Report) -> Option<Item> {
    // Where all of the traffic changed alike no part of it is worth a look of its own.
    let whole = report.retrieval.excess_change.unwrap_or(0.0);
    let stands_out = |part: &&SegmentReport| {
        part.interval.is_some_and(|[low, _]| low > whole) || report.retrieval.verdict != Judgement::Drift
    };
    segments::drifting(report).filter(stands_out).find_map(|drifting| {
        let mut pairs = report.segment.clone();
        pairs.extend(drifting.segment.clone());
        if pairs == report.segment {
            return None;
        }
        let mut options = vec![
            ("--corpus", report.corpus.to_string()),
            ("--reference", report.reference.selector.clone()),
            ("--current", report.current.selector.clone()),
        ];
        options.extend(pairs.iter().map(|(key, value)| ("--segment", format!("{key}={value}"))));
        // An option and what it takes are one word here, so that no line ends between them.
        let options = options.into_iter().map(|(option, name)| Some(format!("{option} {}", shell_word(&name)?)));
        let options: Vec<String> = options.collect::<Option<_>>()?;
        let command = ["tidemark", "compare"].into_iter().map(str::to_owned).chain(options).collect();
        Some(Item { text: own("See the segment that changed most, by itself:"), command: Some(command) })
    })
}

/// Each silent cause, with what to check; causes that call for the same are named together.
fn silent(causes: &[CauseReport]) -> impl Iterator<Item = Text> {
    let mut checks: Vec<(&str, Vec<&str>)> = Vec::new();
    for cause in causes.iter().filter(|cause| !cause.declared && is_worth_a_look(cause)) {
        let (check, name) = (to_check(cause.cause), cause.cause.as_str());
        match checks.iter_mut().find(|(other, _)| *other == check) {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => checks.push((check, vec![name])),
        }
    }
    checks.into_iter().map(|(check, names)| {
        own("Nothing declared this change (") + join(names.into_iter().map(name), ", ") + own(format!("). {check}"))
    })
}

/// A small part of a change is noise as often as not; but a corpus that changes in silence is no small thing. What users
/// ask is nobody's to declare.
fn is_worth_a_look(cause: &CauseReport) -> bool {
    const SMALL: f64 = 0.05;
    cause.cause != Cause::QueryMix && (cause.share >= SMALL || changes_corpus(cause.cause))
}

fn changes_corpus(cause: Cause) -> bool {
    matches!(cause, Cause::CorpusRemoved | Cause::CorpusModified | Cause::CorpusAdded)
}

fn to_check(cause: Cause) -> &'static str {
    match cause {
        Cause::CorpusRemoved | Cause::CorpusModified | Cause::CorpusAdded => {
            "Check the ingestion job: documents changed under a corpus version that was to stay as it is; register a new \
             version for each change."
        }
        Cause::IdChurn => {
            "Check the ingestion job: it gives unchanged content new document ids, as a chunker with other settings does."
        }
        Cause::Embedding => {
            "Check the embedder and the index build: model, revision, truncation or preprocessing changed under the same \
             name."
        }
        Cause::Scoring => {
            "Check the index build and the retriever: metric, normalisation, fusion weights or reranker changed under \
             the same name."
        }
        Cause::IndexRecall => {
            "Check the index build and its search parameters: documents that an exact search returns are missed (ef, \
             nprobe, a missing shard or replica)."
        }
        Cause::QueryMix => "Check who asks: users ask other things.",
        Cause::Bounds | Cause::Scope => "Check the caller: it asks with another bound, scope or filter.",
        Cause::Nondeterminism => {
            "Check the replicas and the order of equal scores: the same request is answered in more than one way."
        }
        Cause::Unexplained => {
            "Check what was deployed between the windows: embedder and index build, ingestion job, retriever settings."
        }
    }
}

/// The query that changed most among those whose traces can be typed.
fn most_changed(report: &Report) -> Option<Item> {
    report.queries.iter().find_map(|query| {
        let traces = [query.current_trace.as_deref()?, query.reference_trace.as_deref()?];
        run("See the query that changed most, document by document:", &["tidemark", "diff"], &traces, &[])
    })
}

/// What a new version of the corpus changed, if that is among the causes.
fn corpus_diff(report: &Report) -> Option<Item> {
    let declared = report.causes.iter().any(|cause| cause.declared && changes_corpus(cause.cause));
    let before = &report.reference.corpus_versions;
    let from = before.last().filter(|_| declared)?;
    let to = report.current.corpus_versions.iter().rev().find(|version| !before.contains(version))?;
    let names = [report.corpus.as_str(), from, to];
    run("See what changed in the corpus:", &["tidemark", "corpus", "diff"], &names, &[])
}

/// The notes that miss a manifest, each with the step that registers it, if its names can be typed.
fn unregistered(report: &Report) -> Vec<(&str, Option<Item>)> {
    let mut versions: Vec<&String> = Vec::new();
    for version in report.reference.corpus_versions.iter().chain(&report.current.corpus_versions) {
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    let step = |version: &String| {
        let missing = format!("version {version} of {} has no registered manifest", report.corpus);
        let note = report.notes.iter().find(|note| note.starts_with(&missing))?;
        let names = [report.corpus.as_str(), version];
        let why = "Let removed and added documents be told from the rest:";
        Some((note.as_str(), run(why, &["tidemark", "corpus", "register"], &names, &["MANIFEST"])))
    };
    versions.into_iter().filter_map(step).collect()
}

/// The notes, without the commands that stand among the steps.
pub(super) fn notes(report: &Report) -> Vec<String> {
    let registered = unregistered(report);
    let shown = |note: &String| {
        let repeated = registered.iter().any(|(other, step)| *other == note && step.is_some());
        let command = note.rfind(": `tidemark corpus register").filter(|_| repeated);
        command.and_then(|at| note.get(..at)).unwrap_or(note).to_owned()
    };
    report.notes.iter().map(shown).collect()
}
