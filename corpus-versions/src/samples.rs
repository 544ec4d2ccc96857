//! Entries for the tests of this crate.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tidemark_schema::Timestamp;

use crate::manifest::{Manifest, ManifestEntry};

pub(crate) fn entry(doc_id: &str, content_hash: &str) -> ManifestEntry {
    ManifestEntry {
        doc_id: doc_id.parse().unwrap(),
        content_hash: content_hash.parse().unwrap(),
        vector_hash: None,
        tokens: None,
        updated_at: None,
        scope: None,
    }
}

pub(crate) fn full_entry() -> ManifestEntry {
    ManifestEntry {
        vector_hash: Some("b3:01".parse().unwrap()),
        tokens: Some(118),
        updated_at: Some("2026-10-02T00:00:00Z".parse().unwrap()),
        scope: Some("public".parse().unwrap()),
        ..entry("hr/badges.md#3", "b3:9f86d081884c7d65")
    }
}

/// From pairs of id and content hash.
pub(crate) fn manifest(entries: &[(&str, &str)]) -> Manifest {
    Manifest::from_entries(entries.iter().map(|(id, hash)| entry(id, hash)).collect()).unwrap()
}

/// Any entries with distinct ids, unsorted. Ids come from a small set, so that two manifests share some.
pub(crate) fn any_entries() -> impl Strategy<Value = Vec<ManifestEntry>> {
    let values = (
        0_u32..60,
        0_u32..3,
        option::of(0_u32..3),
        option::of(any::<u32>()),
        option::of(946_684_800_000_000_i64..=4_102_444_800_000_000),
        option::of("[a-c]{1,2}|ä"),
    );
    vec(values, 0..40).prop_map(|rows| {
        let mut entries: Vec<_> = rows
            .into_iter()
            .map(|(id, hash, vector, tokens, micros, scope)| ManifestEntry {
                vector_hash: vector.map(|v| format!("b3:{v}").parse().unwrap()),
                tokens,
                updated_at: micros.map(|micros| Timestamp::from_micros(micros).unwrap()),
                scope: scope.map(|scope| scope.parse().unwrap()),
                ..entry(&format!("doc {id}"), &format!("b3:{hash}"))
            })
            .collect();
        let mut seen = std::collections::HashSet::new();
        entries.retain(|entry| seen.insert(entry.doc_id.clone()));
        entries
    })
}
