//! What a single pair of answers of each stage is judged by, learnt from all of its units.

use std::collections::BTreeMap;

use tidemark_schema::ScoreKind;

use crate::causes::{Classifier, Kept};
use crate::error::Error;
use crate::intern::FastMap;
use crate::pipeline::Pipeline;
use crate::presence::{Contents, Presence};
use crate::scores::{Rescoring, rescoring};
use crate::units::{Matched, MatchedUnit};
use crate::vocabulary::Vocabulary;

/// A classifier for each stage.
pub(super) fn classifiers<'a>(
    matched: &Matched<'_>,
    (pipeline, embedder_moved): (&Pipeline, bool),
    (vocabulary, presence): (&'a Vocabulary, &'a Presence),
    (reference, current): (&'a Contents, &'a Contents),
) -> Result<BTreeMap<u32, Classifier<'a>>, Error> {
    let mut by_stage: BTreeMap<u32, Vec<&MatchedUnit<'_>>> = BTreeMap::new();
    for unit in &matched.units {
        by_stage.entry(unit.stage).or_default().push(unit);
    }
    by_stage
        .into_iter()
        .map(|(stage, units)| {
            let rescoring: Rescoring = rescoring(&units, vocabulary)?;
            let usual_lengths = usual_lengths(&units);
            let searches = pipeline.above(stage).is_empty();
            let is_keyword_search = vocabulary.stage_of(stage).score_kind == ScoreKind::Bm25;
            let kept = if is_keyword_search { Kept::of(&units, vocabulary) } else { Kept::default() };
            let classifier = Classifier {
                vocabulary,
                presence,
                rescoring,
                usual_lengths,
                searches,
                kept,
                embedder_moved,
                reference,
                current,
            };
            Ok((stage, classifier))
        })
        .collect()
}

/// Nearly all answers of a window hold as many documents.
const USUAL: f64 = 0.95;

/// How many documents an answer holds in each window, where nearly all that are not empty hold as many.
fn usual_lengths(units: &[&MatchedUnit<'_>]) -> Option<[usize; 2]> {
    let mut counts: [FastMap<usize, u32>; 2] = Default::default();
    for unit in units {
        for (counts, sample) in counts.iter_mut().zip([&unit.reference, &unit.current]) {
            for observed in sample.iter().filter(|observed| !observed.places.is_empty()) {
                *counts.entry(observed.places.len()).or_default() += 1;
            }
        }
    }
    let usual = |counts: &FastMap<usize, u32>| {
        let all: u32 = counts.values().sum();
        let (length, most) = counts.iter().max_by_key(|(length, count)| (**count, **length))?;
        (f64::from(*most) >= USUAL * f64::from(all)).then_some(*length)
    };
    Some([usual(&counts[0])?, usual(&counts[1])?])
}
