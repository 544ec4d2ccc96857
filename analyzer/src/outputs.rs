//! Did the answers change, and with the retrieval?
//!
//! Two different ways of looking at the matched queries that have outputs in both windows:
//!
//! - [`measures`]: is the output farther from the reference's than the reference's outputs are from each other? The same
//!   design as for rankings: excess over the floor of repeats, bootstrap over queries. The verdict rests on it.
//! - [`pairs`]: one pair of operations stands for each query, so that each is one independent trial. What differs within
//!   the pair (context, model, prompt) is held against whether the output changed. Rates and their differences say with
//!   what the change goes; they are consistent with a cause and do not prove it.

mod measures;
mod pairs;

use std::collections::BTreeMap;

use tidemark_stats::{
    Persistence, Proportion, TwoByTwo, distance_correlation_test, holm, mantel_haenszel_risk_difference,
    risk_difference_newcombe, spearman_permutation_test,
};

use crate::compare::Options;
use crate::error::Error;
use crate::integrity::Retrieved;
use crate::observe::Observations;
use crate::report::{Because, ChangedBy, DoseResponse, Factors, Grounding, OutputReport, StratifiedDifference};
use crate::units::MatchedUnit;
use crate::vocabulary::Vocabulary;
use measures::measures;
use pairs::{Pair, Trials, trials};

/// Where outputs to similar questions differ so often, more cannot be seen.
const BLIND: f64 = 0.9;

/// Permutations shuffle all queries each time, so no more than these enter the dose-response, evenly spread.
const DOSE_QUERIES: usize = 400;
const DOSE_PERMUTATIONS: u32 = 999;

/// Measures outputs of matched queries; verdicts are left to the report's correction, `because` holds in case of drift.
pub(crate) fn measure_outputs(
    (queries, are_similar): (&[&MatchedUnit<'_>], bool),
    after: &Observations,
    vocabulary: &Vocabulary,
    (p, rankings_changed): (Persistence, bool),
    options: &Options,
) -> Result<OutputReport, Error> {
    let trials = trials(queries, vocabulary, p)?;
    let pairs: Vec<&Pair> = trials.iter().filter_map(|trial| trial.between.as_ref()).collect();
    let mut report = OutputReport {
        matched_queries: pairs.len(),
        queries_needed: Some(options.queries_min),
        grounding: grounding(after, vocabulary),
        ..OutputReport::default()
    };
    if pairs.is_empty() {
        return Ok(report);
    }
    // Outputs to two similar questions differ whatever happens.
    if !are_similar {
        report.changed = Some(pairs.iter().filter(|pair| pair.changed).count() as f64 / pairs.len() as f64);
        report.what_changed = what_changed(&pairs);
        rates(&trials, options, &mut report)?;
        report.dose_response = dose_response(&pairs, options)?;
    }
    if pairs.len() < options.queries_min {
        return Ok(report);
    }
    report.queries_needed = None;
    report.measures = measures(queries, vocabulary, options)?;
    if are_similar {
        report.measures.retain(|measure| measure.reference < BLIND);
    }
    let adjusted = holm(&report.measures.iter().map(|measure| measure.p_value).collect::<Vec<_>>())?;
    for (measure, adjusted) in report.measures.iter_mut().zip(&adjusted) {
        measure.adjusted_p_value = *adjusted;
    }
    report.p_value = adjusted.into_iter().min_by(f64::total_cmp);
    report.because = Some(because(&pairs, report.base_rate.unwrap_or(0.0), rankings_changed));
    Ok(report)
}

/// Model, prompt and segment of a pair.
type Stratum = (Option<u32>, Option<u32>, u32);

const NOTHING_COUNTED: TwoByTwo =
    TwoByTwo { exposed_events: 0, exposed_others: 0, unexposed_events: 0, unexposed_others: 0 };

/// Base rate, exposed rate, and their difference, where model and prompt are the same.
fn rates(trials: &[Trials], options: &Options, report: &mut OutputReport) -> Result<(), Error> {
    let exposed: Vec<&Pair> = trials.iter().filter_map(|trial| trial.exposed()).collect();
    let unexposed: Vec<&Pair> = trials.iter().filter_map(|trial| trial.unexposed()).collect();
    let count = |pairs: &[&Pair]| Proportion {
        successes: pairs.iter().filter(|pair| pair.changed).count() as u64,
        trials: pairs.len() as u64,
    };
    let rate = |of: Proportion| (of.trials > 0).then(|| of.successes as f64 / of.trials as f64);
    let (with, without) = (count(&exposed), count(&unexposed));
    report.base_rate = rate(without);
    report.exposed_rate = rate(with);
    let (Some(base), Some(exposed_rate)) = (report.base_rate, report.exposed_rate) else { return Ok(()) };
    let difference = risk_difference_newcombe(with, without, options.confidence)?;
    report.risk_difference = Some(difference.estimate);
    report.interval = Some([difference.low, difference.high]);
    report.attributable_fraction = (exposed_rate > 0.0).then(|| ((exposed_rate - base) / exposed_rate).max(0.0));

    let mut strata: BTreeMap<Stratum, TwoByTwo> = BTreeMap::new();
    for (pair, is_exposed) in exposed.iter().map(|pair| (pair, true)).chain(unexposed.iter().map(|pair| (pair, false)))
    {
        let table = strata.entry((pair.model, pair.prompt, pair.segment)).or_insert(NOTHING_COUNTED);
        match (is_exposed, pair.changed) {
            (true, true) => table.exposed_events += 1,
            (true, false) => table.exposed_others += 1,
            (false, true) => table.unexposed_events += 1,
            (false, false) => table.unexposed_others += 1,
        }
    }
    let both = |t: &TwoByTwo| t.exposed_events + t.exposed_others > 0 && t.unexposed_events + t.unexposed_others > 0;
    let mut informative: Vec<TwoByTwo> = strata.into_values().filter(both).collect();
    // Strata are numbered in the order of rows; a sum over them must not be.
    informative.sort_by_key(|t| (t.exposed_events, t.exposed_others, t.unexposed_events, t.unexposed_others));
    report.stratified =
        mantel_haenszel_risk_difference(&informative, options.confidence).ok().map(|found| StratifiedDifference {
            risk_difference: found.estimate,
            interval: [found.low, found.high],
            strata: informative.len(),
        });
    Ok(())
}

/// Queries by what differs within their pair.
fn what_changed(pairs: &[&Pair]) -> Vec<ChangedBy> {
    [Factors::Retrieval, Factors::Model, Factors::Prompt, Factors::Several, Factors::None]
        .into_iter()
        .map(|factors| {
            let of = || pairs.iter().filter(move |pair| pair.factors() == factors);
            ChangedBy { factors, queries: of().count(), changed: of().filter(|pair| pair.changed).count() }
        })
        .filter(|by| by.queries > 0)
        .collect()
}

/// What the change goes with: the kind of difference that holds most of the changes beyond the base rate.
///
/// In a noisy system nearly every pair differs a little. A context counts as another one only if rankings changed beyond
/// noise at all, and if the pair's are farther apart than the reference's answers to that query are: a model that was
/// replaced everywhere must not look like two causes.
fn because(pairs: &[&Pair], base_rate: f64, rankings_changed: bool) -> Because {
    let kinds = [Because::Retrieval, Because::Model, Because::Prompt, Because::Several, Because::Unknown];
    let kind = |pair: &Pair| match (rankings_changed && pair.beyond_noise, pair.other_model, pair.other_prompt) {
        (true, false, false) => Because::Retrieval,
        (false, true, false) => Because::Model,
        (false, false, true) => Because::Prompt,
        (false, false, false) => Because::Unknown,
        _ => Because::Several,
    };
    let excess = |wanted: Because| -> f64 {
        let of = pairs.iter().filter(|pair| kind(pair) == wanted);
        of.map(|pair| f64::from(u8::from(pair.changed)) - base_rate).sum()
    };
    let strongest = kinds.into_iter().max_by(|a, b| excess(*a).total_cmp(&excess(*b)));
    strongest.unwrap_or(Because::Unknown)
}

/// More change of context, more change of output? Where model and prompt are the same.
fn dose_response(pairs: &[&Pair], options: &Options) -> Result<Option<DoseResponse>, Error> {
    let same: Vec<&&Pair> = pairs.iter().filter(|pair| !pair.other_model && !pair.other_prompt).collect();
    let step = same.len().div_ceil(DOSE_QUERIES).max(1);
    let (x, y): (Vec<f64>, Vec<f64>) =
        same.into_iter().step_by(step).map(|pair| (pair.distance, pair.output_distance)).unzip();
    let varies = |values: &[f64]| values.iter().any(|value| Some(value) != values.first());
    if x.len() < options.queries_min || !varies(&x) || !varies(&y) {
        return Ok(None);
    }
    let monotone = spearman_permutation_test(&x, &y, DOSE_PERMUTATIONS, options.seed)?;
    let any = distance_correlation_test(&x, &y, DOSE_PERMUTATIONS, options.seed)?;
    Ok(Some(DoseResponse {
        queries: x.len(),
        spearman: monotone.statistic,
        spearman_p_value: monotone.p_value,
        distance_correlation: any.statistic,
        distance_correlation_p_value: any.p_value,
    }))
}

fn grounding(window: &Observations, vocabulary: &Vocabulary) -> Grounding {
    let (mut citations, mut not_retrieved, mut cited, mut retrieved) = (0_u64, 0_u64, 0_u64, 0_u64);
    let known = Retrieved::of(window, vocabulary);
    for observed in window.sampled() {
        let Some(outcome) = observed.outcome.as_ref().filter(|outcome| !outcome.citations.is_empty()) else { continue };
        let missing = known.missing(observed, vocabulary).len() as u64;
        let named = outcome.citations.len() as u64;
        citations += named;
        not_retrieved += missing;
        cited += named - missing;
        retrieved += observed.places.len() as u64;
    }
    let cited_share = (retrieved > 0).then(|| cited as f64 / retrieved as f64);
    Grounding { citations, not_retrieved, cited_share }
}
