use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemark_schema::{ContentHash, DocumentId, Label, Timestamp};

use crate::buckets::{EncodedManifest, Encoder, Sizes};
use crate::encoding::encode;
use crate::error::Error;
use crate::merkle::{MerkleRoot, Placed, place_of, root_of, subtree};

/// One document or chunk of a corpus version.
///
/// As JSON, one object per line; fields that are not known are left out or null:
///
/// ```json
/// {"doc_id": "hr/badges.md#3", "content_hash": "b3:9f86d081884c7d65", "tokens": 118, "scope": "public"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// The id under which retrievers return it.
    pub doc_id: DocumentId,
    /// The hash of its content.
    pub content_hash: ContentHash,
    /// The hash of its embedding, when the index can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector_hash: Option<ContentHash>,
    /// How many tokens it costs in a context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
    /// When its content last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// Who may see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Label>,
}

/// What a corpus version holds: entries in the byte order of their ids, each id once.
///
/// Cloning shares the entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    entries: Arc<[ManifestEntry]>,
}

impl Manifest {
    /// From entries in any order. Refuses a document that is named twice with [`Error::DuplicateDocument`], even when
    /// both entries are equal: such an export has lost its chunk ids.
    pub fn from_entries(mut entries: Vec<ManifestEntry>) -> Result<Self, Error> {
        entries.sort_unstable_by(|a, b| a.doc_id.cmp(&b.doc_id));
        let duplicate = entries.array_windows().find(|[a, b]| a.doc_id == b.doc_id);
        if let Some([_, entry]) = duplicate {
            return Err(Error::DuplicateDocument { doc_id: entry.doc_id.clone() });
        }
        Ok(Self { entries: entries.into() })
    }

    /// The entries in the byte order of their ids.
    pub fn entries(&self) -> &[ManifestEntry] {
        &self.entries
    }

    /// The entry of a document. O(log n).
    pub fn get(&self, doc_id: &DocumentId) -> Option<&ManifestEntry> {
        let place = self.entries.binary_search_by(|entry| entry.doc_id.cmp(doc_id)).ok()?;
        self.entries.get(place)
    }

    /// How many documents it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What stands for the whole content: two manifests with the same root are equal. Computed at each call, O(n log n).
    pub fn root(&self) -> MerkleRoot {
        let placed = |entry: &ManifestEntry| {
            let mut encoding = Vec::new();
            encode(entry, &mut encoding);
            (place_of(&entry.doc_id), encoding)
        };
        let mut entries: Vec<Placed> = self.entries.iter().map(placed).collect();
        entries.sort_unstable();
        root_of(subtree(&entries, 0))
    }

    /// The stored form.
    pub fn encode(&self) -> Result<EncodedManifest, Error> {
        self.encode_with(Sizes::default())
    }

    pub(crate) fn encode_with(&self, sizes: Sizes) -> Result<EncodedManifest, Error> {
        let mut encoder = Encoder::new(sizes);
        self.entries.iter().try_for_each(|entry| encoder.push(entry))?;
        encoder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{entry, manifest};

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let shown = match serde_json::from_str::<ManifestEntry>(line) {
            Ok(entry) => serde_json::to_string(&entry).unwrap(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_entry_is_written_as_the_contract_says_and_leaves_out_what_is_not_known() {
        let whole = r#"{"doc_id":"hr/badges.md#3","content_hash":"b3:9f86","vector_hash":"b3:01","tokens":118,"updated_at":"2026-10-02T00:00:00Z","scope":"public"}"#;
        check(whole, whole);
        check(r#"{"content_hash":"b3:9f86","doc_id":12,"tokens":null}"#, r#"{"doc_id":"12","content_hash":"b3:9f86"}"#);
    }

    #[test]
    fn an_unknown_field_is_refused() {
        check(
            r#"{"doc_id":"a","content_hash":"b","text":"x"}"#,
            "unknown field `text`, expected one of `doc_id`, `content_hash`, `vector_hash`, `tokens`, `updated_at`, \
             `scope` at line 1 column 39",
        );
    }

    #[test]
    fn entries_are_sorted_by_bytes_and_found_by_id() {
        let manifest = manifest(&[("b", "1"), ("ä", "2"), ("a", "3"), ("B", "4"), ("10", "5"), ("9", "6")]);
        let ids: Vec<_> = manifest.entries().iter().map(|e| e.doc_id.as_str()).collect();
        assert_eq!(ids, ["10", "9", "B", "a", "b", "ä"]);
        let found = manifest.get(&"a".parse().unwrap()).unwrap();
        assert_eq!(found.content_hash.as_str(), "3");
        assert_eq!(manifest.get(&"c".parse().unwrap()), None);
        assert_eq!((manifest.len(), manifest.is_empty()), (6, false));
    }

    #[test]
    fn a_document_named_twice_is_refused_by_name() {
        let entries = vec![entry("b", "1"), entry("a", "1"), entry("b", "1")];
        let error = Manifest::from_entries(entries).unwrap_err();
        assert_eq!(error.to_string(), "the manifest names the document b more than once");
        assert_eq!(error.kind(), tidemark_schema::ErrorKind::Invalid);
    }
}
