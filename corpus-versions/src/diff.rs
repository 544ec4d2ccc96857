use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use tidemark_schema::DocumentId;

use crate::manifest::{Manifest, ManifestEntry};

/// What happened to every document between two manifests. The lists are in the byte order of the ids.
///
/// Each document of either manifest is added, removed, modified or unchanged, so the four counts add up. `rescoped` and
/// `revectored` look closer at the unchanged ones and are counted among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestDiff {
    /// Only the newer manifest has it.
    pub added: Vec<DocumentId>,
    /// Only the older manifest has it.
    pub removed: Vec<DocumentId>,
    /// Both have it, with different content hashes.
    pub modified: Vec<DocumentId>,
    /// How many both have with the same content hash.
    pub unchanged: u64,
    /// Unchanged ones whose scope differs. No scope is a scope of its own: losing one can open a document to everybody.
    pub rescoped: Vec<DocumentId>,
    /// Unchanged ones whose vector hash differs. Only where both manifests know it: not to know is no change.
    pub revectored: Vec<DocumentId>,
}

/// A diff as counts and examples, as the contract writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffSummary {
    /// How many documents were added.
    pub added: u64,
    /// How many were removed.
    pub removed: u64,
    /// How many have other content.
    pub modified: u64,
    /// How many have the same content.
    pub unchanged: u64,
    /// How many of the unchanged have another scope.
    pub rescoped: u64,
    /// How many of the unchanged have another vector.
    pub revectored: u64,
    /// Some ids of each kind.
    pub examples: DiffExamples,
}

/// The first ids of each kind in byte order, so that the same diff shows the same examples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffExamples {
    /// Added documents.
    pub added: Vec<DocumentId>,
    /// Removed documents.
    pub removed: Vec<DocumentId>,
    /// Documents with other content.
    pub modified: Vec<DocumentId>,
}

/// Compares two manifests, the older one first. One pass over both, O(n + m).
pub fn diff(before: &Manifest, after: &Manifest) -> ManifestDiff {
    let mut found = ManifestDiff::default();
    found.compare(before.entries(), after.entries());
    found
}

impl ManifestDiff {
    /// Compares all entries of some documents, in any order.
    pub(crate) fn of(mut before: Vec<ManifestEntry>, mut after: Vec<ManifestEntry>) -> Self {
        let mut found = Self::default();
        for entries in [&mut before, &mut after] {
            entries.sort_unstable_by(|a, b| a.doc_id.cmp(&b.doc_id));
        }
        found.compare(&before, &after);
        found
    }

    /// Adds what happened to other documents.
    pub(crate) fn append(&mut self, mut other: Self) {
        for (ids, others) in self.lists().into_iter().zip(other.lists()) {
            ids.append(others);
        }
        self.unchanged += other.unchanged;
    }

    fn compare(&mut self, before: &[ManifestEntry], after: &[ManifestEntry]) {
        let mut old = before.iter().peekable();
        let mut new = after.iter().peekable();
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some(o), Some(n)) => o.doc_id.cmp(&n.doc_id),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return,
            };
            // What comes first in the order of ids is missing on the other side.
            let removed = old.next_if(|_| order.is_le());
            let added = new.next_if(|_| order.is_ge());
            match (removed, added) {
                (Some(o), Some(n)) => self.both_have(o, n),
                (Some(o), None) => self.removed.push(o.doc_id.clone()),
                (None, Some(n)) => self.added.push(n.doc_id.clone()),
                (None, None) => {}
            }
        }
    }

    /// Brings the lists into the byte order of the ids, after parts were compared in another one.
    pub(crate) fn sort(&mut self) {
        self.lists().into_iter().for_each(|ids| ids.sort_unstable());
    }

    fn lists(&mut self) -> [&mut Vec<DocumentId>; 5] {
        [&mut self.added, &mut self.removed, &mut self.modified, &mut self.rescoped, &mut self.revectored]
    }

    fn both_have(&mut self, old: &ManifestEntry, new: &ManifestEntry) {
        let id = || new.doc_id.clone();
        if old.content_hash != new.content_hash {
            self.modified.push(id());
            return;
        }
        self.unchanged += 1;
        if old.scope != new.scope {
            self.rescoped.push(id());
        }
        if let (Some(o), Some(n)) = (&old.vector_hash, &new.vector_hash)
            && o != n
        {
            self.revectored.push(id());
        }
    }

    /// Whether the manifests agree in every id and content hash.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.modified.is_empty()
    }

    /// The counts, and at most `examples` ids of each kind.
    pub fn summary(&self, examples: usize) -> DiffSummary {
        let first = |ids: &[DocumentId]| ids.iter().take(examples).cloned().collect();
        DiffSummary {
            added: self.added.len() as u64,
            removed: self.removed.len() as u64,
            modified: self.modified.len() as u64,
            unchanged: self.unchanged,
            rescoped: self.rescoped.len() as u64,
            revectored: self.revectored.len() as u64,
            examples: DiffExamples {
                added: first(&self.added),
                removed: first(&self.removed),
                modified: first(&self.modified),
            },
        }
    }
}

#[cfg(test)]
mod tests;
