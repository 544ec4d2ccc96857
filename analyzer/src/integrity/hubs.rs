//! Hubs: documents that came in and are returned for extremely many different queries, as poisoned ones are.
//!
//! How many different queries return a document (its k-occurrence, Radovanović et al. 2010, JMLR 11) is skewed in every
//! corpus, so what is extreme is learnt from the reference's own documents: above their 90th percentile `u` the share of
//! queries is taken to fall off like a power law (peaks over threshold, Pickands 1975, with Hill's 1975 estimate of the
//! exponent), which is cautious. The p-values of all documents that came in are corrected by Benjamini–Hochberg.
//!
//! Only documents that came in are tested, or that came back with another content: one that was there before and is
//! returned more often now moved because of something else, a new embedding say, and that has a cause of its own.

use std::collections::HashSet;

use tidemark_stats::benjamini_hochberg;

use super::{EXAMPLES, Evidence};
use crate::error::Error;
use crate::intern::{DocumentNumber, FastMap, FastSet};
use crate::observe::{Observations, Unit, UnitSample};
use crate::presence::Membership;
use crate::report::{IntegrityKind, IntegrityReport};

/// The part of the reference's documents that its tail is learnt from.
const TAIL: f64 = 0.1;
/// With fewer documents in the reference its tail is not known.
const DOCUMENTS_MIN: usize = 100;
/// A document returned for fewer different queries is no hub, whatever the reference's are.
const QUERIES_MIN: u32 = 5;
/// The false discovery rate.
const LEVEL: f64 = 0.05;

pub(super) fn find(evidence: &Evidence<'_>) -> Result<Option<IntegrityReport>, Error> {
    let (queries_before, queries_after) = (evidence.before.query_count(), evidence.after.query_count());
    let (before, after) =
        rayon::join(|| occurrences(evidence.before, evidence), || occurrences(evidence.after, evidence));
    let Some(tail) = Tail::of(before.values(), queries_before) else { return Ok(None) };
    let known = known(evidence);
    let mut came_in: Vec<(DocumentNumber, u32)> =
        after.iter().filter(|(document, _)| !known.contains(*document)).map(|(d, count)| (*d, *count)).collect();
    came_in.sort_unstable_by_key(|(document, count)| {
        (std::cmp::Reverse(*count), evidence.vocabulary.documents.text(*document))
    });
    let queries = queries_after;
    let p_values: Vec<f64> = came_in.iter().map(|(_, count)| tail.beyond(*count, queries)).collect();
    let hubs: Vec<(DocumentNumber, u32)> = came_in
        .iter()
        .zip(benjamini_hochberg(&p_values)?)
        .filter(|((_, count), q)| *q <= LEVEL && *count >= QUERIES_MIN)
        .map(|(hub, _)| *hub)
        .collect();
    let Some((_, most)) = hubs.first() else { return Ok(None) };
    let widest = before.values().max().copied().unwrap_or(0);
    Ok(Some(IntegrityReport {
        kind: IntegrityKind::Hub,
        count: hubs.len() as u64,
        unit: "documents",
        reference_count: 0,
        examples: hubs
            .iter()
            .take(EXAMPLES)
            .map(|(document, _)| evidence.vocabulary.documents.text(*document).to_owned())
            .collect(),
        evidence: format!(
            "came in and are returned for up to {most} of {queries} different queries; the most of any document in the \
             reference was {widest} of {queries_before}"
        ),
        advice: "Read them: a text that answers everything was written to be retrieved. Remove it until it is explained.",
    }))
}

/// For how many different queries each document was returned.
fn occurrences(window: &Observations, evidence: &Evidence<'_>) -> FastMap<DocumentNumber, u32> {
    let mut units: Vec<(&Unit, &UnitSample)> =
        window.units.iter().filter(|(unit, _)| evidence.pipeline.is_judged(unit.stage)).collect();
    units.sort_unstable_by_key(|(unit, _)| unit.query);
    let mut counts = FastMap::default();
    let mut documents = Vec::new();
    for of_query in units.chunk_by(|(a, _), (b, _)| a.query == b.query) {
        let sampled = of_query.iter().flat_map(|(_, unit)| &unit.sample);
        let places = sampled.flat_map(|observed| observed.places.iter());
        documents.extend(places.map(|place| evidence.vocabulary.state_of(place.state()).document));
        documents.sort_unstable();
        documents.dedup();
        for document in documents.drain(..) {
            *counts.entry(document).or_default() += 1;
        }
    }
    counts
}

/// The documents of the current window that were there before with the same content.
fn known(evidence: &Evidence<'_>) -> FastSet<DocumentNumber> {
    let vocabulary = evidence.vocabulary;
    let earlier = |window: &Observations| -> FastSet<(DocumentNumber, Option<u32>)> {
        let states = window.states(vocabulary).into_iter().map(|state| vocabulary.state_of(state));
        states.map(|state| (state.document, state.content)).collect()
    };
    let versions: HashSet<&str> =
        evidence.before.sightings.declared().map(|((version, _), _)| vocabulary.versions.text(version)).collect();
    let listed = |document: DocumentNumber, content: Option<u32>| {
        if versions.is_empty() {
            return evidence.rescored;
        }
        versions.iter().any(|version| match evidence.presence.membership(Some(version), document) {
            Membership::Present(before) => content.is_none_or(|content| content == before),
            Membership::Absent => false,
            // Without a manifest a document that was not returned before may have been there; whether it came in can be
            // told only while documents that were there stand where they stood.
            Membership::Unknown => evidence.rescored,
        })
    };
    let before = earlier(evidence.before);
    let there = |(document, content): &(DocumentNumber, Option<u32>)| {
        before.contains(&(*document, *content)) || listed(*document, *content)
    };
    earlier(evidence.after).into_iter().filter(there).map(|(document, _)| document).collect()
}

/// The upper tail of the reference's k-occurrences, as shares of its queries.
struct Tail {
    threshold: f64,
    /// Mean logarithm of a share over the threshold: the inverse of the power law's exponent.
    mean_excess: f64,
}

impl Tail {
    fn of<'c>(counts: impl Iterator<Item = &'c u32>, queries: usize) -> Option<Self> {
        let mut counts: Vec<u32> = counts.copied().collect();
        if counts.len() < DOCUMENTS_MIN {
            return None;
        }
        counts.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
        let at = (counts.len() as f64 * (1.0 - TAIL)) as usize;
        let threshold = f64::from(*counts.get(at)?);
        let above: Vec<f64> = counts.iter().map(|count| f64::from(*count)).filter(|count| *count > threshold).collect();
        let mean_excess = above.iter().map(|count| (count / threshold).ln()).sum::<f64>() / above.len().max(1) as f64;
        (mean_excess > 0.0).then_some(Self { threshold: threshold / queries as f64, mean_excess })
    }

    /// How likely a document of the reference is to be returned for such a share of queries or a larger one.
    fn beyond(&self, count: u32, queries: usize) -> f64 {
        let share = f64::from(count) / queries.max(1) as f64;
        if share <= self.threshold { 1.0 } else { TAIL * (-(share / self.threshold).ln() / self.mean_excess).exp() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares that fall off like a power law with exponent 2: of every 100 documents 10 lie above `u`, 0.1 above `10 u`.
    #[test]
    fn the_tail_of_a_power_law_is_found() {
        // The i-th of 1,000 has a share i/1,000 above it: 10^6 / count^2 of them.
        let counts: Vec<u32> = (1..=1_000_u32).map(|i| (1_000_000_000 / i).isqrt()).collect();
        let tail = Tail::of(counts.iter(), 100_000).unwrap();
        let beyond = tail.beyond(10 * 3_162, 100_000);
        assert!((0.000_7..0.001_4).contains(&beyond), "{beyond}");
        assert!(tail.beyond(1, 100_000) > 0.99);
    }

    #[test]
    fn the_tail_of_few_documents_is_not_known() {
        assert!(Tail::of([1; 99].iter(), 10).is_none());
    }
}
