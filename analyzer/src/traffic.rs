//! Did users ask different things?
//!
//! Operations are counted by classes of queries. Classes are clusters of the queries' 64-bit hashes (of the embedding, or
//! of the text at ingest), because most queries of real traffic are never asked twice; where there are no hashes, or the
//! windows embed queries in different spaces, they are the fingerprints that were asked often, and all others as one class.
//! There are only as many classes as the counts can tell apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tidemark_stats::{
    KsMethod, Strata, holm, homogeneity, k_majority, kitagawa, ks_two_sample, nearest, population_stability_index,
    resolvable_categories, wasserstein_1,
};

use crate::compare::Options;
use crate::error::Error;
use crate::intern::{FastMap, QueryNumber, stable_hash};
use crate::observe::Observations;
use crate::operations::{MEASURES, Part};
use crate::pipeline::Pipeline;
use crate::read::TENANT_KEYS;
use crate::report::{ClusterShare, MarginalReport, MixReport, TrafficBasis, TrafficReport, ValueShare};
use crate::scores::{mean, standard_deviation};
use crate::signatures::{Hash, differing, hashes};
use crate::vocabulary::{Vocabulary, key_and_value};

/// More clusters than a reader would look at add noise to the distance and little else.
const CLUSTERS: usize = 16;
/// Centres are learnt from so many queries at most: those whose fingerprints have the smallest hashes.
const LEARNT_FROM: usize = 4_096;
/// A class counted less often in both windows together is counted with the rare ones: expected counts below 5 per window
/// would break the test.
const RARE: u64 = 10;
/// If more than this share of the matched queries are embedded differently, embeddings cannot be compared.
const OTHER_EMBEDDINGS: f64 = 0.05;
/// How many classes a report names.
const SHIFTED: usize = 5;

/// One query with how often each window asked it.
struct Asked<'a> {
    number: QueryNumber,
    fingerprint: &'a str,
    counts: [u64; 2],
    signature: Option<u64>,
}

/// Measures how far the queries of two windows are apart; the verdict is left to the report's correction.
pub(crate) fn measure_traffic(
    (before, after): (&Observations, &Observations),
    (pipeline, hash): (&Pipeline, Hash),
    learnt: &[String],
    vocabulary: &Vocabulary,
    options: &Options,
) -> Result<TrafficReport, Error> {
    let queries = asked([before, after], (pipeline, hash), vocabulary);
    let total = |window: usize| queries.iter().filter_map(|query| query.counts.get(window)).sum::<u64>();
    let totals = [total(0), total(1)];
    let mut report = TrafficReport {
        operations: totals.map(|total| scaled(total, before.kept())),
        operations_min: options.operations_min,
        operations_needed: Some(options.operations_min),
        threshold: options.traffic_threshold,
        ..TrafficReport::default()
    };
    if totals.contains(&0) {
        return Ok(report);
    }
    let share = |query: &Asked<'_>, window: usize| ratio(query.counts[window], totals[window]);
    report.fingerprint_overlap = Some(queries.iter().map(|query| share(query, 0).min(share(query, 1))).sum());
    if totals.iter().any(|operations| *operations < options.operations_min) {
        return Ok(report);
    }
    report.operations_needed = None;
    let (basis, classes) = classify(&queries, totals, same_space(before, after, hash, vocabulary), options)?;
    let class_count = classes.iter().max().map_or(0, |most| most + 1);
    let mut counts = [vec![0_u64; class_count], vec![0_u64; class_count]];
    for (query, class) in queries.iter().zip(&classes) {
        for (window, counts) in counts.iter_mut().enumerate() {
            counts[*class] += query.counts[window];
        }
    }
    let found = homogeneity(&counts[0], &counts[1], options.confidence)?;
    report.basis = basis;
    report.classes = found.categories;
    report.js_distance = Some(found.distance);
    report.noise_floor = Some(found.floor);
    report.excess_distance = Some(found.excess);
    report.interval = Some([found.low, found.high]);
    report.shifted = shifted(&queries, &classes, &counts, totals);
    report.mixes = mixes([before, after], pipeline, learnt, vocabulary, options)?;
    let tests: Vec<f64> = report.mixes.iter().map(|mix| mix.adjusted_p_value).chain([found.p_value]).collect();
    let adjusted = holm(&tests)?;
    // The smallest of the family, as it is after its correction: any of them makes traffic another one.
    report.p_value = adjusted.last().copied().into_iter().chain(adjusted.iter().copied()).min_by(f64::total_cmp);
    for (mix, adjusted) in report.mixes.iter_mut().zip(adjusted) {
        mix.adjusted_p_value = adjusted;
    }
    report.marginals = marginals([before, after], pipeline, &queries, &classes, vocabulary)?;
    Ok(report)
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}

/// An estimate of the whole from a part of the queries.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn scaled(count: u64, kept: f64) -> u64 {
    if kept < 1.0 { (count as f64 / kept).round() as u64 } else { count }
}

/// How many operations asked each query. The stages of one pipeline work for the same operations, so the one that was asked
/// most often counts.
fn operations(window: &Observations, pipeline: &Pipeline) -> FastMap<QueryNumber, u64> {
    let mut by_pipeline: FastMap<(QueryNumber, u32, usize), FastMap<u32, u64>> = FastMap::default();
    for (unit, sample) in &window.units {
        let key = (unit.query, unit.limits, pipeline.pipeline_of(unit.stage));
        *by_pipeline.entry(key).or_default().entry(unit.stage).or_default() += u64::from(sample.operations);
    }
    let mut asked: FastMap<QueryNumber, u64> = FastMap::default();
    for ((query, _, _), stages) in by_pipeline {
        *asked.entry(query).or_default() += stages.values().max().copied().unwrap_or(0);
    }
    asked
}

/// All queries of both windows, in the order of their fingerprints.
fn asked<'a>(
    windows: [&Observations; 2],
    (pipeline, hash): (&Pipeline, Hash),
    vocabulary: &'a Vocabulary,
) -> Vec<Asked<'a>> {
    let mut queries: FastMap<QueryNumber, Asked<'a>> = FastMap::default();
    let entry = |number: QueryNumber| Asked {
        number,
        fingerprint: vocabulary.queries.text(number),
        counts: [0; 2],
        signature: None,
    };
    for (window, observations) in windows.into_iter().enumerate() {
        for (number, count) in operations(observations, pipeline) {
            queries.entry(number).or_insert_with(|| entry(number)).counts[window] += count;
        }
        for (number, signature) in hashes(observations, hash, |unit| unit.query) {
            if let Some(query) = queries.get_mut(&number) {
                // The reference's, where both have one.
                query.signature = query.signature.or(Some(signature));
            }
        }
    }
    let mut queries: Vec<Asked<'a>> = queries.into_values().collect();
    queries.sort_unstable_by_key(|query| query.fingerprint);
    queries
}

/// Counts the values beyond the most frequent ones as one.
fn pool_rare(values: &mut BTreeMap<&str, [u64; 2]>) {
    let mut most: Vec<(u64, &str)> = values.iter().map(|(value, counts)| (counts[0] + counts[1], *value)).collect();
    most.sort_unstable_by_key(|(count, value)| (std::cmp::Reverse(*count), *value));
    let mut rest = [0, 0];
    for (_, value) in most.into_iter().skip(VALUES_MAX) {
        let counts = values.remove(value).unwrap_or_default();
        rest = [rest[0] + counts[0], rest[1] + counts[1]];
    }
    *values.entry("all others").or_default() = rest;
}

/// A key with more values tells single users or sessions apart, and no mix.
const VALUES_MAX: usize = 64;
/// Where the windows have less than this in common by a key, its values are new names (a release), and no mix that moved.
const COMMON: f64 = 0.02;

/// An hour in microseconds.
const HOUR: i64 = 3_600_000_000;
/// With fewer pairs of operations in one hour it is not known what a key tells.
const PAIRS_MIN: f64 = 100.0;
/// Of the pairs of operations that differ by a key at most this part lies in one hour, if it tells the time.
const WITHIN_HOURS: f64 = 0.1;

/// Whether a key says when an operation was and nothing of who asked what, as a weekday or a release does: within an hour
/// nearly all operations have one value. Windows of other days must differ by it. Learnt from the reference alone, where it has
/// several values: one that takes the place of another in the current window moved.
fn tells_the_time(counts: &BTreeMap<(i64, &str), u64>) -> bool {
    let pairs = |count: u64| count as f64 * (count as f64 - 1.0) / 2.0;
    let (mut hours, mut values): (BTreeMap<i64, u64>, BTreeMap<&str, u64>) = Default::default();
    let mut alike = 0.0;
    for ((hour, value), count) in counts {
        *hours.entry(*hour).or_default() += count;
        *values.entry(value).or_default() += count;
        alike += pairs(*count);
    }
    let within: f64 = hours.values().map(|count| pairs(*count)).sum();
    let all = pairs(hours.values().sum());
    let all_alike: f64 = values.values().map(|count| pairs(*count)).sum();
    within >= PAIRS_MIN && all > all_alike && (within - alike) / within <= WITHIN_HOURS * (all - all_alike) / all
}

/// How the mix of each declared key moved. The operations are those whose answers the model saw.
fn mixes(
    windows: [&Observations; 2],
    pipeline: &Pipeline,
    learnt: &[String],
    vocabulary: &Vocabulary,
    options: &Options,
) -> Result<Vec<MixReport>, Error> {
    let mut keys: BTreeMap<&str, BTreeMap<&str, [u64; 2]>> = BTreeMap::new();
    let mut in_hours: BTreeMap<&str, BTreeMap<(i64, &str), u64>> = BTreeMap::new();
    for (window, observations) in windows.into_iter().enumerate() {
        // A uniform sample of operations: each counts once.
        for parts in observations.operations.iter() {
            let Some(part) = parts.iter().find(|part| pipeline.is_counted(part.unit.stage)) else { continue };
            for label in vocabulary.labels_of(part.segment) {
                let (key, value) = key_and_value(vocabulary.labels.text(*label));
                keys.entry(key).or_default().entry(value).or_default()[window] += 1;
                if window == 0 {
                    let hour = part.occurred_at.div_euclid(HOUR);
                    *in_hours.entry(key).or_default().entry((hour, value)).or_default() += 1;
                }
            }
        }
    }
    // The retriever is a stage of the pipeline; who asks by name is told by the queries.
    keys.retain(|key, values| {
        let named = ["retriever", "principal"].contains(key);
        let of_time = || in_hours.get(key).is_some_and(tells_the_time);
        let is_mix = (values.len() <= VALUES_MAX && !named && !of_time())
            || TENANT_KEYS.contains(key)
            || learnt.iter().any(|l| l == key);
        values.len() > 1 && is_mix
    });
    for values in keys.values_mut().filter(|values| values.len() > VALUES_MAX) {
        pool_rare(values);
    }
    let mut reports = Vec::new();
    for (key, values) in keys {
        let counts = |window: usize| values.values().map(|counts| counts[window]).collect::<Vec<u64>>();
        let (before, after) = (counts(0), counts(1));
        let totals = [before.iter().sum::<u64>(), after.iter().sum::<u64>()];
        if totals.iter().any(|total| *total < options.operations_min) {
            continue;
        }
        let common: f64 = before.iter().zip(&after).map(|(a, b)| ratio(*a, totals[0]).min(ratio(*b, totals[1]))).sum();
        if common < COMMON {
            continue;
        }
        let found = homogeneity(&before, &after, options.confidence)?;
        let mut shifted: Vec<ValueShare> = values
            .keys()
            .zip(before.iter().zip(&after))
            .map(|(value, (a, b))| ValueShare {
                value: (*value).to_owned(),
                reference_share: ratio(*a, totals[0]),
                current_share: ratio(*b, totals[1]),
            })
            .collect();
        let moved = |share: &ValueShare| (share.current_share - share.reference_share).abs();
        shifted.sort_by(|a, b| moved(b).total_cmp(&moved(a)).then_with(|| a.value.cmp(&b.value)));
        shifted.truncate(SHIFTED);
        reports.push(MixReport {
            key: key.to_owned(),
            excess_distance: found.excess,
            interval: [found.low, found.high],
            adjusted_p_value: found.p_value,
            shifted,
        });
    }
    reports.sort_by(|a, b| b.excess_distance.total_cmp(&a.excess_distance).then_with(|| a.key.cmp(&b.key)));
    Ok(reports)
}

/// Whether both windows hash the same query alike, as far as they have queries in common; without any, whether they declare
/// the same embedders.
fn same_space(before: &Observations, after: &Observations, hash: Hash, vocabulary: &Vocabulary) -> bool {
    let (both, differing) = differing([before, after], hash, |unit| unit.query);
    let embedders = |window: &Observations| -> BTreeSet<Option<String>> {
        let contexts: BTreeSet<u32> = window.sampled().map(|observed| observed.context).collect();
        contexts.into_iter().map(|context| vocabulary.context_of(context).embedder.clone()).collect()
    };
    if both == 0 {
        embedders(before) == embedders(after)
    } else {
        ratio(differing as u64, both as u64) <= OTHER_EMBEDDINGS
    }
}

/// The class of each query, in the order of the queries.
fn classify(
    queries: &[Asked<'_>],
    totals: [u64; 2],
    same_space: bool,
    options: &Options,
) -> Result<(TrafficBasis, Vec<usize>), Error> {
    let resolvable = resolvable_categories(totals[0], totals[1], options.traffic_threshold.powi(2));
    let known = queries.iter().all(|query| query.signature.is_some() || query.counts == [0; 2]);
    let (basis, wanted) = if known && same_space {
        (TrafficBasis::QueryClusters, clusters(queries, resolvable.min(CLUSTERS), options.seed)?)
    } else {
        (TrafficBasis::Fingerprints, (0..queries.len()).collect())
    };
    let mut counted: HashMap<usize, u64> = HashMap::new();
    for (query, class) in queries.iter().zip(&wanted) {
        *counted.entry(*class).or_default() += query.counts.iter().sum::<u64>();
    }
    let mut frequent: Vec<(usize, u64)> = counted.into_iter().filter(|(_, count)| *count >= RARE).collect();
    frequent.sort_unstable_by_key(|(class, count)| (std::cmp::Reverse(*count), *class));
    frequent.truncate(resolvable.saturating_sub(1).max(1));
    // 0 is the class of the rare ones.
    let renumbered: HashMap<usize, usize> =
        frequent.iter().enumerate().map(|(place, (class, _))| (*class, place + 1)).collect();
    Ok((basis, wanted.iter().map(|class| renumbered.get(class).copied().unwrap_or(0)).collect()))
}

fn clusters(queries: &[Asked<'_>], k: usize, seed: u64) -> Result<Vec<usize>, Error> {
    let mut learnt: Vec<(u64, u64)> = queries
        .iter()
        .filter_map(|query| Some((stable_hash(query.fingerprint.as_bytes()), query.signature?)))
        .collect();
    learnt.sort_unstable();
    learnt.truncate(LEARNT_FROM);
    let points: Vec<u64> = learnt.into_iter().map(|(_, signature)| signature).collect();
    let centres = k_majority(&points, k, seed)?;
    Ok(queries.iter().map(|query| nearest(&centres, query.signature.unwrap_or_default())).collect())
}

fn shifted(queries: &[Asked<'_>], classes: &[usize], counts: &[Vec<u64>; 2], totals: [u64; 2]) -> Vec<ClusterShare> {
    let share = |window: usize, class: usize| ratio(counts[window].get(class).copied().unwrap_or(0), totals[window]);
    let mut most: Vec<usize> = (0..counts[0].len()).collect();
    let change = |class: usize| (share(1, class) - share(0, class)).abs();
    most.sort_by(|a, b| change(*b).total_cmp(&change(*a)).then(a.cmp(b)));
    most.truncate(SHIFTED);
    most.retain(|class| change(*class) > 0.0);
    let example = |class: usize| {
        let members = queries.iter().zip(classes).filter(|(_, other)| **other == class).map(|(query, _)| query);
        // Of equals the first by its fingerprint.
        members.max_by_key(|query| (query.counts.iter().sum::<u64>(), std::cmp::Reverse(query.fingerprint)))
    };
    let report = |class: usize| ClusterShare {
        // The rare ones have nothing in common that an example would show.
        example: example(class).filter(|_| class > 0).map(|query| query.fingerprint.to_owned()),
        reference_share: share(0, class),
        current_share: share(1, class),
    };
    most.into_iter().map(report).collect()
}

/// The measures of all answers, and which part of their change comes from other queries being asked.
fn marginals(
    windows: [&Observations; 2],
    pipeline: &Pipeline,
    queries: &[Asked<'_>],
    classes: &[usize],
    vocabulary: &Vocabulary,
) -> Result<Vec<MarginalReport>, Error> {
    let class_of: FastMap<QueryNumber, usize> =
        queries.iter().zip(classes).map(|(query, class)| (query.number, *class)).collect();
    let strata = classes.iter().max().map_or(0, |most| most + 1);
    // Scores of different kinds have no common mean.
    let judged: BTreeSet<u32> = windows.iter().flat_map(|window| window.units.keys()).map(|unit| unit.stage).collect();
    let kinds: BTreeSet<_> = judged
        .into_iter()
        .filter(|stage| pipeline.is_judged(*stage))
        .map(|stage| vocabulary.stage_of(stage).score_kind)
        .collect();
    let one_kind = kinds.len() < 2;
    let mut reports = Vec::new();
    for (measure, name) in MEASURES.into_iter().enumerate() {
        if !one_kind && name != "results" {
            continue;
        }
        let values = |window: &Observations| -> Vec<(usize, f64)> {
            let value = |part: &Part| Some((*class_of.get(&part.unit.query)?, part.value(measure)?));
            let judged = window.operations.measured().filter(|part| pipeline.is_judged(part.unit.stage));
            let mut values: Vec<(usize, f64)> = judged.filter_map(value).collect();
            values.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            values
        };
        reports.extend(marginal(name, &values(windows[0]), &values(windows[1]), strata)?);
    }
    Ok(reports)
}

fn marginal(
    measure: &'static str,
    before: &[(usize, f64)],
    after: &[(usize, f64)],
    strata: usize,
) -> Result<Option<MarginalReport>, Error> {
    let only = |values: &[(usize, f64)]| values.iter().map(|(_, value)| *value).collect::<Vec<_>>();
    let (x, y) = (only(before), only(after));
    let (Some(reference), Some(current)) = (mean(&x), mean(&y)) else { return Ok(None) };
    let spread = standard_deviation(&x);
    if spread <= 0.0 && (current - reference).abs() <= f64::EPSILON * reference.abs() {
        return Ok(None);
    }
    let (shares_before, means_before) = stratified(before, strata);
    let (shares_after, means_after) = stratified(after, strata);
    // A stratum that only one window has takes the mean that it has: all of its change is mix.
    let filled = |mine: &[Option<f64>], theirs: &[Option<f64>]| -> Vec<f64> {
        mine.iter().zip(theirs).map(|(mine, theirs)| mine.or(*theirs).unwrap_or(0.0)).collect()
    };
    let (filled_before, filled_after) = (filled(&means_before, &means_after), filled(&means_after, &means_before));
    let parts = kitagawa(
        Strata { shares: &shares_before, means: &filled_before },
        Strata { shares: &shares_after, means: &filled_after },
    )?;
    let varies = spread > 0.0;
    Ok(Some(MarginalReport {
        measure,
        reference,
        current,
        change: parts.total,
        mix: parts.mix,
        within: parts.within,
        wasserstein_1: varies.then(|| wasserstein_1(&x, &y).map(|distance| distance / spread)).transpose()?,
        psi: varies.then(|| population_stability_index(&x, &y, 10)).transpose()?,
        ks_p_value: varies.then(|| ks_two_sample(&x, &y, KsMethod::Auto).map(|test| test.p_value)).transpose()?,
    }))
}

/// The share and the mean of each stratum.
fn stratified(values: &[(usize, f64)], strata: usize) -> (Vec<f64>, Vec<Option<f64>>) {
    let mut sums = vec![(0.0, 0.0); strata];
    for (stratum, value) in values {
        if let Some((sum, count)) = sums.get_mut(*stratum) {
            *sum += value;
            *count += 1.0;
        }
    }
    let total = values.len() as f64;
    sums.iter().map(|(sum, count)| (count / total, (*count > 0.0).then(|| sum / count))).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operations as `(hour, value, how many)`.
    #[track_caller]
    fn check(operations: &[(i64, &str, u64)], of_time: bool) {
        let counts = operations.iter().map(|(hour, value, count)| ((*hour, *value), *count)).collect();
        assert_eq!(tells_the_time(&counts), of_time);
    }

    #[test]
    fn a_weekday_tells_the_time_and_a_tenant_that_asks_at_all_hours_does_not() {
        check(&[(0, "mon", 30), (1, "mon", 40), (24, "tue", 20), (48, "wed", 30)], true);
        check(&[(0, "a", 30), (0, "b", 10), (1, "a", 28), (1, "b", 12)], false);
        // Nearly all operations are of one, in every hour alike.
        check(&[(0, "prod", 990), (0, "test", 10), (1, "prod", 990), (1, "test", 10)], false);
        // Without a second value nothing is told apart.
        check(&[(0, "us", 300), (1, "us", 300)], false);
        // One operation an hour says nothing.
        check(&[(0, "a", 1), (1, "b", 1), (2, "a", 1), (3, "b", 1)], false);
    }
}
