//! Each stage of the pipelines alone, and which one changed first.

use tidemark_stats::holm;

use super::inherited::inherited;
use super::rankings::{Measure, Rankings};
use crate::effect::Effect;
use crate::error::Error;
use crate::intern::FastSet;
use crate::pipeline::{Pipeline, Placed};
use crate::report::{Judgement, StageName, StageReport};
use crate::vocabulary::Vocabulary;

/// A stage changed because of an earlier one where that one accounts for this part of what it lost or gained.
const INHERITED: f64 = 0.5;

/// What was found of the stages.
pub(super) struct Stages {
    pub(super) reports: Vec<StageReport>,
    /// The stages that changed and follow none that did, by their numbers in the reference.
    pub(super) first: FastSet<u32>,
}

/// A stage that both windows may have recorded, and how its answers changed.
struct Tested<'a> {
    placed: &'a Placed,
    units: Vec<usize>,
    effect: Effect,
}

/// Judges every stage that both windows recorded; one that only one of them did is listed and judges nothing.
pub(super) fn judge_stages(
    pipeline: &Pipeline,
    rankings: &Rankings<'_>,
    (judged_units, whole): (&[usize], &Measure),
) -> Result<Stages, Error> {
    let mut judged = Vec::new();
    let mut p_values = Vec::new();
    for placed in pipeline.reported() {
        let units = rankings.matched.of_stages(&std::iter::once(placed.stage).collect());
        // The only stage that the model saw is measured already.
        let measure = if units == judged_units { whole.clone() } else { rankings.measure(&units)? };
        p_values.push(measure.test.map_or(1.0, |(_, p_value)| p_value));
        judged.push(Tested { placed, units, effect: measure.effect });
    }
    let adjusted = holm(&p_values)?;
    let options = rankings.options;
    let mut verdicts: Vec<Judgement> = judged
        .iter()
        .zip(&adjusted)
        .map(|(stage, adjusted)| {
            if stage.units.len() < options.matched_min {
                return Judgement::InsufficientEvidence;
            }
            stage.effect.verdict(*adjusted, stage.units.len() >= options.queries_min, options)
        })
        .collect();
    // What hardly changed by its own measure may have changed what follows: then the change matters after all.
    let drifting: Vec<&Tested<'_>> =
        judged.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Judgement::Drift).map(|(one, _)| one).collect();
    for ((stage, adjusted), verdict) in judged.iter().zip(&adjusted).zip(&mut verdicts) {
        let moved = stage.units.len() >= options.matched_min
            && stage.effect.excess.is_some_and(|excess| excess.estimate > 0.0)
            && *adjusted < options.alpha;
        let follows = |later: &Tested<'_>| {
            let above = pipeline.above(later.placed.stage);
            above.iter().any(|above| pipeline.reference_of(*above) == stage.placed.stage)
        };
        let handed_on = |later: &&Tested<'_>| {
            let excess = later.effect.excess.map_or(0.0, |excess| excess.estimate);
            follows(later)
                && inherited((&later.units, excess), &stage.units, rankings.matched, rankings.vocabulary) >= INHERITED
        };
        if moved && drifting.iter().any(handed_on) {
            *verdict = Judgement::Drift;
        }
    }
    let drifted: FastSet<u32> = judged
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| **verdict == Judgement::Drift)
        .map(|(one, _)| one.placed.stage)
        .collect();
    let is_first = |placed: &Placed| {
        drifted.contains(&placed.stage)
            && !pipeline.above(placed.stage).iter().any(|above| drifted.contains(&pipeline.reference_of(*above)))
    };
    let first = judged.iter().map(|one| one.placed).filter(|placed| is_first(placed));
    let first: FastSet<u32> = first.map(|placed| placed.stage).collect();
    let reports = judged
        .iter()
        .zip(&verdicts)
        .map(|(Tested { placed, units, effect }, verdict)| StageReport {
            stage: name(placed.stage, rankings.vocabulary),
            position: placed.position,
            last: placed.last,
            recorded_in_reference: placed.recorded[0],
            recorded_in_current: placed.recorded[1],
            operations: placed.asked,
            replaced_by: pipeline.replacement_of(placed.stage).map(|stage| name(stage, rankings.vocabulary)),
            verdict: *verdict,
            matched_queries: units.len(),
            excess_change: effect.excess.map(|excess| excess.estimate),
            interval: effect.excess.map(|excess| [excess.low, excess.high]),
            noise_floor: effect.floor(),
            first_to_change: first.contains(&placed.stage),
        })
        .collect();
    Ok(Stages { reports, first })
}

fn name(stage: u32, vocabulary: &Vocabulary) -> StageName {
    let stage = vocabulary.stage_of(stage);
    StageName {
        retriever: stage.retriever.as_deref().map(str::to_owned),
        kind: stage.kind.as_deref().map(str::to_owned),
        score_kind: stage.score_kind,
    }
}
