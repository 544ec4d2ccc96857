//! In which part of the traffic did retrieval change? Found, not configured: every key that events declare is looked at,
//! and pairs of keys where the change is larger than in either alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;
use tidemark_stats::{BootstrapMean, Persistence, Resampling, benjamini_hochberg};

use crate::answer::distance;
use crate::compare::Options;
use crate::effect::interval;
use crate::error::Error;
use crate::intern::FastMap;
use crate::judge::verdict;
use crate::matched::{UnitChange, mean_between, mean_within};
use crate::neighbours::Neighbours;
use crate::observe::{Observations, Observed};
use crate::pipeline::Pipeline;
use crate::report::{Judgement, SegmentReport};
use crate::units::{Matched, MatchedUnit};
use crate::vocabulary::{Vocabulary, key_and_value};

/// A part with fewer matched queries is counted and not judged. A tenth of the traffic has a tenth of the queries: with the
/// minimum of the whole, a change that lives there alone would be found only in ten times longer windows. Below that minimum
/// a part can drift (by Student's t, which knows how few they are) and is never called stable.
const JUDGED: usize = 10;
/// A label that nearly all operations have is no part of the traffic.
const NEARLY_ALL: f64 = 0.95;
/// How many labels, and how many pairs of them, are looked at: those with most matched queries.
const TESTED: usize = 200;

/// What was found in the parts of the traffic.
pub(crate) struct Segments {
    pub(crate) reports: Vec<SegmentReport>,
    pub(crate) tested: usize,
    /// Parts with too few matched queries to be listed.
    pub(crate) too_small: usize,
}

impl Segments {
    /// How many parts are too small to be judged.
    pub(crate) fn note(&self) -> Option<String> {
        let (parts, share) = if self.too_small == 1 { ("part", "shares") } else { ("parts", "share") };
        (self.too_small > 0).then(|| {
            format!(
                "{} {parts} of the traffic {share} too few queries between the windows to be judged",
                self.too_small
            )
        })
    }
}

/// A part of the traffic: one label, or two of different keys.
struct Part {
    labels: Vec<u32>,
    matched: Vec<usize>,
}

struct Judged<'p> {
    part: &'p Part,
    effect: Option<BootstrapMean>,
    /// How many units it rests on.
    units: usize,
    /// Whether it is only the part of the change that no noise can make.
    is_proof: bool,
}

/// What was measured of all traffic.
pub(crate) struct Measured<'a> {
    pub(crate) matched: &'a Matched<'a>,
    pub(crate) changes: &'a [UnitChange],
    /// Where similar questions are compared.
    pub(crate) neighbours: Option<&'a Neighbours>,
    /// The part of a unit's change that no noise can make, if it was asked for.
    pub(crate) proofs: &'a FastMap<usize, f64>,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) p: Persistence,
}

/// Measures the excess change in every part of the traffic.
pub(crate) fn judge_segments(
    units: &[usize],
    (after, pipeline): (&Observations, &Pipeline),
    measured: &Measured<'_>,
    options: &Options,
) -> Result<Segments, Error> {
    let vocabulary = measured.vocabulary;
    let shares = traffic_shares(after, pipeline, vocabulary);
    let share = |labels: &[u32]| shares.get(labels).copied().unwrap_or(0.0);
    let wanted = |label| share(&[label]) <= NEARLY_ALL && key_and_value(vocabulary.labels.text(label)).0 != "retriever";
    let mut singles = parts(units, measured, 1, wanted);
    let too_small = singles.iter().filter(|part| part.matched.len() < JUDGED).count();
    let names: HashSet<u32> = singles
        .iter()
        .filter(|part| part.matched.len() >= options.queries_min)
        .flat_map(|part| part.labels.iter().copied())
        .collect();
    let mut pairs = parts(units, measured, 2, |label| names.contains(&label));
    pairs.retain(|part| part.matched.len() >= options.queries_min);
    singles.retain(|part| part.matched.len() >= JUDGED);
    for parts in [&mut singles, &mut pairs] {
        parts.sort_by_key(|part| (std::cmp::Reverse(part.matched.len()), named(&part.labels, vocabulary)));
        parts.truncate(TESTED);
    }

    let all: Vec<&Part> = singles.iter().chain(&pairs).collect();
    let tested = all.len();
    // A single discovery among all must be within the resolution of the bootstrap's p-values.
    let resamples = options.resamples.max(u32::try_from(40 * tested).unwrap_or(u32::MAX));
    let judged: Vec<Judged<'_>> =
        all.into_par_iter().map(|part| effect(part, measured, resamples, options)).collect::<Result<_, Error>>()?;
    let p_values: Vec<f64> = judged.iter().filter_map(|one| Some(one.effect?.p_value)).collect();
    let mut q_values = benjamini_hochberg(&p_values)?.into_iter();

    let mut reports = Vec::new();
    for one in &judged {
        let q_value = one.effect.and_then(|_| q_values.next());
        let enough = one.units >= options.queries_min;
        let verdict = match (one.effect, q_value) {
            (Some(effect), Some(q)) => {
                match verdict(effect.estimate, effect.low, options.threshold, q, options.alpha) {
                    Judgement::Stable if !enough => Judgement::InsufficientEvidence,
                    verdict => verdict,
                }
            }
            _ => Judgement::InsufficientEvidence,
        };
        if one.part.labels.len() > 1 && !(verdict == Judgement::Drift && stands_out(one, &judged)) {
            continue;
        }
        reports.push(SegmentReport {
            segment: named(&one.part.labels, vocabulary),
            verdict,
            traffic_share: share(&one.part.labels),
            matched_queries: one.part.matched.len(),
            excess_change: one.effect.map(|effect| effect.estimate),
            interval: one.effect.map(|effect| [effect.low, effect.high]),
            p_value: one.effect.map(|effect| effect.p_value),
            q_value,
            since: None,
        });
    }
    let order = |verdict: Judgement| match verdict {
        Judgement::Drift => 0,
        Judgement::Stable => 1,
        Judgement::InsufficientEvidence => 2,
    };
    reports.sort_by(|a, b| {
        let effect = |report: &SegmentReport| report.excess_change.unwrap_or(f64::NEG_INFINITY);
        // Of those that drifted first what certainly changed most: a small part may seem to have changed more by chance.
        let certain = |report: &SegmentReport| match (report.verdict, report.interval) {
            (Judgement::Drift, Some([low, _])) => low,
            _ => 0.0,
        };
        order(a.verdict)
            .cmp(&order(b.verdict))
            .then(certain(b).total_cmp(&certain(a)))
            .then(effect(b).total_cmp(&effect(a)))
            .then_with(|| a.segment.cmp(&b.segment))
    });
    Ok(Segments { reports, tested, too_small })
}

/// Whether a pair's change is larger than that of either of its labels alone, beyond its own uncertainty. The part of a change
/// that no noise can make is smaller than the change, and no measure for it.
fn stands_out(pair: &Judged<'_>, all: &[Judged<'_>]) -> bool {
    let Some(effect) = pair.effect else { return false };
    let alone = |label: &u32| all.iter().find(|one| one.part.labels == [*label] && one.effect.is_some());
    let exceeds = |alone: &Judged<'_>| {
        alone.is_proof == pair.is_proof && alone.effect.is_some_and(|alone| effect.low > alone.estimate)
    };
    pair.part.labels.iter().filter_map(alone).all(exceeds)
}

/// The effect over the units of a part whose noise floor is known: that of its own repeats in the part, else of all its
/// repeats, since what the key does not split has one habit. Where that decides nothing, the part of it that no noise can
/// make, in the units that lie in this part of the traffic alone.
fn effect<'p>(part: &'p Part, measured: &Measured<'_>, resamples: u32, options: &Options) -> Result<Judged<'p>, Error> {
    let holds = |segment: u32| {
        let labels = measured.vocabulary.labels_of(segment);
        part.labels.iter().all(|label| labels.contains(label))
    };
    let is_within = |unit: &MatchedUnit<'_>| {
        [&unit.reference, &unit.current].into_iter().flatten().all(|observed| holds(observed.segment))
    };
    let times = measured.matched.extrapolation.unwrap_or(1.0);
    let changes: Vec<Option<(usize, f64)>> = part
        .matched
        .par_iter()
        .map(|at| {
            let (Some(unit), Some(change)) = (measured.matched.units.get(*at), measured.changes.get(*at)) else {
                return Ok(None);
            };
            // A unit that lies in this part alone is measured already.
            if is_within(unit) {
                return Ok(change.within_reference.map(|floor| (*at, (change.distance - floor) * times)));
            }
            let Some(answers) = unit.answers_in(measured.vocabulary, |observed| holds(observed.segment))? else {
                return Ok(None);
            };
            let apart = |a: &crate::answer::Answer, b: &crate::answer::Answer| distance(a, b, measured.p);
            let own = mean_within(&answers.reference, apart);
            let floor = match measured.neighbours {
                None => own.or(change.within_reference),
                Some(neighbours) => neighbours.floor(&unit.part(|observed| holds(observed.segment)), own),
            };
            Ok(floor.map(|floor| (*at, (mean_between(&answers.reference, &answers.current, apart) - floor) * times)))
        })
        .collect::<Result<_, Error>>()?;
    let (units, changes): (Vec<usize>, Vec<f64>) = changes.into_iter().flatten().unzip();
    let whole = |effect| Judged { part, effect, units: changes.len(), is_proof: false };
    if changes.len() < JUDGED {
        return Ok(whole(None));
    }
    let resampling = Resampling { resamples, ..options.resampling() };
    let effect = interval(&changes, measured.matched.weights(&units).as_deref(), options.threshold, resampling)?;
    let is_drift = |effect: &BootstrapMean| effect.low > options.threshold;
    if effect.as_ref().is_some_and(is_drift) {
        return Ok(whole(effect));
    }
    // What noise hides may be seen without it: a tenant's answers that all end sooner, beside replicas that disagree.
    let proof = |at: &usize| {
        let unit = measured.matched.units.get(*at)?;
        if is_within(unit) { measured.proofs.get(at).copied() } else { None }
    };
    let (units, proofs): (Vec<usize>, Vec<f64>) = units.iter().filter_map(|at| Some((*at, proof(at)?))).unzip();
    if proofs.len() < JUDGED {
        return Ok(whole(effect));
    }
    let proven = interval(&proofs, measured.matched.weights(&units).as_deref(), options.threshold, resampling)?;
    // The second look counts twice, so that both together err at most half as often again as the first one alone.
    Ok(match proven.filter(is_drift) {
        Some(proven) => {
            let twice = BootstrapMean { p_value: (2.0 * proven.p_value).min(1.0), ..proven };
            Judged { part, effect: Some(twice), units: units.len(), is_proof: true }
        }
        None => whole(effect),
    })
}

/// Every set of `size` wanted labels with different keys, and the matched queries that both windows asked with it.
fn parts(units: &[usize], measured: &Measured<'_>, size: usize, wanted: impl Fn(u32) -> bool) -> Vec<Part> {
    let vocabulary = measured.vocabulary;
    let mut found: HashMap<Vec<u32>, Vec<usize>> = HashMap::new();
    let labels = |segment: u32| -> Vec<u32> {
        vocabulary.labels_of(segment).iter().copied().filter(|label| wanted(*label)).collect()
    };
    for at in units {
        let Some(unit) = measured.matched.units.get(*at) else { continue };
        let sets = |sample: &[&Observed]| -> HashSet<Vec<u32>> {
            let segments: HashSet<u32> = sample.iter().map(|observed| observed.segment).collect();
            segments.iter().flat_map(|segment| label_sets(&labels(*segment), vocabulary, size)).collect()
        };
        for labels in sets(&unit.reference).intersection(&sets(&unit.current)) {
            found.entry(labels.clone()).or_default().push(*at);
        }
    }
    found.into_iter().map(|(labels, matched)| Part { labels, matched }).collect()
}

fn label_sets(labels: &[u32], vocabulary: &Vocabulary, size: usize) -> Vec<Vec<u32>> {
    if size == 1 {
        return labels.iter().map(|label| vec![*label]).collect();
    }
    let key = |label: u32| key_and_value(vocabulary.labels.text(label)).0;
    let pairs = labels.iter().enumerate().flat_map(|(i, a)| labels.iter().skip(i + 1).map(move |b| (*a, *b)));
    pairs.filter(|(a, b)| key(*a) != key(*b)).map(|(a, b)| vec![a, b]).collect()
}

/// The share of the window's operations that each set of one or two labels has.
fn traffic_shares(window: &Observations, pipeline: &Pipeline, vocabulary: &Vocabulary) -> HashMap<Vec<u32>, f64> {
    let mut counted: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (_, sample) in window.units.iter().filter(|(unit, _)| pipeline.is_judged(unit.stage)) {
        let per_operation = sample.weight() / sample.sample.len().max(1) as f64;
        for observed in &sample.sample {
            counted.entry(observed.segment).or_default().push(per_operation);
        }
    }
    // Neither the order of a hash table nor that of the rows may reach a sum of floating-point numbers.
    let per_segment = counted.into_iter().map(|(segment, mut counts)| {
        counts.sort_by(f64::total_cmp);
        (segment, counts.iter().sum::<f64>())
    });
    // In the order of their names: numbers follow the order of rows.
    let mut segments: Vec<(Vec<&str>, u32, f64)> = per_segment
        .map(|(segment, count)| {
            let mut labels: Vec<&str> =
                vocabulary.labels_of(segment).iter().map(|label| vocabulary.labels.text(*label)).collect();
            labels.sort_unstable();
            (labels, segment, count)
        })
        .collect();
    segments.sort_by(|a, b| a.0.cmp(&b.0));
    let total: f64 = segments.iter().map(|(_, _, count)| count).sum();
    let mut shares: HashMap<Vec<u32>, f64> = HashMap::new();
    for (_, segment, count) in segments {
        let labels = vocabulary.labels_of(segment);
        for set in [1, 2].into_iter().flat_map(|size| label_sets(labels, vocabulary, size)) {
            *shares.entry(set).or_default() += count / total.max(1.0);
        }
    }
    shares
}

fn named(labels: &[u32], vocabulary: &Vocabulary) -> BTreeMap<String, String> {
    let pair = |label: &u32| {
        let (key, value) = key_and_value(vocabulary.labels.text(*label));
        (key.to_owned(), value.to_owned())
    };
    labels.iter().map(pair).collect()
}
