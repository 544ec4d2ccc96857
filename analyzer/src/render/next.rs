//! What to do next, derived from the report.

use crate::causes::Cause;
use crate::report::{Because, CauseReport, FloorBasis, Judgement, Report};

use super::escape::shell_word;
use super::number::size;
use super::words::{integrity, judgement, queries, segments, sentence};

/// Something to do: why, and what to type, if anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) why: String,
    /// The words of a command, each quoted for a shell, and an option with the word that it takes.
    pub(super) command: Option<Vec<String>>,
}

impl Step {
    fn say(why: String) -> Self {
        Self { why, command: None }
    }

    /// None if a name in the command cannot be typed.
    fn run(why: impl Into<String>, fixed: &[&str], names: &[&str], rest: &[&str]) -> Option<Self> {
        let names: Vec<String> = names.iter().map(|name| shell_word(name)).collect::<Option<_>>()?;
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        Some(Self { why: why.into(), command: Some([own(fixed), names, own(rest)].concat()) })
    }

    /// The same with options, each of which takes one name.
    fn run_with(why: impl Into<String>, fixed: &[&str], options: &[(&str, String)]) -> Option<Self> {
        let mut command: Vec<String> = fixed.iter().map(|word| (*word).to_owned()).collect();
        for (option, name) in options {
            // Together, so that no line ends between them.
            command.push(format!("{option} {}", shell_word(name)?));
        }
        Some(Self { why: why.into(), command: Some(command) })
    }
}

/// The steps that this report suggests, the most urgent first.
pub(super) fn steps(report: &Report) -> Vec<Step> {
    let mut steps = Vec::new();
    if report.retrieval.verdict == Judgement::InsufficientEvidence && report.retrieval.neighbours.is_some() {
        steps.push(Step::say(
            "Compare longer windows: in these too few queries are similar enough to tell a change from what is asked."
                .to_owned(),
        ));
    } else if let (Judgement::InsufficientEvidence, Some(needed)) =
        (report.retrieval.verdict, report.retrieval.queries_needed)
    {
        steps.push(Step::say(format!(
            "Compare longer windows: a verdict needs about {} that both windows ask and the reference repeats, these share {}.",
            queries(needed),
            size(report.retrieval.judged_queries)
        )));
    }
    if report.retrieval.verdict == Judgement::InsufficientEvidence
        && report.retrieval.floor_basis == FloorBasis::Unknown
        && report.retrieval.matched_queries >= report.retrieval.queries_min
    {
        steps.push(Step::say(format!(
            "Ask {} of these queries twice within a window: then a change can be told from noise.",
            report.retrieval.queries_min
        )));
    }
    if report.retrieval.verdict != Judgement::Drift {
        steps.splice(0..0, segment(report));
    }
    steps.extend(contradictions(report));
    steps.extend(silent(&report.causes));
    steps.extend(asked_differently(report));
    steps.extend(answered_differently(report));
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

/// What to do about each finding that the reference did not hold to the same extent.
fn contradictions(report: &Report) -> Vec<Step> {
    let new = report.integrity.iter().filter(|finding| integrity::is_new(finding));
    new.map(|finding| Step::say(format!("{}: {}", finding.kind.as_str(), sentence(finding.advice)))).collect()
}

/// Whom not to blame when users ask other things.
fn asked_differently(report: &Report) -> Option<Step> {
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
    (report.traffic.verdict == Judgement::Drift).then(|| Step::say(why.to_owned()))
}

/// Where to look when outputs changed and retrieval does not account for it.
fn answered_differently(report: &Report) -> Option<Step> {
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
    (report.outputs.verdict == Judgement::Drift).then(|| Step::say(look.to_owned()))
}

/// The comparison of the first drifting segment that can be typed.
fn segment(report: &Report) -> Option<Step> {
    // Where all of the traffic changed alike no part of it is worth a look of its own.
    let whole = report.retrieval.excess_change.unwrap_or(0.0);
    let stands_out = |part: &&crate::report::SegmentReport| {
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
        Step::run_with("See the segment that changed most, by itself:", &["tidemark", "compare"], &options)
    })
}

/// Each silent cause, with what to check; causes that call for the same are named together.
fn silent(causes: &[CauseReport]) -> Vec<Step> {
    let mut checks: Vec<(&str, Vec<&str>)> = Vec::new();
    for cause in causes.iter().filter(|cause| !cause.declared && is_worth_a_look(cause)) {
        let (check, name) = (to_check(cause.cause), cause.cause.as_str());
        match checks.iter_mut().find(|(other, _)| *other == check) {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => checks.push((check, vec![name])),
        }
    }
    let step = |(check, names): (&str, Vec<&str>)| {
        Step::say(format!("Nothing declared this change ({}). {check}", names.join(", ")))
    };
    checks.into_iter().map(step).collect()
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
fn most_changed(report: &Report) -> Option<Step> {
    report.queries.iter().find_map(|query| {
        let traces = [query.current_trace.as_deref()?, query.reference_trace.as_deref()?];
        Step::run("See the query that changed most, document by document:", &["tidemark", "diff"], &traces, &[])
    })
}

/// What a new version of the corpus changed, if that is among the causes.
fn corpus_diff(report: &Report) -> Option<Step> {
    let declared = report.causes.iter().any(|cause| cause.declared && changes_corpus(cause.cause));
    let before = &report.reference.corpus_versions;
    let from = before.last().filter(|_| declared)?;
    let to = report.current.corpus_versions.iter().rev().find(|version| !before.contains(version))?;
    let names = [report.corpus.as_str(), from, to];
    Step::run("See what changed in the corpus:", &["tidemark", "corpus", "diff"], &names, &[])
}

/// The notes that miss a manifest, each with the step that registers it, if its names can be typed.
pub(super) fn unregistered(report: &Report) -> Vec<(&str, Option<Step>)> {
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
        Some((note.as_str(), Step::run(why, &["tidemark", "corpus", "register"], &names, &["MANIFEST"])))
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
