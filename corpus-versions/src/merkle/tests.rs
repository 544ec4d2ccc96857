use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::manifest::Manifest;
use crate::samples::{any_entries, entry, full_entry};

/// The root, and the one of the list.
#[track_caller]
fn check(entries: Vec<ManifestEntry>, expected: [&str; 2]) {
    let manifest = Manifest::from_entries(entries).unwrap();
    for (root, expected) in [manifest.root(), list_root(manifest.entries())].into_iter().zip(expected) {
        assert_eq!(root.to_string(), format!("b3:{expected}"));
        assert_eq!(root.to_string().parse(), Ok(root));
    }
}

/// The ids 1 to 7 in byte order, the first `n` of them.
fn numbered(n: u32) -> Vec<ManifestEntry> {
    (1..=n).map(|i| entry(&i.to_string(), &format!("b3:{i:02x}"))).collect()
}

/// The expected values were computed by 20 lines of Python each over the `blake3` package, written from the module's tables.
#[test]
fn known_manifests_have_known_roots() {
    check(
        vec![],
        [
            "69c0ce4dff883f93dbc1b88d7b195af92afeb8ca6c69e9ded9e53c8b0ec2693f",
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        ],
    );
    check(
        vec![full_entry()],
        [
            "ecbc20ee5ddec3a403daf43d29c8c0b81ad96cf9df1220183ca3745258e7457f",
            "d7726d1a8aea5d52a076644c5dd7d34bb1bfd0f42f313c71344588194ff6b465",
        ],
    );
    check(
        numbered(2),
        [
            "4294dad8e4f5ccfe28ad884ee9ec4affc1d016241f8bec8d53f2501e9c4fe827",
            "3cd45e0eabcb62add65ae15fa5a6891a67cf911f895f38a370366f6f807e1042",
        ],
    );
    check(
        numbered(3),
        [
            "d0835045e1ffab057b6c1b353aaf620191b19380c591ca45a5ad70c6b1ba074e",
            "ec5e2c5642bb8553fb54efe0b23436ea86a884880c8197b55c5d12b39f418b8c",
        ],
    );
    check(
        numbered(7),
        [
            "549aebd820ddf8c30ce71411eeef8a1f67bdf3384c899a90fade9232bbff7dec",
            "de9ece3f0e407bae28e2c63d781736e02dfd446b1afda2cc453e8d21c40ab9df",
        ],
    );
}

#[test]
fn a_value_that_moves_to_another_field_changes_the_root() {
    let root = |entry: ManifestEntry| Manifest::from_entries(vec![entry]).unwrap().root();
    let as_vector = ManifestEntry { vector_hash: Some("x".parse().unwrap()), ..entry("a", "b") };
    let as_scope = ManifestEntry { scope: Some("x".parse().unwrap()), ..entry("a", "b") };
    assert_ne!(root(as_vector), root(as_scope));
    assert_ne!(root(entry("ab", "c")), root(entry("a", "bc")));
}

#[test]
fn only_one_spelling_of_a_root_is_read() {
    let root = list_root(&[full_entry()]);
    let text = root.to_string();
    assert_eq!(serde_json::from_str::<MerkleRoot>(&format!("\"{text}\"")).unwrap(), root);
    for wrong in
        ["", "b3:", "b3:00", &text.to_uppercase(), &text.replace('d', "D"), &root.to_hex(), &format!("{text}0")]
    {
        assert!(wrong.parse::<MerkleRoot>().is_err(), "{wrong:?}");
    }
}

/// Every entry that differs from this one in one field.
fn variants(entry: &ManifestEntry) -> Vec<ManifestEntry> {
    let mut all = Vec::new();
    let mut vary = |change: fn(&mut ManifestEntry)| {
        let mut other = entry.clone();
        change(&mut other);
        if other != *entry {
            all.push(other);
        }
    };
    vary(|e| e.doc_id = format!("{}x", e.doc_id).parse().unwrap());
    vary(|e| e.content_hash = format!("{}x", e.content_hash).parse().unwrap());
    vary(|e| e.vector_hash = None);
    vary(|e| e.vector_hash = Some("other".parse().unwrap()));
    vary(|e| e.tokens = None);
    vary(|e| e.tokens = Some(e.tokens.unwrap_or(0) ^ 1));
    vary(|e| e.updated_at = None);
    vary(|e| e.updated_at = Some(e.updated_at.unwrap_or(tidemark_schema::Timestamp::MIN).plus_seconds(-1)));
    vary(|e| e.updated_at = Some(e.updated_at.unwrap_or(tidemark_schema::Timestamp::MAX).plus_seconds(1)));
    vary(|e| e.scope = None);
    vary(|e| e.scope = Some("other".parse().unwrap()));
    all
}

proptest! {
    #[test]
    fn the_root_does_not_depend_on_the_order_of_the_input(
        (entries, shuffled) in any_entries().prop_flat_map(|e| (Just(e.clone()), Just(e).prop_shuffle()))
    ) {
        let roots = [entries, shuffled].map(|entries| Manifest::from_entries(entries).unwrap().root());
        prop_assert_eq!(roots[0], roots[1]);
    }

    #[test]
    fn any_field_of_any_entry_changes_the_root(entries in any_entries(), place in any::<Index>()) {
        prop_assume!(!entries.is_empty());
        let root = Manifest::from_entries(entries.clone()).unwrap().root();
        let place = place.index(entries.len());
        for variant in variants(&entries[place]) {
            let mut changed = entries.clone();
            changed[place] = variant;
            prop_assert_ne!(Manifest::from_entries(changed).unwrap().root(), root);
        }
        let mut shorter = entries;
        shorter.remove(place);
        prop_assert_ne!(Manifest::from_entries(shorter).unwrap().root(), root);
    }
}
