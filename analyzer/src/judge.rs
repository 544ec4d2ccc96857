//! From what two windows held to what a report says: arithmetic, no input and no output.

mod causes;
mod floors;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemark_corpus::Manifest;
use tidemark_stats::{
    KernelStratum, Persistence, Resampling, bootstrap_mean, excess_permutation_test, holm, mmd_permutation_test,
};

use crate::answer::Place;
use crate::causes::Classifier;
use crate::compare::Options;
use crate::error::Error;
use crate::exposure::measure_exposure;
use crate::integrity::{self, Evidence};
use crate::matched::{self, MatchedQuery, QueryChange};
use crate::observe::{Observations, QuerySample};
use crate::outputs::measure_outputs;
use crate::presence::{Presence, contents, new_searches};
use crate::report::{
    CauseReport, ExposureReport, IntegrityReport, Judgement, MultiplicityReport, OutputReport, QueryReport,
    RetrievalReport, ScoreReport, SegmentReport, TestReport, TrafficReport,
};
use crate::scores::{mean, measure_scores, rescoring};
use crate::segments::judge_segments;
use crate::traffic::measure_traffic;
use crate::vocabulary::Vocabulary;
use floors::Floors;

/// Two windows, and what is known of the corpus versions that they declare.
#[derive(Debug)]
pub struct Windows {
    /// What the numbers in both stand for.
    pub vocabulary: Vocabulary,
    /// The window that is compared with.
    pub before: Observations,
    /// The window that is judged.
    pub after: Observations,
    /// The registered manifests of the declared versions.
    pub manifests: BTreeMap<String, Manifest>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Rankings and scores.
    pub retrieval: RetrievalReport,
    /// What was asked.
    pub traffic: TrafficReport,
    /// Outputs.
    pub outputs: OutputReport,
    /// Which documents were shown.
    pub exposure: ExposureReport,
    /// Why.
    pub causes: Vec<CauseReport>,
    /// Contradictions.
    pub integrity: Vec<IntegrityReport>,
    /// Parts of the traffic.
    pub segments: Vec<SegmentReport>,
    /// The queries that changed most.
    pub queries: Vec<QueryReport>,
    /// The correction of the tests.
    pub multiplicity: MultiplicityReport,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

impl Windows {
    /// The versions of the corpus that the events of each window declare.
    pub fn declared_versions(&self) -> [Vec<String>; 2] {
        [&self.before, &self.after].map(|window| {
            let versions = window.sightings.documents.keys().map(|(version, _)| *version);
            let sampled = window.queries.values().flat_map(|query| &query.sample);
            // A window that returned nothing still declares its version.
            let contexts = sampled.filter_map(|o| self.vocabulary.context_of(o.context).corpus_version.clone());
            versions
                .collect::<BTreeSet<_>>()
                .into_iter()
                .map(|version| self.vocabulary.versions.text(version).to_owned())
                .chain(contexts)
                .collect::<BTreeSet<String>>()
                .into_iter()
                .collect()
        })
    }
}

/// Judges two windows.
pub fn judge(windows: Windows, options: &Options) -> Result<Judged, Error> {
    let [versions_before, versions_after] = windows.declared_versions();
    let Windows { mut vocabulary, mut before, mut after, manifests } = windows;
    let p = Persistence::new(options.persistence)?;
    let mut notes = Vec::new();
    before.keep_alike(&mut after, &vocabulary);
    if before.kept() < 1.0 {
        notes.push(format!(
            "there are more queries than a window keeps: verdicts rest on the {:.1} % whose fingerprints have the smallest hashes",
            before.kept() * 100.0
        ));
    }
    let mut presence = Presence::new(&manifests, &mut vocabulary);
    let contents_before = contents(&before, &vocabulary);
    let mut contents_after = contents(&after, &vocabulary);
    let seen = (&contents_before, &contents_after);
    presence.find_renamed(&manifests, (&versions_before, &versions_after), seen, &vocabulary);
    let renamed = rename(&mut after, &mut vocabulary, &presence);
    if renamed > 0 {
        contents_after = contents(&after, &vocabulary);
    }

    let queries = matched::matched(&before, &after, &vocabulary);
    let changes = matched::measure(&queries, &vocabulary, p)?;
    let rescoring = rescoring(&queries, &vocabulary)?;
    let floors = Floors::measure(&before, &after, &vocabulary, p, &mut notes)?;
    let mut retrieval = RetrievalReport {
        scores: measure_scores(&queries, &vocabulary, options)?,
        ..measure_rankings(&queries, &changes, &vocabulary, floors, p, options)?
    };
    let mut traffic = measure_traffic(&before, &after, &vocabulary, options)?;
    let rankings_changed = retrieval.interval.is_some_and(|[low, _]| low > options.threshold);
    let mut outputs = measure_outputs(&queries, &after, &vocabulary, (p, rankings_changed), options)?;
    let mut multiplicity = correct(&retrieval, &traffic, &outputs, options)?;
    decide(&mut retrieval, &mut traffic, &mut outputs, &multiplicity, options);
    outputs.because = outputs.because.filter(|_| outputs.verdict == Judgement::Drift);

    let new_searches = new_searches(&before, &vocabulary);
    let classifier = Classifier {
        vocabulary: &vocabulary,
        presence: &presence,
        rescoring,
        reference: &contents_before,
        current: &contents_after,
        new_searches: &new_searches,
    };
    let declared = (versions_before.as_slice(), versions_after.as_slice());
    let causes =
        causes::of((&retrieval, &multiplicity), &traffic, (&queries, &after), (renamed, declared), &classifier, p)?;
    let segments = judge_segments(&queries, &after, &vocabulary, (floors.pooled(), p), options)?;
    if segments.too_small > 0 {
        let (parts, share) = if segments.too_small == 1 { ("part", "shares") } else { ("parts", "share") };
        notes.push(format!(
            "{} {parts} of the traffic {share} too few queries between the windows to be judged",
            segments.too_small
        ));
    }
    multiplicity.segments_tested = segments.tested;
    let moved =
        multiplicity.tests.iter().any(|test| test.verdict == "retrieval" && test.adjusted_p_value < options.alpha);
    if moved && retrieval.excess_change.is_some_and(|excess| excess < 0.0) {
        notes.push(
            "answers changed, though none is farther from the reference than its own answers are from each other: the \
             reference itself was mixed, as during a rollout that has since ended; compare with a window before it"
                .to_owned(),
        );
    }
    if outputs.matched_queries == 0 {
        notes.push("no query has outputs in both windows, so outputs were not judged".to_owned());
    }
    let evidence = Evidence {
        before: &before,
        after: &after,
        vocabulary: &vocabulary,
        presence: &presence,
        manifests: &manifests,
        rescored: rescoring.seen,
    };
    Ok(Judged {
        exposure: measure_exposure(&before, &after, &vocabulary, p)?,
        integrity: integrity::find(&evidence)?,
        queries: most_changed(&queries, &changes, &vocabulary, options.queries_listed),
        segments: segments.reports,
        retrieval,
        traffic,
        outputs,
        causes,
        multiplicity,
        notes,
    })
}

/// Measures rankings; the verdict is left to the report's correction.
fn measure_rankings(
    queries: &[MatchedQuery<'_>],
    changes: &[QueryChange],
    vocabulary: &Vocabulary,
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
    let strata = matched::kernel_strata(queries, vocabulary, p, options.kernel_queries)?;
    let (test, p_value) = if strata.is_empty() {
        ("bootstrap", effect.p_value)
    } else {
        ("kernel_two_sample", two_sample(&strata, options)?)
    };
    (report.test, report.p_value) = (Some(test), Some(p_value));
    Ok(report)
}

/// The p-value of two statistics of one kernel, the smaller one doubled (Bonferroni).
///
/// The unbiased MMD^2 sees any difference between the windows' answers and weakens with the square of the share of answers
/// that a change reached; the excess over the reference's repeats sees only answers that moved away, and weakens with the
/// share itself. Small but thorough changes are found by the one, partial rollouts by the other.
fn two_sample(strata: &[KernelStratum], options: &Options) -> Result<f64, Error> {
    let excess = excess_permutation_test(strata, options.permutations, options.seed)?.p_value;
    let repeated: Vec<KernelStratum> = strata.iter().filter(|stratum| stratum.is_repeated()).cloned().collect();
    if repeated.is_empty() {
        return Ok(excess);
    }
    let whole = mmd_permutation_test(&repeated, options.permutations, options.seed)?.p_value;
    Ok((2.0 * excess.min(whole)).min(1.0))
}

/// Corrects the tests of the verdicts for being several (Holm).
fn correct(
    retrieval: &RetrievalReport,
    traffic: &TrafficReport,
    outputs: &OutputReport,
    options: &Options,
) -> Result<MultiplicityReport, Error> {
    let tests: Vec<(&'static str, f64)> = [
        ("retrieval", retrieval.p_value),
        ("scores", retrieval.scores.p_value),
        ("traffic", traffic.p_value),
        ("outputs", outputs.p_value),
    ]
    .into_iter()
    .filter_map(|(verdict, p_value)| Some((verdict, p_value?)))
    .collect();
    let adjusted = holm(&tests.iter().map(|(_, p_value)| *p_value).collect::<Vec<_>>())?;
    Ok(MultiplicityReport {
        method: "holm",
        alpha: options.alpha,
        tests: tests
            .into_iter()
            .zip(adjusted)
            .map(|((verdict, p_value), adjusted_p_value)| TestReport { verdict, p_value, adjusted_p_value })
            .collect(),
        segment_false_discovery_rate: options.alpha,
        segments_tested: 0,
    })
}

/// What an effect with its interval and its corrected test comes to. An estimate that matters and is not certain is
/// neither drift nor stable.
pub(crate) fn verdict(estimate: f64, low: f64, threshold: f64, adjusted_p: f64, alpha: f64) -> Judgement {
    if low > threshold && adjusted_p < alpha {
        Judgement::Drift
    } else if estimate > threshold {
        Judgement::InsufficientEvidence
    } else {
        Judgement::Stable
    }
}

fn decide(
    retrieval: &mut RetrievalReport,
    traffic: &mut TrafficReport,
    outputs: &mut OutputReport,
    multiplicity: &MultiplicityReport,
    options: &Options,
) {
    let adjusted = |name: &str| {
        multiplicity.tests.iter().find(|test| test.verdict == name).map_or(1.0, |test| test.adjusted_p_value)
    };
    let alpha = options.alpha;
    if let (Some(estimate), Some([low, _])) = (retrieval.excess_change, retrieval.interval)
        && retrieval.matched_queries >= options.queries_min
    {
        retrieval.verdict = verdict(estimate, low, options.threshold, adjusted("retrieval"), alpha);
        retrieval.queries_needed = (retrieval.verdict == Judgement::InsufficientEvidence)
            .then(|| needed((estimate, low), options.threshold, retrieval.matched_queries));
    }
    let scores = &mut retrieval.scores;
    if let (Some(estimate), Some([low, _])) = (scores.effect, scores.interval) {
        scores.verdict = verdict(estimate, low, options.score_threshold, adjusted("scores"), alpha);
    }
    if let (Some(estimate), Some([low, _])) = (traffic.excess_distance, traffic.interval) {
        traffic.verdict = verdict(estimate, low, options.traffic_threshold, adjusted("traffic"), alpha);
        let operations = usize::try_from(traffic.operations.into_iter().min().unwrap_or(0)).unwrap_or(usize::MAX);
        traffic.operations_needed = (traffic.verdict == Judgement::InsufficientEvidence)
            .then(|| needed((estimate, low), options.traffic_threshold, operations) as u64);
    }
    if outputs.p_value.is_some() {
        let family = adjusted("outputs") / outputs.p_value.filter(|p| *p > 0.0).unwrap_or(1.0);
        for measure in &mut outputs.measures {
            let (estimate, low) = measure.lead();
            // What the family of four multiplies the smallest p-value with, every one of them is multiplied with.
            measure.verdict = verdict(estimate, low, measure.threshold, measure.adjusted_p_value * family, alpha);
        }
        let any = |wanted: Judgement| outputs.measures.iter().any(|measure| measure.verdict == wanted);
        outputs.verdict = if any(Judgement::Drift) {
            Judgement::Drift
        } else if any(Judgement::InsufficientEvidence) {
            Judgement::InsufficientEvidence
        } else {
            Judgement::Stable
        };
    }
}

/// How many queries or operations would bring the lower end of the interval above the threshold, if the effect is what it
/// seems to be: the half-width of an interval of a mean shrinks with the root of the number of values.
fn needed((estimate, low): (f64, f64), threshold: f64, have: usize) -> usize {
    let (half_width, lead) = (estimate - low, estimate - threshold);
    let ratio = if lead > 0.0 { half_width / lead } else { f64::INFINITY };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates at the largest number")]
    let needed = (have as f64 * ratio * ratio).ceil() as usize;
    needed.max(have + 1)
}

/// Gives documents that came back under a new id their old number, in every answer and every citation that holds one; says
/// how many queries that touched.
fn rename(window: &mut Observations, vocabulary: &mut Vocabulary, presence: &Presence) -> usize {
    if presence.renamed.is_empty() {
        return 0;
    }
    let mut touched = 0;
    let old = |document: u32| presence.renamed.get(&document).copied().unwrap_or(document);
    for query in window.queries.values_mut() {
        let mut any = false;
        for observed in &mut query.sample {
            if let Some(outcome) = &mut observed.outcome {
                let mut citations: Vec<u32> = outcome.citations.iter().map(|document| old(*document)).collect();
                citations.sort_unstable();
                outcome.citations = citations.into();
            }
            let documents = observed.places.iter().map(|place| vocabulary.state_of(place.state()).document);
            let renamed: Vec<u32> = documents.clone().map(old).collect();
            // Two names of one content in one answer stay two documents.
            let distinct: BTreeSet<&u32> = renamed.iter().collect();
            if documents.eq(renamed.iter().copied()) || distinct.len() < renamed.len() {
                continue;
            }
            let places: Vec<Place> = observed
                .places
                .iter()
                .zip(&renamed)
                .map(|(place, document)| {
                    let mut state = *vocabulary.state_of(place.state());
                    state.document = *document;
                    place.with_state(vocabulary.state(state))
                })
                .collect();
            observed.places = Arc::from(places);
            any = true;
        }
        touched += usize::from(any);
        query.share_equal_answers();
    }
    touched
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
    let trace = |query: &QuerySample| query.trace.as_deref().map(str::to_owned);
    let report = |(query, change): (&MatchedQuery<'_>, &QueryChange)| QueryReport {
        fingerprint: vocabulary.fingerprints.text(query.fingerprint).to_owned(),
        rbo: change.rbo,
        reference_trace: trace(query.reference),
        current_trace: trace(query.current),
    };
    worst.into_iter().take(limit).map(report).collect()
}
