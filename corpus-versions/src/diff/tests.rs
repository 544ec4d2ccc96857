use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::samples::{any_entries, entry, manifest};

#[track_caller]
fn check(before: &[(&str, &str)], after: &[(&str, &str)], expected: &str) {
    let summary = diff(&manifest(before), &manifest(after)).summary(2);
    assert_eq!(serde_json::to_string(&summary).unwrap().replace('"', ""), expected);
}

#[test]
fn the_summary_is_the_one_of_the_contract_with_the_first_ids_as_examples() {
    check(
        &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1"), ("f", "1")],
        &[("b", "1"), ("c", "2"), ("g", "1")],
        "{added:1,removed:4,modified:1,unchanged:1,rescoped:0,revectored:0,\
         examples:{added:[g],removed:[a,d],modified:[c]}}",
    );
    check(
        &[],
        &[],
        "{added:0,removed:0,modified:0,unchanged:0,rescoped:0,revectored:0,\
         examples:{added:[],removed:[],modified:[]}}",
    );
}

#[test]
fn another_scope_or_vector_is_told_apart_from_other_content() {
    let with = |id: &str, vector: Option<&str>, scope: Option<&str>| ManifestEntry {
        vector_hash: vector.map(|v| v.parse().unwrap()),
        scope: scope.map(|s| s.parse().unwrap()),
        ..entry(id, "1")
    };
    let before = Manifest::from_entries(vec![
        with("a", Some("v"), Some("staff")),
        with("b", Some("v"), Some("staff")),
        with("c", None, Some("staff")),
    ]);
    let after = Manifest::from_entries(vec![
        with("a", Some("w"), Some("staff")),
        with("b", None, Some("public")),
        with("c", Some("v"), None),
    ]);
    let found = diff(&before.unwrap(), &after.unwrap());
    let ids = |ids: &[&str]| ids.iter().map(|id| id.parse().unwrap()).collect::<Vec<DocumentId>>();
    assert_eq!(found.revectored, ids(&["a"]));
    assert_eq!(found.rescoped, ids(&["b", "c"]));
    assert_eq!((found.unchanged, found.is_empty()), (3, true));
}

#[test]
fn a_million_entries_on_each_side_are_compared_within_seconds() {
    let side = |skip: usize, hash: &str| {
        let entries = (0..1_000_000).filter(|i| i % 1000 != skip);
        Manifest::from_entries(entries.map(|i| entry(&format!("doc-{i:07}"), hash)).collect()).unwrap()
    };
    let (before, after) = (side(0, "1"), side(1, "1"));
    let start = Instant::now();
    let summary = diff(&before, &after).summary(0);
    let took = start.elapsed();
    assert_eq!((summary.added, summary.removed, summary.unchanged), (1000, 1000, 998_000));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

proptest! {
    #[test]
    fn the_lists_agree_with_each_other_and_with_a_plain_comparison(old in any_entries(), new in any_entries()) {
        let (before, after) = (Manifest::from_entries(old).unwrap(), Manifest::from_entries(new).unwrap());
        let found = diff(&before, &after);

        let map = |manifest: &Manifest| -> BTreeMap<DocumentId, ManifestEntry> {
            manifest.entries().iter().map(|e| (e.doc_id.clone(), e.clone())).collect()
        };
        let (old, new) = (map(&before), map(&after));
        let keep = |from: &BTreeMap<DocumentId, ManifestEntry>, test: &dyn Fn(&DocumentId) -> bool| {
            from.keys().filter(|id| test(id)).cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(&found.added, &keep(&new, &|id| !old.contains_key(id)));
        prop_assert_eq!(&found.removed, &keep(&old, &|id| !new.contains_key(id)));
        let modified = keep(&old, &|id| new.get(id).is_some_and(|n| n.content_hash != old[id].content_hash));
        prop_assert_eq!(&found.modified, &modified);

        let all = found.added.len() + found.removed.len() + found.modified.len();
        let ids = old.keys().chain(new.keys()).collect::<BTreeSet<_>>();
        prop_assert_eq!(all as u64 + found.unchanged, ids.len() as u64);
    }

    #[test]
    fn the_other_way_round_added_and_removed_change_places(old in any_entries(), new in any_entries()) {
        let (before, after) = (Manifest::from_entries(old).unwrap(), Manifest::from_entries(new).unwrap());
        let (there, back) = (diff(&before, &after), diff(&after, &before));
        prop_assert_eq!(there.added, back.removed);
        prop_assert_eq!(there.removed, back.added);
        prop_assert_eq!(there.modified, back.modified);
        prop_assert_eq!(there.rescoped, back.rescoped);
        prop_assert_eq!(there.revectored, back.revectored);
        prop_assert_eq!(there.unchanged, back.unchanged);
    }
}
