//! Two windows, one report.

use std::collections::{BTreeMap, BTreeSet};

use tidemark_corpus::{Manifest, Registry};
use tidemark_lake::{Lake, Table};
use tidemark_schema::{CorpusName, CorpusVersion, ErrorKind, Timestamp};
use tidemark_stats::Resampling;

use crate::error::Error;
use crate::judge::{Windows, judge};
use crate::observe::Observations;
use crate::read::{Versions, read_aliases, read_windows};
use crate::report::{IntegrityReport, Judgement, Report, RetrievalReport, WindowReport};
use crate::selector::{Segment, Window};
use crate::vocabulary::Vocabulary;

/// How a comparison judges. The defaults are those of the design; every number is in the report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Persistence of rank-biased measures.
    pub persistence: f64,
    /// An excess change up to this is of no practical significance.
    pub threshold: f64,
    /// The same for scores, in standard deviations of the reference's scores.
    pub score_threshold: f64,
    /// The same for the mix of queries: a Jensen–Shannon distance of 0.1 is 12 points of traffic moved between two halves.
    pub traffic_threshold: f64,
    /// The same for rates of outputs: changed hashes, changed citations, refusals.
    pub output_threshold: f64,
    /// The same for embeddings of outputs, as 1 minus the cosine.
    pub embedding_threshold: f64,
    /// The same for evaluation scores of outputs, in standard deviations of the reference: a small effect (Cohen 1988).
    pub evaluation_threshold: f64,
    /// The level of intervals.
    pub confidence: f64,
    /// The level of tests.
    pub alpha: f64,
    /// With fewer matched queries nothing is called stable.
    pub queries_min: usize,
    /// With fewer matched queries there is no verdict at all: as many as `queries_min` for all traffic, fewer for a part of
    /// it, which has fewer.
    pub matched_min: usize,
    /// With fewer operations in a window there is no verdict on traffic.
    pub operations_min: u64,
    /// Resamples of the bootstrap.
    pub resamples: u32,
    /// Permutations of the kernel test.
    pub permutations: u32,
    /// Queries that enter the kernel test at most.
    pub kernel_queries: usize,
    /// How many of the most changed queries the report names.
    pub queries_listed: usize,
    /// The seed of everything that is drawn.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            persistence: 0.9,
            threshold: 0.02,
            score_threshold: 0.05,
            traffic_threshold: 0.1,
            output_threshold: 0.1,
            embedding_threshold: 0.02,
            evaluation_threshold: 0.2,
            confidence: 0.95,
            alpha: 0.05,
            queries_min: 30,
            matched_min: 30,
            operations_min: 100,
            resamples: 2_000,
            permutations: 1_999,
            kernel_queries: 1_000,
            queries_listed: 10,
            seed: 42,
        }
    }
}

impl Options {
    /// How intervals of the whole are drawn.
    pub(crate) fn resampling(&self) -> Resampling {
        Resampling { confidence: self.confidence, resamples: self.resamples, seed: self.seed }
    }
}

/// A part of the traffic is judged from so many matched queries on; fewer than 30 are never called stable.
pub(crate) const PART_MIN: usize = 10;

/// Compares two windows of one corpus, or a segment of them. `now` is the time of the report; it decides nothing.
pub async fn compare(
    lake: &Lake,
    registry: &Registry,
    (reference, current): (&Window, &Window),
    segment: &Segment,
    options: &Options,
    now: Timestamp,
) -> Result<Report, Error> {
    refuse_overlap(reference, current)?;
    let tables = Versions::newest(lake).await?;
    let aliases = read_aliases(lake, reference, tables).await?;
    let (vocabulary, before, after) = read_windows(lake, [reference, current], segment, tables, aliases).await?;
    for (side, window, observations) in [("reference", reference, &before), ("current", current, &after)] {
        if observations.events == 0 {
            let (selector, corpus) = (window.selector.clone(), window.corpus.to_string());
            return Err(Error::EmptyWindow { side, selector, corpus, segment: segment.to_string() });
        }
    }
    refuse_shared_version((reference, current), (&before, &after), &vocabulary)?;
    let mut windows = Windows { vocabulary, before, after, manifests: BTreeMap::new(), qrels: None };
    let versions = windows.declared_versions();
    let mut notes = Vec::new();
    if windows.vocabulary.aliases.is_full() {
        notes.push("more queries were asked while keys were rotated than are matched across the rotation".to_owned());
    }
    windows.manifests = manifests(registry, &reference.corpus, &versions, &mut notes).await?;
    let [declared_before, declared_after] = versions;
    let reference_report = window_report(reference, &windows.before, declared_before, tables);
    let current_report = window_report(current, &windows.after, declared_after, tables);
    windows.qrels = registry.qrels(&reference.corpus).await?;
    let qrels_known = windows.qrels.is_some();
    let store = lake.identity(Table::Retrievals).await?;
    // From here on nothing waits for anything: it is arithmetic over what was read.
    let options = &for_part(options, segment);
    let judged = judge(windows, options)?;
    if qrels_known && judged.relevance.is_none() {
        notes.push("no query that both windows asked has a document that was judged relevant".to_owned());
    }
    notes.extend(judged.notes);
    let [operations_before, operations_after] = judged.operations;
    let reference_report = WindowReport { operations: operations_before, ..reference_report };
    let current_report = WindowReport { operations: operations_after, ..current_report };
    Ok(Report {
        id: identify(&store, &reference.corpus, segment, [&reference_report, &current_report], options),
        corpus: reference.corpus.clone(),
        segment: segment.labels().clone(),
        created_at: now,
        reference: reference_report,
        current: current_report,
        verdict: overall(&judged.retrieval, &judged.integrity),
        symptoms: judged.symptoms,
        since: judged.since,
        retrieval: judged.retrieval,
        quality: judged.quality,
        relevance: judged.relevance,
        traffic: judged.traffic,
        outputs: judged.outputs,
        exposure: judged.exposure,
        causes: judged.causes,
        integrity: judged.integrity,
        segments: judged.segments,
        stages: judged.stages,
        queries: judged.queries,
        multiplicity: judged.multiplicity,
        notes,
    })
}

/// The verdict that the exit code follows by default: rankings, scores where there are any, and integrity.
fn overall(retrieval: &RetrievalReport, integrity: &[IntegrityReport]) -> Judgement {
    let scores = if retrieval.scores.queries == 0 { Judgement::Stable } else { retrieval.scores.verdict };
    let integrity = if integrity.is_empty() { Judgement::Stable } else { Judgement::Drift };
    let verdicts = [retrieval.verdict, scores, integrity];
    let first = |wanted: Judgement| verdicts.contains(&wanted).then_some(wanted);
    first(Judgement::Drift).or_else(|| first(Judgement::InsufficientEvidence)).unwrap_or(Judgement::Stable)
}

/// A part of the traffic has a part of its questions: alone it is judged as it is within the whole.
fn for_part(options: &Options, segment: &Segment) -> Options {
    let matched_min = if segment.is_all() { options.matched_min } else { options.matched_min.min(PART_MIN) };
    Options { matched_min, ..*options }
}

/// Windows of one kind that share time make each other look alike. What was meant is most often the time before.
fn refuse_overlap(reference: &Window, current: &Window) -> Result<(), Error> {
    let overlap = reference.version == current.version && reference.from < current.to && current.from < reference.to;
    if !overlap {
        return Ok(());
    }
    let length = current.to.micros().saturating_sub(current.from.micros());
    let meant = if current.from > Timestamp::MIN {
        let length = crate::selector::length(length / 1_000_000);
        format!("for the same length of time before the current window: --reference before:{length}")
    } else {
        "name two versions, or two times that lie apart".to_owned()
    };
    Err(Error::Overlap { reference: reference.selector.clone(), current: current.selector.clone(), meant })
}

/// A window that is a version may share events with one that is a time: those of the version within that time.
fn refuse_shared_version(
    (reference, current): (&Window, &Window),
    (before, after): (&Observations, &Observations),
    vocabulary: &Vocabulary,
) -> Result<(), Error> {
    let (version, timed, observations) = match (&reference.version, &current.version) {
        (Some(version), None) => (version, current, after),
        (None, Some(version)) => (version, reference, before),
        _ => return Ok(()),
    };
    let declares = |context: u32| vocabulary.context_of(context).corpus_version.as_deref() == Some(version.as_str());
    if !observations.sampled().any(|observed| declares(observed.context)) {
        return Ok(());
    }
    let meant = format!(
        "events of version {version} lie within {}: compare two versions, or two times that lie apart",
        timed.selector
    );
    Err(Error::Overlap { reference: reference.selector.clone(), current: current.selector.clone(), meant })
}

/// The manifests of all declared versions that are registered, and a note for each that is not.
async fn manifests(
    registry: &Registry,
    corpus: &CorpusName,
    versions: &[Vec<String>; 2],
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Manifest>, Error> {
    let all: BTreeSet<&String> = versions.iter().flatten().collect();
    if all.is_empty() {
        notes.push(
            "the events declare no corpus version, so removed and added documents cannot be told from the rest; send \
             corpus_version with each retrieval"
                .to_owned(),
        );
    }
    let mut manifests = BTreeMap::new();
    for name in all {
        let Ok(version) = name.parse::<CorpusVersion>() else { continue };
        match registry.manifest(corpus, &version).await {
            Ok(manifest) => {
                manifests.insert(name.clone(), manifest);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => notes.push(format!(
                "version {name} of {corpus} has no registered manifest, so removed and added documents cannot be told \
                 from the rest: `tidemark corpus register {corpus} {name} MANIFEST`"
            )),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(manifests)
}

fn window_report(
    window: &Window,
    observations: &Observations,
    versions: Vec<String>,
    tables: Versions,
) -> WindowReport {
    WindowReport {
        selector: window.selector.clone(),
        from: observations.span.map(|span| span.0),
        to: observations.span.map(|span| span.1),
        events: observations.events,
        operations: 0,
        queries: observations.query_count(),
        corpus_versions: versions,
        table_version: tables.retrievals,
        outputs_table_version: tables.outputs,
        queries_kept: observations.kept(),
    }
}

/// The same comparison of the same rows of one store with the same options has the same id.
fn identify(
    store: &str,
    corpus: &CorpusName,
    segment: &Segment,
    windows: [&WindowReport; 2],
    options: &Options,
) -> String {
    let described = format!("{store}\n{corpus}\n{segment}\n{windows:?}\n{options:?}");
    let digest = blake3::hash(described.as_bytes()).to_hex();
    format!("cmp_{}", digest.get(..16).unwrap_or_default())
}
