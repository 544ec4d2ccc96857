//! Names and contents of documents that do not hold together: one content under several ids, ids that are all new, contents
//! that changed where nothing could declare it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{EXAMPLES, Evidence, breach};
use crate::intern::DocumentNumber;
use crate::observe::Observations;
use crate::report::{IntegrityKind, IntegrityReport};

/// With fewer documents in a window nothing is said of their names as a whole.
const DOCUMENTS_MIN: usize = 10;
/// Fewer of the current documents than this were known before: their names were replaced.
const COMMON: f64 = 0.01;
/// Answers hold one content twice that much more often than in the reference.
const MORE_OFTEN: f64 = 2.0;

pub(super) fn find(evidence: &Evidence<'_>) -> Vec<IntegrityReport> {
    let names = [duplicates(evidence), replaced(evidence)];
    names.into_iter().flatten().chain(contents(evidence)).collect()
}

/// Answers that hold one content twice, where the reference held none or far fewer of them: a corpus may hold copies.
fn duplicates(evidence: &Evidence<'_>) -> Option<IntegrityReport> {
    let (before, after) = (&evidence.before.sightings.repeated_content, &evidence.after.sightings.repeated_content);
    let rate = |count: u64, window: &Observations| count as f64 / window.events.max(1) as f64;
    let more = rate(after.count, evidence.after) > MORE_OFTEN * rate(before.count, evidence.before);
    breach(
        IntegrityKind::DuplicateContent,
        (before, after),
        "returned one content more than once, under several ids",
        "Check the ingestion job: it wrote the same chunks again beside the old ones; delete the old ids, or make ids from the content.",
    )
    .filter(|_| more)
}

/// All documents that a window returned.
fn documents(window: &Observations, evidence: &Evidence<'_>) -> HashSet<DocumentNumber> {
    let states = window.sightings.documents.keys().map(|(_, state)| *state);
    states.map(|state| evidence.vocabulary.state_of(state).document).collect()
}

fn replaced(evidence: &Evidence<'_>) -> Option<IntegrityReport> {
    let (before, after) = (documents(evidence.before, evidence), documents(evidence.after, evidence));
    let common = after.intersection(&before).count();
    // Under new names with known contents they are compared by content: that has a cause of its own.
    let recognised = after.iter().filter(|document| evidence.presence.renamed.contains_key(document)).count();
    let replaced = before.len() >= DOCUMENTS_MIN
        && after.len() >= DOCUMENTS_MIN
        && (common as f64) < COMMON * after.len() as f64
        && recognised * 2 < after.len();
    replaced.then(|| {
        let mut examples: Vec<&str> =
            after.iter().map(|document| evidence.vocabulary.documents.text(*document)).collect();
        examples.sort_unstable();
        IntegrityReport {
            kind: IntegrityKind::IdsReplaced,
            count: after.len() as u64,
            unit: "documents",
            reference_count: 0,
            examples: examples.into_iter().take(EXAMPLES).map(str::to_owned).collect(),
            evidence: format!(
                "are returned under ids that the reference never returned, and {common} of its {} ids are still there",
                before.len()
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
        by_document(&mut window.sightings.documents.iter().map(|((_, state), count)| (*state, *count)))
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
        let mut names: Vec<&str> = schemes.iter().map(|name| if name.is_empty() { "no scheme" } else { name }).collect();
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
