//! From effects, intervals and tests to verdicts.

use tidemark_stats::holm;

use super::rankings::needed;
use crate::compare::Options;
use crate::effect::Effect;
use crate::error::Error;
use crate::report::{
    FloorBasis, Judgement, MultiplicityReport, NeighbourBasis, OutputReport, RetrievalReport, TestReport, TrafficReport,
};

/// Corrects the tests of the verdicts for being several (Holm).
pub(super) fn correct(
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

/// The same where `stable` also says that a larger effect would not have been called so: one of three times what matters
/// exceeds what matters by more than the half-width of the interval.
fn verdict_with_power(
    (estimate, [low, high]): (f64, [f64; 2]),
    threshold: f64,
    adjusted_p: f64,
    alpha: f64,
) -> Judgement {
    match verdict(estimate, low, threshold, adjusted_p, alpha) {
        Judgement::Stable if high - estimate > 2.0 * threshold => Judgement::InsufficientEvidence,
        verdict => verdict,
    }
}

/// With so many operations in each window a Jensen–Shannon distance of what matters is found four times in five: the G-test's
/// noncentrality, `4 ln 2 n d^2`, is then 14 (Cohen 1988, chapter 7, for up to seven degrees of freedom at 5 %).
fn operations_to_see(threshold: f64) -> f64 {
    5.0 / threshold.powi(2)
}

/// The size of two equal windows that tell as much as two unequal ones: the harmonic mean.
fn as_equal([before, after]: [u64; 2]) -> f64 {
    let (before, after) = (before as f64, after as f64);
    2.0 * before * after / (before + after).max(1.0)
}

pub(super) fn decide(
    retrieval: &mut RetrievalReport,
    effect: &Effect,
    traffic: &mut TrafficReport,
    outputs: &mut OutputReport,
    multiplicity: &MultiplicityReport,
    options: &Options,
) {
    let adjusted = |name: &str| {
        multiplicity.tests.iter().find(|test| test.verdict == name).map_or(1.0, |test| test.adjusted_p_value)
    };
    let alpha = options.alpha;
    let (units, least) = match &retrieval.neighbours {
        None => (retrieval.matched_queries, options.matched_min),
        Some(neighbours) => (neighbours.groups, options.matched_min.min(retrieval.queries_min)),
    };
    if units >= least {
        retrieval.verdict = effect.verdict(adjusted("retrieval"), units >= options.queries_min, options);
        retrieval.queries_needed = None;
        // Answers that begin alike are as alike as before: but then it is other things that are asked.
        let by_answers = retrieval.neighbours.is_some_and(|n| n.basis == NeighbourBasis::FirstDocument);
        if by_answers && retrieval.verdict == Judgement::Stable {
            retrieval.verdict = Judgement::InsufficientEvidence;
        }
        if retrieval.verdict == Judgement::InsufficientEvidence {
            // Where the floor is unknown no number of queries decides, but repeats do.
            retrieval.queries_needed = effect
                .excess
                .filter(|excess| effect.basis != FloorBasis::Unknown && excess.estimate > options.threshold)
                .map(|excess| needed((excess.estimate, excess.low), options.threshold, effect.rests_on()));
        }
    }
    let scores = &mut retrieval.scores;
    if let (Some(estimate), Some([low, _])) = (scores.effect, scores.interval) {
        scores.verdict = verdict(estimate, low, options.score_threshold, adjusted("scores"), alpha);
        if scores.verdict == Judgement::Stable && scores.queries < options.queries_min {
            scores.verdict = Judgement::InsufficientEvidence;
        }
    }
    if let (Some(estimate), Some(interval)) = (traffic.excess_distance, traffic.interval) {
        let enough = operations_to_see(options.traffic_threshold);
        traffic.verdict = verdict(estimate, interval[0], options.traffic_threshold, adjusted("traffic"), alpha);
        if traffic.verdict == Judgement::Stable && as_equal(traffic.operations) < enough {
            traffic.verdict = Judgement::InsufficientEvidence;
        }
        let mixes = traffic.mixes.iter().map(|mix| {
            verdict(mix.excess_distance, mix.interval[0], options.traffic_threshold, mix.adjusted_p_value, alpha)
        });
        if mixes.into_iter().any(|verdict| verdict == Judgement::Drift) {
            traffic.verdict = Judgement::Drift;
        }
        traffic.operations_needed = None;
        if traffic.verdict == Judgement::InsufficientEvidence {
            let have = traffic.operations.into_iter().min().unwrap_or(0);
            let certain =
                needed((estimate, interval[0]), options.traffic_threshold, usize::try_from(have).unwrap_or(usize::MAX));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let enough = enough.ceil() as u64;
            let undecided = estimate > options.traffic_threshold;
            traffic.operations_needed = Some(if undecided { enough.max(certain as u64) } else { enough });
        }
    }
    if outputs.p_value.is_some() {
        let family = adjusted("outputs") / outputs.p_value.filter(|p| *p > 0.0).unwrap_or(1.0);
        for measure in &mut outputs.measures {
            let (estimate, low) = measure.lead();
            // What the family of four multiplies the smallest p-value with, every one of them is multiplied with.
            measure.verdict = verdict_with_power(
                (estimate, [low, measure.reach()]),
                measure.threshold,
                measure.adjusted_p_value * family,
                alpha,
            );
        }
        let any = |wanted: Judgement| outputs.measures.iter().any(|measure| measure.verdict == wanted);
        outputs.verdict = if any(Judgement::Drift) {
            Judgement::Drift
        } else if any(Judgement::InsufficientEvidence) || outputs.measures.is_empty() {
            Judgement::InsufficientEvidence
        } else {
            Judgement::Stable
        };
    }
}
