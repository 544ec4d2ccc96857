//! From what two windows held to what a report says: arithmetic, no input and no output.

mod causes;
mod classifiers;
mod inherited;
mod matching;
mod notes;
mod rankings;
mod stages;
mod verdicts;

pub(crate) use verdicts::verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemark_corpus::{Manifest, Qrels};
use tidemark_stats::Persistence;

use crate::answer::Place;
use crate::causes::Classifier;
use crate::compare::Options;
use crate::error::Error;
use crate::exposure::measure_exposure;
use crate::integrity::{self, Evidence};
use crate::intern::{DocumentNumber, FastSet};
use crate::learn::splitting_keys;
use crate::matched::UnitChange;
use crate::neighbours::Neighbours;
use crate::observe::Observations;
use crate::outputs::measure_outputs;
use crate::pipeline::Pipeline;
use crate::presence::{Presence, contents};
use crate::quality::quality;
use crate::report::{
    Affects, CauseReport, ExposureReport, FloorBasis, IntegrityReport, Judgement, MultiplicityReport, OutputReport,
    QualityReport, QueryReport, RelevanceReport, RetrievalReport, SegmentReport, Since, StageReport, SymptomKind,
    SymptomReport, TrafficReport,
};
use crate::scores::measure_scores;
use crate::segments::judge_segments;
use crate::signatures::{Hash, Signatures};
use crate::since::Timeline;
use crate::symptoms::symptoms;
use crate::traffic::measure_traffic;
use crate::units::{Matched, MatchedUnit, only_one_names_tenants};
use crate::vocabulary::Vocabulary;
use causes::Causes;
use classifiers::classifiers;
use matching::{Matching, Measure};
use notes::{floor_notes, kept_note, mixed_reference, neighbours_note, pipeline_notes};
use rankings::Rankings;
use stages::judge_stages;
use verdicts::{correct, decide};

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
    /// What people judged relevant, if anything was registered.
    pub qrels: Option<Qrels>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Rankings and scores.
    pub retrieval: RetrievalReport,
    /// What a user of the service would notice.
    pub symptoms: Vec<SymptomReport>,
    /// From when on.
    pub since: Option<Since>,
    /// Better or worse.
    pub quality: QualityReport,
    /// Where people judged documents.
    pub relevance: Option<RelevanceReport>,
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
    /// Stages of the pipelines.
    pub stages: Vec<StageReport>,
    /// The queries that changed most.
    pub queries: Vec<QueryReport>,
    /// The correction of the tests.
    pub multiplicity: MultiplicityReport,
    /// How many operations each window held: retries and the stages of one operation count once.
    pub operations: [u64; 2],
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

impl Windows {
    /// The versions of the corpus that the events of each window declare.
    pub fn declared_versions(&self) -> [Vec<String>; 2] {
        [&self.before, &self.after].map(|window| {
            let versions = window.sightings.documents.iter().filter_map(|((version, _), _)| version);
            // A window that returned nothing still declares its version.
            let contexts: FastSet<u32> = window.sampled().map(|observed| observed.context).collect();
            versions
                .collect::<BTreeSet<_>>()
                .into_iter()
                .map(|version| self.vocabulary.versions.text(version).to_owned())
                .chain(contexts.iter().filter_map(|o| self.vocabulary.context_of(*o).corpus_version.clone()))
                .collect::<BTreeSet<String>>()
                .into_iter()
                .collect()
        })
    }
}

/// Of how many of the drifting segments it is said since when.
const SEGMENTS_DATED: usize = 10;
/// A cause with a larger share than this is dated.
const CAUSES_DATED: f64 = 0.1;

/// Judges two windows.
#[expect(clippy::too_many_lines, reason = "one step after the other, each of which needs what those before it found")]
pub fn judge(windows: Windows, options: &Options) -> Result<Judged, Error> {
    let versions = windows.declared_versions();
    let declared = (versions[0].as_slice(), versions[1].as_slice());
    let Windows { mut vocabulary, mut before, mut after, manifests, qrels } = windows;
    let p = Persistence::new(options.persistence)?;
    before.keep_alike(&mut after, &vocabulary);
    let mut notes: Vec<String> = kept_note(&before).into_iter().collect();
    let mut presence = Presence::new(&manifests, &mut vocabulary);
    let (contents_before, mut contents_after) =
        rayon::join(|| contents(&before, &vocabulary), || contents(&after, &vocabulary));
    presence.find_renamed(&manifests, declared, (&contents_before, &contents_after), &vocabulary);
    let renamed = rename(&mut after, &mut vocabulary, &presence);
    if renamed > 0 {
        contents_after = contents(&after, &vocabulary);
    }

    let pipeline = Pipeline::of(&before, &after, &vocabulary);
    let last = pipeline.last();
    let as_one = only_one_names_tenants([&before, &after], &vocabulary);
    let learnt = splitting_keys((&before, &after), &last, &vocabulary, p, options)?;
    let matching = Matching { pipeline: &pipeline, learnt: &learnt, as_one, vocabulary: &vocabulary, p, options };
    let equal = matching.equal((&before, &after));
    let asked_in_both = equal.of_stages(&last).len();
    let share = matching.coverage(&equal, &after);
    let neighbours = matching.neighbours((&before, &after), (&equal, share), &last)?;
    let similar =
        neighbours.as_ref().map(|neighbours| matching.similar(neighbours, share, &last)).transpose()?.flatten();
    let neighbours = neighbours.as_ref().filter(|_| similar.is_some());
    let Measure { matched, changes, coverage } = match similar {
        Some(similar) => similar,
        None => matching.measure_equal(equal, share)?,
    };
    let embedder_moved = neighbours.is_some_and(|neighbours| neighbours.moved);
    let seen = (&contents_before, &contents_after);
    let classifiers = classifiers(&matched, (&pipeline, embedder_moved), (&vocabulary, &presence), seen)?;
    let rankings = Rankings {
        matched: &matched,
        changes: &changes,
        neighbours,
        classifiers: &classifiers,
        vocabulary: &vocabulary,
        p,
        options,
    };
    let judged_units = matched.of_stages(&last);
    let units: Vec<&MatchedUnit<'_>> = judged_units.iter().filter_map(|unit| matched.units.get(*unit)).collect();
    let hash = neighbours.filter(|n| n.moved).map_or(Signatures::best as Hash, Neighbours::common_hash);
    let judge_rankings = || {
        let measure = rankings.measure(&judged_units)?;
        let changed = measure.effect.excess.is_some_and(|excess| excess.low > options.threshold);
        let (parts, outputs) = rayon::join(
            || {
                let scores = measure_scores(&judged_units, &matched, &classifiers, &vocabulary, options)?;
                Ok::<_, Error>((scores, judge_stages(&pipeline, &rankings, (&judged_units, &measure))?))
            },
            || measure_outputs((&units, neighbours.is_some()), &after, &vocabulary, (p, changed), options),
        );
        Ok::<_, Error>((measure, parts?, outputs?))
    };
    let (judged, traffic) = rayon::join(judge_rankings, || {
        measure_traffic((&before, &after), (&pipeline, hash), &learnt, &vocabulary, options)
    });
    let ((measure, (scores, stages), mut outputs), mut traffic) = (judged?, traffic?);
    let mut retrieval = rankings.report(&judged_units, &measure, (asked_in_both, coverage));
    retrieval.scores = scores.report.clone();
    let operations = traffic.operations;
    let mut multiplicity = correct(&retrieval, &traffic, &outputs, options)?;
    decide(&mut retrieval, &measure.effect, &mut traffic, &mut outputs, &multiplicity, options);
    outputs.because = outputs.because.filter(|_| outputs.verdict == Judgement::Drift);

    let explaining = Causes {
        matched: &matched,
        classifiers: &classifiers,
        p,
        first: &stages.first,
        last: &last,
        versions: declared,
    };
    let explained = explaining.of_judged((&retrieval, &multiplicity), &measure)?;
    let proofs = explained.as_ref().map(|explained| explained.proofs(&matched)).unwrap_or_default();
    let mut causes = explaining.of_all((&retrieval, &measure), explained, (&scores, &judged_units))?;
    if traffic.verdict == Judgement::Drift {
        causes.push(causes::of_traffic(&traffic));
    }
    if renamed > 0 {
        causes.push(causes::of_ids(renamed, after.query_count(), declared.0 != declared.1));
    }
    let mut segments = judge_segments(&judged_units, (&after, &pipeline), &rankings.of_segments(&proofs), options)?;
    notes.extend(segments.note());
    multiplicity.segments_tested = segments.tested;
    if let Some(neighbours) = &retrieval.neighbours {
        notes.extend(neighbours_note(neighbours));
    } else {
        notes.extend(floor_notes(&retrieval, &measure.effect, options));
        notes.extend(mixed_reference(&retrieval, &multiplicity, options));
    }
    notes.extend(pipeline_notes(&pipeline, &learnt, &vocabulary));
    if as_one {
        notes
            .push("only one window names tenants, so all questions are compared as those of one population".to_owned());
    }
    if outputs.matched_queries == 0 {
        notes.push("no query has outputs in both windows, so outputs were not judged".to_owned());
    }
    let dating = Dating {
        windows: neighbours.map_or([&before, &after], |neighbours| [&neighbours.before, &neighbours.after]),
        compared: (&matched, &changes, &judged_units),
        pipeline: (&pipeline, neighbours),
        classifiers: &classifiers,
        vocabulary: &vocabulary,
        p,
    };
    let drifted = retrieval.verdict == Judgement::Drift;
    let evidence = Evidence {
        before: &before,
        after: &after,
        vocabulary: &vocabulary,
        presence: &presence,
        manifests: &manifests,
        pipeline: &pipeline,
        units: &units,
        rescored: classifiers.values().any(|classifier| classifier.rescoring.seen),
    };
    let floors_known = retrieval.floor_basis == FloorBasis::Reference;
    let (since, (harm, shown)) = rayon::join(
        || dating.date(drifted, &mut causes, &mut segments.reports, options),
        || {
            rayon::join(
                || {
                    // What people judged holds for a question and not for similar ones.
                    let qrels = qrels.as_ref().filter(|_| neighbours.is_none());
                    let quality = quality(&judged_units, &matched, &changes, qrels, (&vocabulary, options))?;
                    Ok::<_, Error>((quality, symptoms(&judged_units, &matched, (&vocabulary, floors_known), options)?))
                },
                || {
                    let exposure = || measure_exposure(&before, &after, &pipeline, &vocabulary, p);
                    let integrity = || integrity::find(&evidence);
                    // Beside the groups of similar questions there is no room for both at once.
                    let one_by_one = neighbours.is_some();
                    let (exposure, integrity) =
                        if one_by_one { (exposure(), integrity()) } else { rayon::join(exposure, integrity) };
                    Ok::<_, Error>((exposure?, integrity?))
                },
            )
        },
    );
    let (since, ((quality, relevance), mut symptoms), (exposure, integrity)) = (since?, harm?, shown?);
    if neighbours.is_some() && retrieval.verdict != Judgement::Drift {
        // What answers to similar questions differ by follows what is asked, and no variogram takes it out of these.
        symptoms.retain(|symptom| !matches!(symptom.kind, SymptomKind::DocumentsDiffer | SymptomKind::OrderDiffers));
    }
    let queries = most_changed(&judged_units, &matched, &changes, &vocabulary, options.queries_listed);
    let judged = Judged {
        symptoms,
        since,
        quality,
        relevance,
        exposure,
        integrity,
        queries,
        segments: segments.reports,
        stages: stages.reports,
        retrieval,
        traffic,
        outputs,
        causes,
        multiplicity,
        operations,
        notes,
    };
    // Hundreds of thousands of answers take a while to free, and nobody needs to wait for it.
    rayon::spawn(move || drop((before, after)));
    Ok(judged)
}

/// All that a moment is found by.
struct Dating<'a> {
    windows: [&'a Observations; 2],
    compared: (&'a Matched<'a>, &'a [UnitChange], &'a [usize]),
    pipeline: (&'a Pipeline, Option<&'a Neighbours>),
    classifiers: &'a BTreeMap<u32, Classifier<'a>>,
    vocabulary: &'a Vocabulary,
    p: Persistence,
}

impl Dating<'_> {
    /// Says since when of all that drifted: of the whole, which it gives, of its causes and of segments. Of a whole that did
    /// not drift it gives since when a part of it did.
    fn date(
        &self,
        drifted: bool,
        causes: &mut [CauseReport],
        segments: &mut [SegmentReport],
        options: &Options,
    ) -> Result<Option<Since>, Error> {
        let drifting = segments.iter_mut().filter(|segment| segment.verdict == Judgement::Drift);
        let timeline = Timeline::new(self.windows, self.compared, self.pipeline, self.vocabulary, self.p)?;
        for segment in drifting.take(SEGMENTS_DATED) {
            segment.since = timeline.since_in(&segment.segment, options)?;
        }
        if !drifted {
            return timeline.since_lately(options);
        }
        let large = |cause: &&mut CauseReport| cause.affects == Affects::Ranking && cause.share > CAUSES_DATED;
        for cause in causes.iter_mut().filter(large) {
            cause.since = timeline.since_cause(cause.cause, self.classifiers, options)?;
        }
        timeline.since(options)
    }
}

/// Gives documents that came back under a new id their old number, in every answer and every citation that holds one; says
/// how many queries that touched.
fn rename(window: &mut Observations, vocabulary: &mut Vocabulary, presence: &Presence) -> usize {
    if presence.renamed.is_empty() {
        return 0;
    }
    let mut touched = FastSet::default();
    let old = |document: DocumentNumber| presence.renamed.get(&document).copied().unwrap_or(document);
    for (asked, unit) in &mut window.units {
        let mut any = false;
        for observed in &mut unit.sample {
            if let Some(outcome) = &mut observed.outcome {
                let mut citations: Vec<DocumentNumber> =
                    outcome.citations.iter().map(|document| old(*document)).collect();
                citations.sort_unstable();
                outcome.citations = citations.into();
            }
            let documents = observed.places.iter().map(|place| vocabulary.state_of(place.state()).document);
            let renamed: Vec<DocumentNumber> = documents.clone().map(old).collect();
            // Two names of one content in one answer stay two documents.
            let distinct: BTreeSet<&DocumentNumber> = renamed.iter().collect();
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
        if any {
            touched.insert(asked.query);
        }
        unit.share_equal_answers();
    }
    touched.len()
}

fn most_changed(
    units: &[usize],
    matched: &Matched<'_>,
    changes: &[UnitChange],
    vocabulary: &Vocabulary,
    limit: usize,
) -> Vec<QueryReport> {
    let excess = |change: &UnitChange| change.distance - change.within_reference.unwrap_or(0.0);
    let mut worst: Vec<(&MatchedUnit<'_>, &UnitChange)> = units
        .iter()
        .filter_map(|unit| Some((matched.units.get(*unit)?, changes.get(*unit)?)))
        .filter(|(_, change)| excess(change) > 1e-9)
        .collect();
    // Stable, so that equal changes stay in the order of their fingerprints.
    worst.sort_by(|(_, a), (_, b)| excess(b).total_cmp(&excess(a)).then(a.rbo.total_cmp(&b.rbo)));
    let report = |(unit, change): (&MatchedUnit<'_>, &UnitChange)| QueryReport {
        fingerprint: vocabulary.queries.text(unit.query).to_owned(),
        excess_change: excess(change),
        rbo: change.rbo,
        reference_trace: unit.traces[0].map(str::to_owned),
        current_trace: unit.traces[1].map(str::to_owned),
    };
    worst.into_iter().take(limit).map(report).collect()
}
