//! Did users ask different things?
//!
//! Operations are counted by classes of queries. Classes are clusters of the queries' 64-bit hashes (of the embedding, or
//! of the text at ingest), because most queries of real traffic are never asked twice; where there are no hashes, or the
//! windows embed queries in different spaces, they are the fingerprints that were asked often, and all others as one class.
//! There are only as many classes as the counts can tell apart.

use std::collections::{BTreeSet, HashMap};

use tidemark_stats::{
    KsMethod, Strata, homogeneity, k_majority, kitagawa, ks_two_sample, nearest, population_stability_index,
    resolvable_categories, wasserstein_1,
};

use crate::compare::Options;
use crate::error::Error;
use crate::marginals::{MEASURES, Measured};
use crate::observe::{Observations, hash};
use crate::report::{ClusterShare, MarginalReport, TrafficBasis, TrafficReport};
use crate::scores::{mean, standard_deviation};
use crate::vocabulary::Vocabulary;

/// More clusters than a reader would look at add noise to the distance and little else.
const CLUSTERS: usize = 16;
/// Centres are learnt from so many queries at most: those whose fingerprints have the smallest hashes.
const LEARNT_FROM: usize = 4_096;
/// A class counted less often in both windows together is counted with the rare ones: expected counts below 5 per window
/// would break the test.
const RARE: u64 = 10;
/// Two hashes of one query that differ in more bits are of different embeddings: 6 of 64 are an angle of 17 degrees.
const SAME_EMBEDDING: u32 = 6;
/// If more than this share of the matched queries are embedded differently, embeddings cannot be compared.
const OTHER_EMBEDDINGS: f64 = 0.05;
/// How many classes a report names.
const SHIFTED: usize = 5;

/// One query with how often each window asked it.
struct Asked<'a> {
    number: u32,
    fingerprint: &'a str,
    counts: [u64; 2],
    signature: Option<u64>,
}

/// Measures how far the queries of two windows are apart; the verdict is left to the report's correction.
pub(crate) fn measure_traffic(
    before: &Observations,
    after: &Observations,
    vocabulary: &Vocabulary,
    options: &Options,
) -> Result<TrafficReport, Error> {
    let queries = asked(before, after, vocabulary);
    let total = |window: usize| queries.iter().filter_map(|query| query.counts.get(window)).sum::<u64>();
    let totals = [total(0), total(1)];
    let mut report = TrafficReport {
        operations: [before.operations, after.operations],
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
    let (basis, classes) = classify(&queries, totals, same_space(before, after, vocabulary), options)?;
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
    report.p_value = Some(found.p_value);
    report.shifted = shifted(&queries, &classes, &counts, totals);
    report.marginals = marginals(before, after, &queries, &classes, vocabulary)?;
    Ok(report)
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}

/// All queries of both windows, in the order of their fingerprints.
fn asked<'a>(before: &Observations, after: &Observations, vocabulary: &'a Vocabulary) -> Vec<Asked<'a>> {
    let mut queries: HashMap<u32, Asked<'a>> = HashMap::new();
    for (window, observations) in [before, after].into_iter().enumerate() {
        for (number, sample) in &observations.queries {
            let query = queries.entry(*number).or_insert_with(|| Asked {
                number: *number,
                fingerprint: vocabulary.fingerprints.text(*number),
                counts: [0; 2],
                signature: None,
            });
            query.counts[window] += u64::from(sample.operations);
            // The reference's, where both have one.
            query.signature = query.signature.or(sample.signature);
        }
    }
    let mut queries: Vec<Asked<'a>> = queries.into_values().collect();
    queries.sort_unstable_by_key(|query| query.fingerprint);
    queries
}

/// Whether both windows hash the same query alike, as far as they have queries in common; without any, whether they declare
/// the same embedders.
fn same_space(before: &Observations, after: &Observations, vocabulary: &Vocabulary) -> bool {
    let (mut both, mut differing) = (0_u64, 0_u64);
    for (number, query) in &before.queries {
        let other = after.queries.get(number).and_then(|other| other.signature);
        if let (Some(a), Some(b)) = (query.signature, other) {
            both += 1;
            differing += u64::from((a ^ b).count_ones() > SAME_EMBEDDING);
        }
    }
    let embedders = |window: &Observations| -> BTreeSet<Option<String>> {
        let sampled = window.queries.values().flat_map(|query| &query.sample);
        sampled.map(|observed| vocabulary.context_of(observed.context).embedder.clone()).collect()
    };
    if both == 0 { embedders(before) == embedders(after) } else { ratio(differing, both) <= OTHER_EMBEDDINGS }
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
    let mut learnt: Vec<(u64, u64)> =
        queries.iter().filter_map(|query| Some((hash(query.fingerprint), query.signature?))).collect();
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
    before: &Observations,
    after: &Observations,
    queries: &[Asked<'_>],
    classes: &[usize],
    vocabulary: &Vocabulary,
) -> Result<Vec<MarginalReport>, Error> {
    let class_of: HashMap<u32, usize> =
        queries.iter().zip(classes).map(|(query, class)| (query.number, *class)).collect();
    let strata = classes.iter().max().map_or(0, |most| most + 1);
    // Scores of different kinds have no common mean.
    let mut kinds = vocabulary.contexts().iter().map(|context| context.score_kind);
    let first = kinds.next();
    let one_kind = kinds.all(|kind| Some(kind) == first);
    let mut reports = Vec::new();
    for (measure, name) in MEASURES.into_iter().enumerate() {
        if !one_kind && name != "results" {
            continue;
        }
        let values = |window: &Observations| -> Vec<(usize, f64)> {
            let value = |measured: &Measured| Some((*class_of.get(&measured.query)?, measured.value(measure)?));
            window.scored.iter().filter_map(value).collect()
        };
        reports.extend(marginal(name, &values(before), &values(after), strata)?);
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
