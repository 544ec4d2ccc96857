//! Two windows, one report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemark_corpus::{Manifest, Registry};
use tidemark_lake::{Lake, Table};
use tidemark_schema::{CorpusName, CorpusVersion, ErrorKind, Timestamp};
use tidemark_stats::{BootstrapMean, Persistence, Ranking, Resampling, bootstrap_mean, mmd_permutation_test};

use crate::causes::{Cause, Classifier, sentence, shares};
use crate::error::Error;
use crate::matched::{self, MatchedQuery, QueryChange};
use crate::observe::{Answer, Observations, QuerySample, Vocabulary};
use crate::presence::{Presence, contents};
use crate::read::read_window;
use crate::report::{
    Affects, CauseReport, ExposureReport, Judgement, MultiplicityReport, OutputReport, QueryReport, Report,
    RetrievalReport, ScoreReport, TrafficReport, WindowReport,
};
use crate::scores::{judge_scores, mean, rescoring};
use crate::selector::Window;

/// How a comparison judges. The defaults are those of the design; every number is in the report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Persistence of rank-biased measures.
    pub persistence: f64,
    /// An excess change up to this is of no practical significance.
    pub threshold: f64,
    /// The same for scores, in standard deviations of the reference's scores.
    pub score_threshold: f64,
    /// The level of intervals.
    pub confidence: f64,
    /// The level of tests.
    pub alpha: f64,
    /// With fewer matched queries there is no verdict.
    pub queries_min: usize,
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
            confidence: 0.95,
            alpha: 0.05,
            queries_min: 30,
            resamples: 2_000,
            permutations: 1_999,
            kernel_queries: 1_000,
            queries_listed: 10,
            seed: 42,
        }
    }
}

/// Compares two windows of one corpus. `now` is the time of the report; it decides nothing.
pub async fn compare(
    lake: &Lake,
    registry: &Registry,
    (reference, current): (&Window, &Window),
    options: &Options,
    now: Timestamp,
) -> Result<Report, Error> {
    let table_version = lake.version(Table::Retrievals).await?;
    let mut vocabulary = Vocabulary::default();
    let before = read_window(lake, reference, table_version, &mut vocabulary).await?;
    let after = read_window(lake, current, table_version, &mut vocabulary).await?;
    for (side, window, observations) in [("reference", reference, &before), ("current", current, &after)] {
        if observations.events == 0 {
            let (selector, corpus) = (window.selector.clone(), window.corpus.to_string());
            return Err(Error::EmptyWindow { side, selector, corpus });
        }
    }
    let versions = Declared {
        reference: declared_versions(&before, &vocabulary),
        current: declared_versions(&after, &vocabulary),
    };
    let mut notes = Vec::new();
    if reference.version == current.version && reference.from < current.to && current.from < reference.to {
        notes.push("the windows overlap: events in both make them look more alike than they are".to_owned());
    }
    let manifests = manifests(registry, &reference.corpus, &versions, &mut notes).await?;
    let reference_report = window_report(reference, &before, versions.reference.clone(), table_version);
    let current_report = window_report(current, &after, versions.current.clone(), table_version);
    // From here on nothing waits for anything: it is arithmetic over what was read.
    let judged = judge(vocabulary, &before, after, &manifests, &versions, options)?;
    notes.extend(judged.notes);
    Ok(Report {
        id: identify(&reference.corpus, [&reference_report, &current_report], options),
        corpus: reference.corpus.clone(),
        segment: BTreeMap::new(),
        created_at: now,
        reference: reference_report,
        current: current_report,
        retrieval: judged.retrieval,
        traffic: TrafficReport::default(),
        outputs: OutputReport::default(),
        exposure: ExposureReport::default(),
        causes: judged.causes,
        integrity: Vec::new(),
        segments: Vec::new(),
        queries: judged.queries,
        multiplicity: MultiplicityReport::default(),
        notes,
    })
}

/// The versions of the corpus that the events of each window declare.
struct Declared {
    reference: Vec<String>,
    current: Vec<String>,
}

struct Judged {
    retrieval: RetrievalReport,
    causes: Vec<CauseReport>,
    queries: Vec<QueryReport>,
    notes: Vec<String>,
}

fn judge(
    mut vocabulary: Vocabulary,
    before: &Observations,
    mut after: Observations,
    manifests: &BTreeMap<String, Manifest>,
    versions: &Declared,
    options: &Options,
) -> Result<Judged, Error> {
    let p = Persistence::new(options.persistence)?;
    let mut notes = Vec::new();
    let mut presence = Presence::new(manifests, &mut vocabulary);
    let contents_before = contents(before, &vocabulary);
    let seen = (&contents_before, &contents(&after, &vocabulary));
    presence.find_renamed(manifests, (&versions.reference, &versions.current), seen, &vocabulary);
    let renamed = rename(&mut after, &mut vocabulary, &presence)?;
    let contents_after = contents(&after, &vocabulary);

    let queries = matched::matched(before, &after, &vocabulary);
    let changes = matched::measure(&queries, p)?;
    let rescoring = rescoring(&queries, &vocabulary);
    let floors = Floors::measure(before, &after, p, &mut notes);
    let retrieval = RetrievalReport {
        scores: judge_scores(&queries, &vocabulary, options)?,
        ..judge_rankings(&queries, &changes, floors, p, options)?
    };

    let mut causes = Vec::new();
    let classifier = Classifier {
        vocabulary: &vocabulary,
        presence: &presence,
        rescoring,
        reference: &contents_before,
        current: &contents_after,
    };
    if retrieval.verdict == Judgement::Drift {
        let versions = (versions.reference.as_slice(), versions.current.as_slice());
        causes.extend(shares(&queries, &classifier, p).iter().map(|share| CauseReport {
            cause: share.cause,
            affects: Affects::Ranking,
            share: share.part,
            declared: share.declared,
            evidence: sentence(share, queries.len(), versions, rescoring.order_agreement, &vocabulary),
        }));
    }
    if retrieval.scores.verdict == Judgement::Drift {
        causes.push(score_cause(&retrieval.scores, &classifier, &queries));
    }
    if renamed > 0 {
        causes.push(CauseReport {
            cause: Cause::IdChurn,
            affects: Affects::Identity,
            share: 1.0,
            declared: versions.reference != versions.current,
            evidence: format!(
                "{renamed} of {} queries return documents under new ids with unchanged content; rankings are compared by content",
                after.queries.len()
            ),
        });
    }
    let queries = most_changed(&queries, &changes, &vocabulary, options.queries_listed);
    Ok(Judged { retrieval, causes, queries, notes })
}

/// How far answers to one query are apart inside a window anyway.
#[derive(Clone, Copy)]
struct Floors {
    reference: Option<f64>,
    current: Option<f64>,
}

impl Floors {
    fn measure(before: &Observations, after: &Observations, p: Persistence, notes: &mut Vec<String>) -> Self {
        let floors = Self { reference: matched::noise_floor(before, p), current: matched::noise_floor(after, p) };
        match floors {
            Self { reference: None, current: Some(_) } => notes.push(
                "no query repeats in the reference: its noise floor was taken from the current window".to_owned(),
            ),
            Self { reference: None, current: None } => {
                notes.push("no query repeats in either window: the noise floor was assumed to be 0".to_owned());
            }
            Self { reference: Some(before), current: Some(after) } if after > before + RISEN_FLOOR => notes.push(format!(
                "the noise floor rose from {before:.3} to {after:.3}: the same query is answered differently inside the \
                 current window (replicas that disagree, or a partial rollout)"
            )),
            Self { .. } => {}
        }
        floors
    }

    /// The floor of queries that the reference asked only once.
    fn pooled(self) -> f64 {
        self.reference.or(self.current).unwrap_or(0.0)
    }
}

/// A floor that rose by more than what matters in practice is a finding of its own.
const RISEN_FLOOR: f64 = 0.02;

fn judge_rankings(
    queries: &[MatchedQuery<'_>],
    changes: &[QueryChange],
    floors: Floors,
    p: Persistence,
    options: &Options,
) -> Result<RetrievalReport, Error> {
    let of = |value: fn(&QueryChange) -> f64| mean(&changes.iter().map(value).collect::<Vec<_>>());
    let mut report = RetrievalReport {
        verdict: Judgement::InsufficientEvidence,
        matched_queries: queries.len(),
        queries_min: options.queries_min,
        queries_needed: Some(options.queries_min),
        mean_rbo: of(|change| change.rbo),
        mean_jaccard: of(|change| change.jaccard),
        mean_kendall_top_k: of(|change| change.kendall),
        noise_floor: floors.reference,
        current_noise_floor: floors.current,
        excess_change: None,
        interval: None,
        confidence: options.confidence,
        threshold: options.threshold,
        p_value: None,
        test: None,
        scores: ScoreReport::default(),
    };
    let excess: Vec<f64> =
        changes.iter().map(|change| change.distance - change.within_reference.unwrap_or(floors.pooled())).collect();
    if excess.len() < 2 {
        return Ok(report);
    }
    let resampling = Resampling { confidence: options.confidence, resamples: options.resamples, seed: options.seed };
    let effect = bootstrap_mean(&excess, None, options.threshold, resampling)?;
    report.excess_change = Some(effect.estimate);
    report.interval = Some([effect.low, effect.high]);
    let strata = matched::kernel_strata(queries, p, options.kernel_queries)?;
    let (test, p_value) = if strata.is_empty() {
        ("bootstrap", effect.p_value)
    } else {
        ("kernel_two_sample", mmd_permutation_test(&strata, options.permutations, options.seed)?.p_value)
    };
    (report.test, report.p_value) = (Some(test), Some(p_value));
    if excess.len() < options.queries_min {
        return Ok(report);
    }
    // With the interval across the threshold the number of queries decides: say how many would.
    let undecided = effect.low <= options.threshold && effect.high > options.threshold;
    if effect.low > options.threshold && p_value < options.alpha {
        report.verdict = Judgement::Drift;
        report.queries_needed = None;
    } else if undecided && effect.estimate > options.threshold {
        report.queries_needed = Some(queries_needed(&effect, excess.len(), options.threshold));
    } else {
        report.verdict = Judgement::Stable;
        report.queries_needed = None;
    }
    Ok(report)
}

/// How many queries would bring the lower end of the interval above the threshold, if the effect is what it seems to be:
/// the half-width of an interval of a mean shrinks with the root of the number of values.
fn queries_needed(effect: &BootstrapMean, queries: usize, threshold: f64) -> usize {
    let (half_width, lead) = (effect.estimate - effect.low, effect.estimate - threshold);
    let ratio = if lead > 0.0 { half_width / lead } else { f64::INFINITY };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates at the largest number")]
    let needed = (queries as f64 * ratio * ratio).ceil() as usize;
    needed.max(queries + 1)
}

fn score_cause(scores: &ScoreReport, classifier: &Classifier<'_>, queries: &[MatchedQuery<'_>]) -> CauseReport {
    let cause = if classifier.rescoring.is_rescaling() { Cause::Scoring } else { Cause::Embedding };
    let context = |answers: Vec<(&Answer, f64)>| {
        answers.first().map(|(answer, _)| classifier.vocabulary.context_of(answer.context))
    };
    let declared =
        queries.iter().filter(|query| match (context(query.reference.answers()), context(query.current.answers())) {
            (Some(a), Some(b)) => {
                (&a.embedder, &a.index, &a.retriever, &a.params) != (&b.embedder, &b.index, &b.retriever, &b.params)
            }
            _ => false,
        });
    let declared = declared.count() * 2 > queries.len();
    let number = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.3}"));
    CauseReport {
        cause,
        affects: Affects::Scores,
        share: 1.0,
        declared,
        evidence: format!(
            "scores of unchanged documents moved by {} in {} queries: scale {}, order agreement {}; {}",
            number(scores.shift),
            scores.queries,
            number(scores.scale),
            number(scores.order_agreement),
            if declared { "a change of embedder, index or retriever was declared" } else { "nothing was declared" }
        ),
    }
}

/// Gives documents that came back under a new id their old number, in every answer that holds one; says how many queries
/// that touched.
fn rename(window: &mut Observations, vocabulary: &mut Vocabulary, presence: &Presence) -> Result<usize, Error> {
    let mut touched = 0;
    for query in window.queries.values_mut() {
        let mut any = false;
        for observed in &mut query.sample {
            let items = observed.answer.ranking.items();
            if !items.iter().any(|document| presence.renamed.contains_key(document)) {
                continue;
            }
            let old = |document: &u32| presence.renamed.get(document).copied().unwrap_or(*document);
            let renamed: Vec<u32> = items.iter().map(old).collect();
            let states = observed.answer.states.iter().map(|state| {
                let mut state = *vocabulary.state_of(*state);
                state.document = old(&state.document);
                vocabulary.state(state)
            });
            let states = states.collect();
            let scores = observed.answer.scores.clone();
            // Two names of one content in one answer stay two documents.
            let distinct: BTreeSet<&u32> = renamed.iter().collect();
            if distinct.len() == renamed.len() {
                let ranking = Ranking::with_scores(renamed, &scores)?;
                observed.answer = Arc::new(Answer { ranking, states, scores, context: observed.answer.context });
                any = true;
            }
        }
        touched += usize::from(any);
        query.share_equal_answers();
    }
    Ok(touched)
}

fn declared_versions(window: &Observations, vocabulary: &Vocabulary) -> Vec<String> {
    let observed = window.queries.values().flat_map(|query| &query.sample);
    let versions = observed.filter_map(|o| vocabulary.context_of(o.answer.context).corpus_version.clone());
    versions.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The manifests of all declared versions that are registered, and a note for each that is not.
async fn manifests(
    registry: &Registry,
    corpus: &CorpusName,
    versions: &Declared,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Manifest>, Error> {
    let all: BTreeSet<&String> = versions.reference.iter().chain(&versions.current).collect();
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

fn window_report(window: &Window, observations: &Observations, versions: Vec<String>, table: u64) -> WindowReport {
    WindowReport {
        selector: window.selector.clone(),
        from: observations.span.map(|span| span.0),
        to: observations.span.map(|span| span.1),
        events: observations.events,
        queries: observations.queries.len(),
        corpus_versions: versions,
        table_version: table,
    }
}

/// The same comparison of the same rows with the same options has the same id.
fn identify(corpus: &CorpusName, windows: [&WindowReport; 2], options: &Options) -> String {
    let described = format!("{corpus}\n{windows:?}\n{options:?}");
    let digest = blake3::hash(described.as_bytes()).to_hex();
    format!("cmp_{}", digest.get(..16).unwrap_or_default())
}

fn most_changed(
    queries: &[MatchedQuery<'_>],
    changes: &[QueryChange],
    vocabulary: &Vocabulary,
    limit: usize,
) -> Vec<QueryReport> {
    let mut worst: Vec<_> = queries.iter().zip(changes).filter(|(_, change)| change.distance > 0.0).collect();
    // Stable, so that equal changes stay in the order of their fingerprints.
    worst.sort_by(|(_, a), (_, b)| a.rbo.total_cmp(&b.rbo).then(b.distance.total_cmp(&a.distance)));
    let trace = |query: &QuerySample| query.sample.first().and_then(|o| o.trace.as_deref().map(str::to_owned));
    let report = |(query, change): (&MatchedQuery<'_>, &QueryChange)| QueryReport {
        fingerprint: vocabulary.fingerprints.text(query.fingerprint).to_owned(),
        rbo: change.rbo,
        reference_trace: trace(query.reference),
        current_trace: trace(query.current),
    };
    worst.into_iter().take(limit).map(report).collect()
}
