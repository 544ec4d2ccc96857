//! Each stage of the pipelines alone, and which one changed first.

use tidemark_stats::holm;

use super::rankings::{Measure, Rankings};
use crate::error::Error;
use crate::intern::FastSet;
use crate::pipeline::{Pipeline, Placed};
use crate::report::{Judgement, StageName, StageReport};
use crate::vocabulary::Vocabulary;

/// What was found of the stages.
pub(super) struct Stages {
    pub(super) reports: Vec<StageReport>,
    /// The stages that changed and follow none that did, by their numbers in the reference.
    pub(super) first: FastSet<u32>,
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
        judged.push((placed, units.len(), measure.effect));
    }
    let adjusted = holm(&p_values)?;
    let options = rankings.options;
    let verdicts: Vec<Judgement> = judged
        .iter()
        .zip(&adjusted)
        .map(|((_, units, effect), adjusted)| {
            if *units < options.matched_min {
                return Judgement::InsufficientEvidence;
            }
            effect.verdict(*adjusted, *units >= options.queries_min, options)
        })
        .collect();
    let drifted: FastSet<u32> = judged
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| **verdict == Judgement::Drift)
        .map(|((placed, _, _), _)| placed.stage)
        .collect();
    let is_first = |placed: &Placed| {
        drifted.contains(&placed.stage)
            && !pipeline.above(placed.stage).iter().any(|above| drifted.contains(&pipeline.reference_of(*above)))
    };
    let first = judged.iter().map(|(placed, _, _)| *placed).filter(|placed| is_first(placed));
    let first: FastSet<u32> = first.map(|placed| placed.stage).collect();
    let reports = judged
        .iter()
        .zip(&verdicts)
        .map(|((placed, units, effect), verdict)| StageReport {
            stage: name(placed.stage, rankings.vocabulary),
            position: placed.position,
            last: placed.last,
            recorded_in_reference: placed.recorded[0],
            recorded_in_current: placed.recorded[1],
            operations: placed.asked,
            replaced_by: pipeline.replacement_of(placed.stage).map(|stage| name(stage, rankings.vocabulary)),
            verdict: *verdict,
            matched_queries: *units,
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
