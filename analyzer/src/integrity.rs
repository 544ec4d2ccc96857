//! What contradicts what was declared: in the current window, with the count of the reference beside it.

mod hubs;
mod identity;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tidemark_corpus::Manifest;

use crate::error::Error;
use crate::intern::{DocumentNumber, FastSet};
use crate::observe::{Observations, Observed};
use crate::pipeline::Pipeline;
use crate::presence::{Membership, Presence};
use crate::report::{IntegrityKind, IntegrityReport};
use crate::sightings::Breaches;
use crate::units::MatchedUnit;
use crate::vocabulary::Vocabulary;

/// How many examples a finding names.
const EXAMPLES: usize = 3;

/// All that findings are made from.
pub(crate) struct Evidence<'a> {
    pub(crate) before: &'a Observations,
    pub(crate) after: &'a Observations,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) presence: &'a Presence,
    pub(crate) manifests: &'a BTreeMap<String, Manifest>,
    pub(crate) pipeline: &'a Pipeline,
    /// The units that both windows asked.
    pub(crate) units: &'a [&'a MatchedUnit<'a>],
    /// Whether the scores of unchanged documents changed: then every document may stand elsewhere.
    pub(crate) rescored: bool,
}

/// Everything that was found, the gravest first.
pub(crate) fn find(evidence: &Evidence<'_>) -> Result<Vec<IntegrityReport>, Error> {
    let mut found = Vec::new();
    found.extend(evidence.unregistered());
    found.extend(evidence.contradicted());
    found.extend(identity::find(evidence)?);
    found.extend(hubs::find(evidence)?);
    found.extend(evidence.breached());
    found.extend(evidence.cited_unretrieved());
    let place = |kind: IntegrityKind| IntegrityKind::ALL.iter().position(|other| *other == kind);
    found.sort_by_key(|finding| place(finding.kind));
    Ok(found)
}

/// How a content stands to what a version's manifest says, and to what the reference saw under the same version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    AsDeclared,
    /// That of the same document in another registered version.
    OfOtherVersion,
    /// Another one.
    Mutated,
}

/// Contents by version and document.
type SeenContents = HashMap<(u32, DocumentNumber), HashSet<u32>>;

/// Documents with contents that contradict the declared version, and the number of their retrievals.
#[derive(Default)]
struct Contradicted {
    of_other_version: HashMap<DocumentNumber, u64>,
    mutated: HashMap<DocumentNumber, u64>,
}

impl Evidence<'_> {
    /// Documents that the manifest of the declared version does not list, with the number of their retrievals.
    fn unregistered(&self) -> Option<IntegrityReport> {
        let of = |window: &Observations| {
            let mut documents: HashMap<DocumentNumber, u64> = HashMap::new();
            for ((version, state), count) in window.sightings.declared() {
                let document = self.vocabulary.state_of(state).document;
                let version = self.vocabulary.versions.text(version);
                if self.presence.membership(Some(version), document) == Membership::Absent {
                    *documents.entry(document).or_default() += u64::from(count);
                }
            }
            documents
        };
        self.documents(
            IntegrityKind::UnregisteredDocument,
            (&of(self.before), &of(self.after)),
            "although the registered manifest of the declared version does not list them",
            "Find out who wrote them into the index; remove them, or register a version that lists them.",
        )
    }

    /// Documents whose content is another than the declared version has: that of another version, or a new one.
    fn contradicted(&self) -> Vec<IntegrityReport> {
        let seen = self.seen_before();
        let (before, after) = (self.contents(self.before, &seen), self.contents(self.after, &seen));
        let mutated = self.documents(
            IntegrityKind::SilentMutation,
            (&before.mutated, &after.mutated),
            "with another content under the same corpus version",
            "Check the ingestion job: content changed under a version that was to stay as it is; register a new version for each change.",
        );
        let stale = self.documents(
            IntegrityKind::Stale,
            (&before.of_other_version, &after.of_other_version),
            "with the content of another version than the declared one",
            "Check that the index was rebuilt for the declared version, on every replica.",
        );
        mutated.into_iter().chain(stale).collect()
    }

    /// A finding of documents in the current window; none if there are none.
    fn documents(
        &self,
        kind: IntegrityKind,
        (before, after): (&HashMap<DocumentNumber, u64>, &HashMap<DocumentNumber, u64>),
        how: &str,
        advice: &'static str,
    ) -> Option<IntegrityReport> {
        let (examples, retrievals) = self.most_seen(after)?;
        Some(IntegrityReport {
            kind,
            count: after.len() as u64,
            unit: "documents",
            reference_count: before.len() as u64,
            evidence: format!("returned {retrievals} times {how}"),
            examples,
            advice,
        })
    }

    fn breached(&self) -> Vec<IntegrityReport> {
        let (before, after) = (&self.before.sightings, &self.after.sightings);
        let scope = breach(
            IntegrityKind::Scope,
            (&before.outside_scope, &after.outside_scope),
            "returned a document from outside of the scopes that were asked for or are allowed",
            "Treat it as a leak until it is explained: check the retriever's filter and the documents' scopes.",
        );
        let bound = breach(
            IntegrityKind::Bound,
            (&before.beyond_bound, &after.beyond_bound),
            "returned more documents or tokens than the request or the policy allowed",
            "Check the retriever: it does not keep the bounds of its requests.",
        );
        let stale = breach(
            IntegrityKind::Stale,
            (&before.too_old, &after.too_old),
            "returned a document older than the request or the policy allowed",
            "Check the retriever's freshness filter and the ingestion job's schedule.",
        );
        scope.into_iter().chain(bound).chain(stale).collect()
    }

    /// The contents that the reference saw of each document under each version.
    fn seen_before(&self) -> SeenContents {
        let mut seen = SeenContents::new();
        for ((version, state), _) in self.before.sightings.declared() {
            let state = self.vocabulary.state_of(state);
            if let Some(content) = state.content {
                seen.entry((version, state.document)).or_default().insert(content);
            }
        }
        seen
    }

    /// The documents that a window returned with a content other than the declared one, with the number of their
    /// retrievals.
    fn contents(&self, window: &Observations, seen: &SeenContents) -> Contradicted {
        let mut found = Contradicted::default();
        for ((version, state), count) in window.sightings.declared() {
            let state = self.vocabulary.state_of(state);
            let Some(content) = state.content else { continue };
            let documents = match self.content(version, state.document, content, seen.get(&(version, state.document))) {
                Content::AsDeclared => continue,
                Content::OfOtherVersion => &mut found.of_other_version,
                Content::Mutated => &mut found.mutated,
            };
            *documents.entry(state.document).or_default() += u64::from(count);
        }
        found
    }

    /// Whether a content is another one than those seen before, as far as they were hashed alike.
    fn is_new(&self, content: u32, earlier: &HashSet<u32>) -> bool {
        !earlier.contains(&content) && earlier.iter().any(|other| self.vocabulary.contents_differ(content, *other))
    }

    fn content(&self, version: u32, document: DocumentNumber, content: u32, earlier: Option<&HashSet<u32>>) -> Content {
        let version = self.vocabulary.versions.text(version);
        match self.presence.membership(Some(version), document) {
            Membership::Present(listed) if self.vocabulary.contents_differ(listed, content) => {
                let elsewhere = self.manifests.keys().filter(|other| other.as_str() != version);
                let same =
                    |other: &String| self.presence.membership(Some(other), document) == Membership::Present(content);
                if elsewhere.into_iter().any(same) { Content::OfOtherVersion } else { Content::Mutated }
            }
            // A manifest that was registered after the change agrees with what came of it; the reference still knows.
            _ if earlier.is_some_and(|earlier| self.is_new(content, earlier)) => Content::Mutated,
            _ => Content::AsDeclared,
        }
    }

    /// Outputs that cite what their operation did not retrieve, among the sampled operations.
    fn cited_unretrieved(&self) -> Option<IntegrityReport> {
        let before = self.unretrieved(self.before);
        let after = self.unretrieved(self.after);
        let documents: BTreeSet<&str> =
            after.values().flatten().map(|document| self.vocabulary.documents.text(*document)).collect();
        (!after.is_empty()).then(|| IntegrityReport {
            kind: IntegrityKind::CitationNotRetrieved,
            count: after.len() as u64,
            unit: "outputs",
            reference_count: before.len() as u64,
            examples: documents.into_iter().take(EXAMPLES).map(str::to_owned).collect(),
            evidence: "cite documents that their operation did not retrieve; the examples are documents".to_owned(),
            advice: "Check the prompt and the parser of citations: the model names sources that it was not given.",
        })
    }

    /// For each operation with such an output the documents in question.
    fn unretrieved(&self, window: &Observations) -> HashMap<u64, Vec<DocumentNumber>> {
        let retrieved = Retrieved::of(window, self.vocabulary);
        let cited = window.sampled().map(|observed| (observed.operation, retrieved.missing(observed, self.vocabulary)));
        cited.filter(|(_, documents)| !documents.is_empty()).collect()
    }

    /// The most often returned documents, and how often all of them were; none if there are none.
    fn most_seen(&self, documents: &HashMap<DocumentNumber, u64>) -> Option<(Vec<String>, u64)> {
        let mut most: Vec<(u64, &str)> =
            documents.iter().map(|(document, count)| (*count, self.vocabulary.documents.text(*document))).collect();
        most.sort_unstable_by_key(|(count, name)| (std::cmp::Reverse(*count), *name));
        let examples = most.iter().take(EXAMPLES).map(|(_, name)| (*name).to_owned()).collect();
        (!most.is_empty()).then(|| (examples, documents.values().sum()))
    }
}

/// What the operations of a window retrieved, as far as it is known: a window keeps a sample, so where operations consist
/// of several retrievals (an agent's, or a search and its reranker) not all of them are at hand. There only what no
/// retrieval of the window returned is certain not to have been retrieved.
pub(crate) struct Retrieved {
    anywhere: Option<HashSet<DocumentNumber>>,
}

impl Retrieved {
    pub(crate) fn of(window: &Observations, vocabulary: &Vocabulary) -> Self {
        let sampled = || window.sampled();
        let cites =
            |observed: &Observed| observed.outcome.as_ref().is_some_and(|outcome| !outcome.citations.is_empty());
        if !sampled().any(cites) {
            return Self { anywhere: None };
        }
        let mut operations = FastSet::default();
        let several = sampled().any(|observed| !operations.insert(observed.operation));
        let documents = || {
            let places = sampled().flat_map(|observed| observed.places.iter());
            places.map(|place| vocabulary.state_of(place.state()).document).collect()
        };
        Self { anywhere: several.then(documents) }
    }

    /// The documents that an operation's output cites and the operation did not retrieve. An output of an attempt other
    /// than the one that is kept says nothing.
    pub(crate) fn missing(&self, observed: &Observed, vocabulary: &Vocabulary) -> Vec<DocumentNumber> {
        let Some(outcome) = &observed.outcome else { return Vec::new() };
        if outcome.attempt != observed.attempt() && observed.attempt() > 1 {
            return Vec::new();
        }
        let retrieved = |document: &DocumentNumber| match &self.anywhere {
            Some(anywhere) => anywhere.contains(document),
            None => observed.places.iter().any(|place| vocabulary.state_of(place.state()).document == *document),
        };
        outcome.citations.iter().copied().filter(|document| !retrieved(document)).collect()
    }
}

fn breach(
    kind: IntegrityKind,
    (before, after): (&Breaches, &Breaches),
    evidence: &str,
    advice: &'static str,
) -> Option<IntegrityReport> {
    (after.count > 0).then(|| IntegrityReport {
        kind,
        count: after.count,
        unit: "retrievals",
        reference_count: before.count,
        examples: after.examples(),
        evidence: evidence.to_owned(),
        advice,
    })
}
