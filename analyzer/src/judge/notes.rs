//! What a reader should know besides: assumptions, and what would make a report better.

use crate::compare::Options;
use crate::effect::Effect;
use crate::observe::Observations;
use crate::pipeline::Pipeline;
use crate::report::{FloorBasis, MultiplicityReport, NeighbourBasis, NeighboursReport, RetrievalReport};
use crate::vocabulary::Vocabulary;

pub(super) fn kept_note(window: &Observations) -> Option<String> {
    (window.kept() < 1.0).then(|| {
        format!(
            "there are more queries than a window keeps: verdicts rest on the {:.1} % whose fingerprints have the smallest \
             hashes",
            window.kept() * 100.0
        )
    })
}

/// A floor that rose by more than what matters in practice is a finding of its own.
const RISEN_FLOOR: f64 = 0.02;

/// What the verdict on rankings rests on, where that is not the ordinary case.
pub(super) fn floor_notes(retrieval: &RetrievalReport, effect: &Effect, options: &Options) -> Vec<String> {
    let mut notes = Vec::new();
    match effect.basis {
        FloorBasis::Current => notes.push(
            "too few queries repeat in the reference: the noise floor is that of the current window".to_owned(),
        ),
        FloorBasis::Unknown if retrieval.matched_queries > 0 => notes.push(format!(
            "too few queries repeat within a window, so the noise floor is unknown: only a change that noise cannot make is \
             called drift; ask {} of these queries twice to know it",
            options.queries_min
        )),
        FloorBasis::Reference | FloorBasis::Unknown => {}
    }
    if let [Some(before), Some(after)] = effect.floors
        && effect.basis == FloorBasis::Reference
        && after > before + RISEN_FLOOR
    {
        notes.push(format!(
            "the noise floor rose from {before:.3} to {after:.3}: the same query is answered differently inside the \
             current window (replicas that disagree, or a partial rollout)"
        ));
    }
    if effect.is_open(options.threshold)
        && let Some((units, apart)) = &effect.unknown
    {
        notes.push(format!(
            "{units} queries were asked only once in the reference, so their noise floor is unknown; their answers are {:.3} \
             apart, more than those that repeat: ask {} of them twice to tell noise from a change",
            apart.estimate,
            options.queries_min.min(*units)
        ));
    }
    notes
}

/// What the query embedder has to do with it.
pub(super) fn neighbours_note(neighbours: &NeighboursReport) -> Option<String> {
    let known_by = match neighbours.basis {
        NeighbourBasis::FirstDocument => "answers that begin alike are no longer as alike as they were",
        NeighbourBasis::Embedding | NeighbourBasis::Text => "their texts do",
    };
    neighbours.embedder_moved.then(|| {
        format!(
            "the query embedder changed: by their embeddings hardly any of the current queries has a similar one in the \
             reference, though {known_by}"
        )
    })
}

pub(super) fn mixed_reference(
    retrieval: &RetrievalReport,
    multiplicity: &MultiplicityReport,
    options: &Options,
) -> Option<String> {
    let test = multiplicity.tests.iter().find(|test| test.verdict == "retrieval")?;
    let moved = test.adjusted_p_value < options.alpha && retrieval.excess_change.is_some_and(|excess| excess < 0.0);
    (moved && retrieval.floor_basis == FloorBasis::Reference).then(|| {
        "answers changed, though none is farther from the reference than its own answers are from each other: the reference \
         itself was mixed, as during a rollout that has since ended; compare with a window before it"
            .to_owned()
    })
}

/// What is not compared, and what was learnt to be apart.
pub(super) fn pipeline_notes(pipeline: &Pipeline, learnt: &[String], vocabulary: &Vocabulary) -> Vec<String> {
    let name = |stage: u32| vocabulary.stage_of(stage).name().to_owned();
    let mut notes = Vec::new();
    for placed in pipeline.reported() {
        let replaced = pipeline.replacement_of(placed.stage);
        match (placed.recorded, replaced) {
            ([true, false], None) => notes.push(format!(
                "only the reference records the stage {}: it is not compared and judges nothing",
                name(placed.stage)
            )),
            ([false, true], None) => notes.push(format!(
                "only the current window records the stage {}: it is not compared and judges nothing",
                name(placed.stage)
            )),
            (_, Some(new)) => notes.push(format!(
                "the stage {} took the place of {} and is compared with it",
                name(new),
                name(placed.stage)
            )),
            _ => {}
        }
    }
    if !learnt.is_empty() {
        notes.push(format!(
            "answers differ by {} within the reference: a query is compared only within one value of it",
            learnt.join(" and ")
        ));
    }
    notes
}
