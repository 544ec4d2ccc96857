//! Each way in which outputs can change, against what repeats do by themselves.

use std::collections::BTreeSet;

use rayon::prelude::*;
use tidemark_stats::bootstrap_mean;

use crate::compare::Options;
use crate::error::Error;
use crate::observe::Observed;
use crate::outcome::{Outcome, cosine_distance};
use crate::report::{Judgement, OutputMeasure};
use crate::scores::{mean, standard_deviation};
use crate::units::MatchedUnit;
use crate::vocabulary::Vocabulary;

/// How many evaluations are looked at: those that most outputs carry.
const EVALUATIONS: usize = 20;

/// How far two outputs are apart, where that can be told.
type Distance = fn(&Outcome, &Outcome) -> Option<f64>;

fn differ<T: PartialEq + ?Sized>(a: &T, b: &T) -> f64 {
    f64::from(u8::from(a != b))
}

/// The measures that both windows have for enough queries.
pub(super) fn measures(
    queries: &[&MatchedUnit<'_>],
    vocabulary: &Vocabulary,
    options: &Options,
) -> Result<Vec<OutputMeasure>, Error> {
    let distances: [(&str, Distance, f64); 3] = [
        ("hash", |a, b| Some(differ(&a.hash?, &b.hash?)), options.output_threshold),
        (
            "embedding",
            |a, b| cosine_distance(a.embedding.as_ref()?, b.embedding.as_ref()?),
            options.embedding_threshold,
        ),
        (
            "citations",
            |a, b| {
                let any = !a.citations.is_empty() || !b.citations.is_empty();
                any.then(|| differ(&a.citations, &b.citations))
            },
            options.output_threshold,
        ),
    ];
    let evaluations = evaluations(queries, vocabulary);
    // The smallest p-value there can be must survive the correction over all measures and all four verdicts.
    let measured = distances.len() + 1 + evaluations.len();
    let resamples = options.resamples.max(u32::try_from(200 * measured).unwrap_or(u32::MAX));
    let options = &Options { resamples, ..*options };
    let mut found = Vec::new();
    for (name, distance, threshold) in distances {
        found.extend(excess(name, queries, distance, threshold, options)?);
    }
    let refused = |outcome: &Outcome| outcome.refusal.map(|refusal| f64::from(u8::from(refusal)));
    found.extend(shift("refusal".to_owned(), queries, refused, options.output_threshold, false, options)?);
    for name in evaluations {
        let score = |outcome: &Outcome| {
            let at = outcome.scores.binary_search_by_key(&name, |(other, _)| *other).ok()?;
            outcome.scores.get(at).map(|(_, score)| f64::from(*score))
        };
        let label = format!("score:{}", vocabulary.outputs.text(name));
        found.extend(shift(label, queries, score, options.evaluation_threshold, true, options)?);
    }
    found.sort_by(|a, b| a.measure.cmp(&b.measure));
    Ok(found)
}

pub(crate) fn outcomes<'a>(sample: &'a [&'a Observed]) -> impl Iterator<Item = &'a Outcome> + Clone {
    sample.iter().filter_map(|observed| observed.outcome.as_deref())
}

fn evaluations(queries: &[&MatchedUnit<'_>], vocabulary: &Vocabulary) -> Vec<u32> {
    let mut counted: std::collections::BTreeMap<u32, usize> = std::collections::BTreeMap::new();
    for query in queries {
        let names: BTreeSet<u32> =
            outcomes(&query.current).flat_map(|outcome| outcome.scores.iter().map(|(name, _)| *name)).collect();
        for name in names {
            *counted.entry(name).or_default() += 1;
        }
    }
    let mut most: Vec<(u32, usize)> = counted.into_iter().collect();
    most.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), vocabulary.outputs.text(*name)));
    most.into_iter().take(EVALUATIONS).map(|(name, _)| name).collect()
}

/// How much farther outputs are from the reference's than those are from each other.
fn excess(
    name: &str,
    queries: &[&MatchedUnit<'_>],
    distance: Distance,
    threshold: f64,
    options: &Options,
) -> Result<Option<OutputMeasure>, Error> {
    let measured: Vec<(f64, Option<f64>)> = queries
        .par_iter()
        .filter_map(|query| {
            let pairs = outcomes(&query.reference).flat_map(|a| outcomes(&query.current).map(move |b| (a, b)));
            let between = mean(&pairs.filter_map(|(a, b)| distance(a, b)).collect::<Vec<_>>())?;
            let repeats = outcomes(&query.reference).enumerate();
            let pairs = repeats.clone().flat_map(|(i, a)| outcomes(&query.reference).skip(i + 1).map(move |b| (a, b)));
            Some((between, mean(&pairs.filter_map(|(a, b)| distance(a, b)).collect::<Vec<_>>())))
        })
        .collect();
    if measured.len() < options.queries_min {
        return Ok(None);
    }
    let floor = mean(&measured.iter().filter_map(|(_, within)| *within).collect::<Vec<_>>()).unwrap_or(0.0);
    let values: Vec<f64> = measured.iter().map(|(between, within)| between - within.unwrap_or(floor)).collect();
    let effect = bootstrap_mean(&values, None, threshold, options.resampling())?;
    Ok(Some(OutputMeasure {
        measure: name.to_owned(),
        verdict: Judgement::default(),
        queries: measured.len(),
        reference: floor,
        current: mean(&measured.iter().map(|(between, _)| *between).collect::<Vec<_>>()).unwrap_or(0.0),
        effect: effect.estimate,
        interval: [effect.low, effect.high],
        threshold,
        p_value: effect.p_value,
        adjusted_p_value: 1.0,
    }))
}

/// How much higher or lower a value is. Both directions count, so the p-value is doubled.
fn shift(
    name: String,
    queries: &[&MatchedUnit<'_>],
    value: impl Fn(&Outcome) -> Option<f64> + Sync,
    threshold: f64,
    standardised: bool,
    options: &Options,
) -> Result<Option<OutputMeasure>, Error> {
    let of = |sample: &[&Observed]| outcomes(sample).filter_map(&value).collect::<Vec<_>>();
    let measured: Vec<Shift> = queries
        .par_iter()
        .filter_map(|query| {
            let (before, after) = (of(&query.reference), of(&query.current));
            let (reference, current) = (mean(&before)?, mean(&after)?);
            let (m, n) = (before.len() as f64, after.len() as f64);
            Some(Shift { before, reference, current, weight: m * n / (m + n) })
        })
        .collect();
    if measured.len() < options.queries_min {
        return Ok(None);
    }
    let all: Vec<f64> = measured.iter().flat_map(|shift| shift.before.iter().copied()).collect();
    let spread = match standard_deviation(&all) {
        _ if !standardised => 1.0,
        spread if spread > 0.0 => spread,
        // Constant in the reference: whatever it varies by at all is the only unit there is.
        _ => {
            let both = measured.iter().flat_map(|shift| [shift.reference, shift.current]);
            standard_deviation(&both.collect::<Vec<_>>())
        }
    };
    let unit = if spread > 0.0 { spread } else { 1.0 };
    let weights: Vec<f64> = measured.iter().map(|shift| shift.weight).collect();
    let weighted = |value: fn(&Shift) -> f64| {
        let sum: f64 = measured.iter().map(|shift| shift.weight * value(shift)).sum();
        sum / weights.iter().sum::<f64>()
    };
    let (reference, current) = (weighted(|shift| shift.reference), weighted(|shift| shift.current));
    let sign = if current < reference { -1.0 } else { 1.0 };
    let towards: Vec<f64> = measured.iter().map(|shift| sign * (shift.current - shift.reference) / unit).collect();
    let effect = bootstrap_mean(&towards, Some(&weights), threshold, options.resampling())?;
    Ok(Some(OutputMeasure {
        measure: name,
        verdict: Judgement::default(),
        queries: measured.len(),
        reference,
        current,
        effect: sign * effect.estimate,
        interval: if sign < 0.0 { [-effect.high, -effect.low] } else { [effect.low, effect.high] },
        threshold,
        p_value: (2.0 * effect.p_value).min(1.0),
        adjusted_p_value: 1.0,
    }))
}

/// One query's values in both windows. A mean of many values is surer than one of few, so the query weighs what the
/// difference of its means is worth: the inverse of its variance, for values that vary alike.
struct Shift {
    before: Vec<f64>,
    reference: f64,
    current: f64,
    weight: f64,
}
