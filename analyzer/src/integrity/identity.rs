//! Names and contents of documents that do not hold together: one content under several ids, ids that are all new, contents
//! that changed where nothing could declare it.

use std::collections::{BTreeMap, HashMap, HashSet};

use tidemark_stats::{Proportion, risk_difference_newcombe};

use super::{EXAMPLES, Evidence, breach};
use crate::error::Error;
use crate::intern::{DocumentNumber, Number};
use crate::observe::Observations;
use crate::report::{IntegrityKind, IntegrityReport};

/// With fewer documents, or fewer questions that both windows asked, nothing is said of their names as a whole.
const COUNTED_MIN: usize = 10;
/// Fewer of the current documents than this were known before: their names were replaced.
const COMMON: f64 = 0.01;
/// So much larger a share of answers holds one content twice: fewer are the copies that any corpus holds.
const MORE_OFTEN: f64 = 0.005;
/// How sure that has to be.
const CONFIDENCE: f64 = 0.99;

pub(super) fn find(evidence: &Evidence<'_>) -> Result<Vec<IntegrityReport>, Error> {
    let names = [duplicates(evidence)?, replaced(evidence)];
    Ok(names.into_iter().flatten().chain(contents(evidence)).collect())
}

/// Answers that hold one content twice, where clearly more do than in the reference: a corpus may hold copies.
fn duplicates(evidence: &Evidence<'_>) -> Result<Option<IntegrityReport>, Error> {
    let (before, after) = (&evidence.before.sightings.repeated_content, &evidence.after.sightings.repeated_content);
    let share = |count: u64, window: &Observations| Proportion { successes: count, trials: window.events };
    let (with, without) = (share(after.count, evidence.after), share(before.count, evidence.before));
    if with.trials == 0 || without.trials == 0 {
        return Ok(None);
    }
    let more = risk_difference_newcombe(with, without, CONFIDENCE)?;
    let found = breach(
        IntegrityKind::DuplicateContent,
        (before, after),
        "returned one content more than once, under several ids",
        "Check the ingestion job: it wrote the same chunks again beside the old ones; delete the old ids, or make ids from the content.",
    );
    Ok(found.filter(|_| more.low > MORE_OFTEN))
}

/// Whether the same questions get documents of other names alone.
fn replaced(evidence: &Evidence<'_>) -> Option<IntegrityReport> {
    let vocabulary = evidence.vocabulary;
    let documents = |current: bool| -> Vec<bool> {
        let mut seen = vec![false; vocabulary.documents.len()];
        let sampled = evidence.units.iter().flat_map(|unit| unit.sample(current));
        for place in sampled.flat_map(|observed| observed.places.iter()) {
            if let Some(seen) = seen.get_mut(vocabulary.state_of(place.state()).document.place() as usize) {
                *seen = true;
            }
        }
        seen
    };
    let (before, after) = rayon::join(|| documents(false), || documents(true));
    let count = |seen: &[bool]| seen.iter().filter(|seen| **seen).count();
    let (known, now) = (count(&before), count(&after));
    let common = before.iter().zip(&after).filter(|(before, after)| **before && **after).count();
    let replaced = [known, now, evidence.units.len()].iter().all(|count| *count >= COUNTED_MIN)
        && (common as f64) < COMMON * now as f64;
    replaced.then(|| {
        let mut examples: Vec<&str> =
            vocabulary.documents.texts().zip(after).filter(|(_, seen)| *seen).map(|(id, _)| id).collect();
        examples.sort_unstable();
        IntegrityReport {
            kind: IntegrityKind::IdsReplaced,
            count: now as u64,
            unit: "documents",
            reference_count: 0,
            examples: examples.into_iter().take(EXAMPLES).map(str::to_owned).collect(),
            evidence: format!(
                "are returned for the same questions under ids that the reference never returned, and {common} of its \
                 {known} ids are still there"
            ),
            advice: "Check the ingestion job: ids that are made anew with each run (random ones, or of another scheme) hide \
                     what changed; send content hashes, so that documents are recognised by content.",
        }
    })
}

/// Documents whose content changed while no version was declared, and those whose contents cannot be compared.
fn contents(evidence: &Evidence<'_>) -> Vec<IntegrityReport> {
    let vocabulary = evidence.vocabulary;
    let by_document = |states: &mut dyn Iterator<Item = (u32, u32)>| {
        let mut seen: BTreeMap<DocumentNumber, HashMap<u32, u64>> = BTreeMap::new();
        for (state, count) in states {
            let state = vocabulary.state_of(state);
            if let Some(content) = state.content {
                *seen.entry(state.document).or_default().entry(content).or_default() += u64::from(count);
            }
        }
        seen
    };
    let all = |window: &Observations| {
        by_document(&mut window.sightings.documents.iter().map(|((_, state), count)| (state, count)))
    };
    let (known, now) = (all(evidence.before), all(evidence.after));
    let mut other_scheme: HashMap<DocumentNumber, u64> = HashMap::new();
    let mut schemes: [HashSet<&str>; 2] = Default::default();
    for (document, contents) in &now {
        let Some(earlier) = known.get(document) else { continue };
        let scheme = |content: &u32| vocabulary.scheme(*content);
        if contents.keys().all(|content| earlier.keys().all(|other| scheme(other) != scheme(content))) {
            schemes[0].extend(earlier.keys().map(scheme));
            schemes[1].extend(contents.keys().map(scheme));
            other_scheme.insert(*document, contents.values().sum());
        }
    }
    let undeclared = by_document(&mut evidence.after.sightings.undeclared());
    let mut changed: HashMap<DocumentNumber, u64> = HashMap::new();
    for (document, contents) in undeclared {
        let Some(earlier) = known.get(&document) else { continue };
        let earlier: HashSet<u32> = earlier.keys().copied().collect();
        let new = contents.iter().filter(|(content, _)| evidence.is_new(**content, &earlier));
        let retrievals: u64 = new.map(|(_, count)| count).sum();
        if retrievals > 0 {
            changed.insert(document, retrievals);
        }
    }
    let named = |schemes: &HashSet<&str>| {
        let mut names: Vec<&str> =
            schemes.iter().map(|name| if name.is_empty() { "no scheme" } else { name }).collect();
        names.sort_unstable();
        names.join(", ")
    };
    let none = HashMap::new();
    let scheme = evidence.documents(
        IntegrityKind::HashSchemeChanged,
        (&none, &other_scheme),
        &format!(
            "with content hashes of another scheme ({} before, {} now): whether their contents changed cannot be told",
            named(&schemes[0]),
            named(&schemes[1])
        ),
        "Keep to one hash function, or compare windows that lie on one side of the change.",
    );
    let content = evidence.documents(
        IntegrityKind::ContentChangedWithoutVersion,
        (&none, &changed),
        "with another content than in the reference, and no corpus version is declared",
        "Declare corpus_version with each retrieval and register a manifest for each, so that an edit is told from an accident.",
    );
    content.into_iter().chain(scheme).collect()
}
