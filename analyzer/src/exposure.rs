//! Which documents were shown, weighted by the place at which they were shown.

use std::collections::BTreeMap;

use tidemark_stats::{Persistence, gini, jensen_shannon_distance};

use crate::error::Error;
use crate::intern::{DocumentNumber, Number};
use crate::observe::Observations;
use crate::pipeline::Pipeline;
use crate::report::ExposureReport;
use crate::vocabulary::Vocabulary;

/// Measures how exposure moved between two windows. Each operation has weight 1, spread over its documents by `p^(rank-1)`.
pub(crate) fn measure_exposure(
    before: &Observations,
    after: &Observations,
    pipeline: &Pipeline,
    vocabulary: &Vocabulary,
    p: Persistence,
) -> Result<ExposureReport, Error> {
    let (reference, current) =
        rayon::join(|| exposure(before, pipeline, vocabulary, p), || exposure(after, pipeline, vocabulary, p));
    if reference.is_empty() || current.is_empty() {
        return Ok(ExposureReport::default());
    }
    // Both in the order of the documents' names, so that every sum has one order.
    let mut documents: Vec<DocumentNumber> = reference.keys().chain(current.keys()).copied().collect();
    documents.sort_unstable_by_key(|document| vocabulary.documents.text(*document));
    documents.dedup();
    let of = |exposure: &BTreeMap<DocumentNumber, f64>| -> Vec<f64> {
        documents.iter().map(|document| exposure.get(document).copied().unwrap_or(0.0)).collect()
    };
    let (x, y) = (of(&reference), of(&current));
    let shown = |masses: &[f64]| masses.iter().copied().filter(|mass| *mass > 0.0).collect::<Vec<_>>();
    let first_seen: f64 = x.iter().zip(&y).filter(|(before, _)| **before <= 0.0).map(|(_, after)| after).sum();
    Ok(ExposureReport {
        js_distance: Some(jensen_shannon_distance(&x, &y)?),
        gini_reference: Some(gini(&shown(&x))?),
        gini_current: Some(gini(&shown(&y))?),
        first_seen_share: Some(first_seen / y.iter().sum::<f64>()),
    })
}

fn exposure(
    window: &Observations,
    pipeline: &Pipeline,
    vocabulary: &Vocabulary,
    p: Persistence,
) -> BTreeMap<DocumentNumber, f64> {
    let mut masses = vec![0.0; vocabulary.documents.len()];
    let mut units: Vec<_> = window.units.iter().filter(|(unit, _)| pipeline.is_judged(unit.stage)).collect();
    // So that every sum has one order.
    let limits = vocabulary.limit_ranks();
    units.sort_unstable_by_key(|(unit, _)| unit.order((vocabulary, &limits)));
    for (_, sample) in units {
        let per_operation = sample.weight() / sample.sample.len().max(1) as f64;
        for observed in &sample.sample {
            let mut weight = per_operation;
            for place in observed.places.iter() {
                if let Some(mass) = masses.get_mut(vocabulary.state_of(place.state()).document.place() as usize) {
                    *mass += weight;
                }
                weight *= p.get();
            }
        }
    }
    (0_u32..).zip(masses).filter(|(_, mass)| *mass > 0.0).map(|(at, mass)| (DocumentNumber::at(at), mass)).collect()
}
