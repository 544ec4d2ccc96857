//! What the manifests say about the documents that were seen, by number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use tidemark_corpus::Manifest;

use crate::causes::Cause;
use crate::intern::{DocumentNumber, Number};
use crate::observe::Observations;
use crate::vocabulary::Vocabulary;

/// What is known of a document in one version of the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    /// The version has no registered manifest.
    Unknown,
    /// The manifest does not list it.
    Absent,
    /// The manifest lists it with this content.
    Present(u32),
}

/// The membership of every document that was seen, in every version that was declared.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    versions: HashMap<String, Vec<Option<u32>>>,
    /// Documents under a new name: the name in the current window, and the one in the reference.
    pub(crate) renamed: BTreeMap<DocumentNumber, DocumentNumber>,
    /// What most of the documents that differ between two versions underwent, as far as it was asked.
    changes: Mutex<BTreeMap<(String, String), Option<Cause>>>,
}

impl Presence {
    pub(crate) fn new(manifests: &BTreeMap<String, Manifest>, vocabulary: &mut Vocabulary) -> Self {
        let mut versions = HashMap::new();
        for (version, manifest) in manifests {
            let mut contents = vec![None; vocabulary.documents.texts().count()];
            for entry in manifest.entries() {
                if let Some(place) = vocabulary
                    .documents
                    .find(entry.doc_id.as_str())
                    .and_then(|number| contents.get_mut(number.place() as usize))
                {
                    *place = Some(vocabulary.contents.number(entry.content_hash.as_str()));
                }
            }
            versions.insert(version.clone(), contents);
        }
        Self { versions, renamed: BTreeMap::new(), changes: Mutex::default() }
    }

    /// What most of the seen documents underwent that two registered versions tell apart; the first of equals. Counted when it
    /// is first asked: few pairs of versions ever are.
    pub(crate) fn main_change(&self, (before, after): (Option<&str>, Option<&str>)) -> Option<Cause> {
        let (before, after) = (before?, after?);
        let (a, b) = (self.versions.get(before)?, self.versions.get(after)?);
        let key = (before.to_owned(), after.to_owned());
        if let Some(known) = self.changes.lock().ok().and_then(|known| known.get(&key).copied()) {
            return known;
        }
        let count =
            |holds: fn(&Option<u32>, &Option<u32>) -> bool| a.iter().zip(b).filter(|(a, b)| holds(a, b)).count();
        let counts = [
            (count(|a, b| a.is_none() && b.is_some()), Cause::CorpusAdded),
            (count(|a, b| a.is_some() && b.is_none()), Cause::CorpusRemoved),
            (count(|a, b| a.is_some() && b.is_some() && a != b), Cause::CorpusModified),
        ];
        let most = counts.into_iter().rev().max_by_key(|(count, _)| *count).filter(|(count, _)| *count > 0);
        let change = most.map(|(_, cause)| cause);
        if let Ok(mut known) = self.changes.lock() {
            known.insert(key, change);
        }
        change
    }

    pub(crate) fn membership(&self, version: Option<&str>, document: DocumentNumber) -> Membership {
        match version.and_then(|version| self.versions.get(version)) {
            None => Membership::Unknown,
            Some(contents) => contents
                .get(document.place() as usize)
                .copied()
                .flatten()
                .map_or(Membership::Absent, Membership::Present),
        }
    }

    /// Finds documents that left under one name and entered under another with the same content, so that rankings can
    /// be compared by content. Only documents that the manifests of two versions tell apart are considered, or, where
    /// none is registered, those that one window returned and the other did not.
    pub(crate) fn find_renamed(
        &mut self,
        manifests: &BTreeMap<String, Manifest>,
        (before, after): (&[String], &[String]),
        (reference, current): (&Contents, &Contents),
        vocabulary: &Vocabulary,
    ) {
        let known: Option<Vec<(&Manifest, &Manifest)>> = before
            .iter()
            .flat_map(|a| after.iter().map(move |b| (a, b)))
            .map(|(a, b)| Some((manifests.get(a)?, manifests.get(b)?)))
            .collect();
        match known {
            Some(pairs) if !pairs.is_empty() => {
                for (a, b) in pairs {
                    self.rename_between(a, b, vocabulary);
                }
            }
            _ => {
                let only = |mine: &Contents, theirs: &Contents| -> BTreeMap<u32, Vec<DocumentNumber>> {
                    let mut by_content: BTreeMap<u32, Vec<DocumentNumber>> = BTreeMap::new();
                    for (document, contents) in mine.iter().filter(|(document, _)| !theirs.contains_key(document)) {
                        for content in contents {
                            by_content.entry(*content).or_default().push(*document);
                        }
                    }
                    by_content
                };
                self.pair(only(reference, current), only(current, reference), vocabulary);
            }
        }
        for contents in self.versions.values_mut() {
            for (new, old) in &self.renamed {
                let content = contents.get(new.place() as usize).copied().flatten();
                if let (Some(content), Some(place)) = (content, contents.get_mut(old.place() as usize)) {
                    *place = Some(content);
                }
            }
        }
    }

    fn rename_between(&mut self, before: &Manifest, after: &Manifest, vocabulary: &Vocabulary) {
        let only = |mine: &Manifest, theirs: &Manifest| {
            let mut by_content: BTreeMap<u32, Vec<DocumentNumber>> = BTreeMap::new();
            for entry in mine.entries().iter().filter(|entry| theirs.get(&entry.doc_id).is_none()) {
                // A content or a document that no window returned has no number, and nothing to rename.
                let content = vocabulary.contents.find(entry.content_hash.as_str());
                let document = vocabulary.documents.find(entry.doc_id.as_str());
                if let (Some(content), Some(document)) = (content, document) {
                    by_content.entry(content).or_default().push(document);
                }
            }
            by_content
        };
        self.pair(only(before, after), only(after, before), vocabulary);
    }

    /// Contents, and several documents of one content, are paired in the order of their names: numbers follow the order
    /// of rows.
    fn pair(
        &mut self,
        mut left: BTreeMap<u32, Vec<DocumentNumber>>,
        mut entered: BTreeMap<u32, Vec<DocumentNumber>>,
        vocabulary: &Vocabulary,
    ) {
        for documents in left.values_mut().chain(entered.values_mut()) {
            documents.sort_unstable_by_key(|document| vocabulary.documents.text(*document));
        }
        let mut contents: Vec<(&u32, &Vec<DocumentNumber>)> = entered.iter().collect();
        contents.sort_unstable_by_key(|(content, _)| vocabulary.contents.text(**content));
        for (content, new) in contents {
            for (new, old) in new.iter().zip(left.get(content).into_iter().flatten()) {
                self.renamed.insert(*new, *old);
            }
        }
    }
}

/// Which contents each document was returned with in a window.
pub(crate) type Contents = BTreeMap<DocumentNumber, Vec<u32>>;

pub(crate) fn contents(window: &Observations, vocabulary: &Vocabulary) -> Contents {
    let mut contents = Contents::new();
    for state in window.states(vocabulary).into_iter().chain(window.sightings.elsewhere.iter().copied()) {
        let state = vocabulary.state_of(state);
        let known = contents.entry(state.document).or_default();
        if let Some(content) = state.content
            && !known.contains(&content)
        {
            known.push(content);
        }
    }
    for known in contents.values_mut() {
        known.sort_unstable();
    }
    contents
}
