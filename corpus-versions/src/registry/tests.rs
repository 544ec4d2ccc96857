use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutPayload};
use proptest::prelude::*;
use tidemark_schema::{DocumentId, ErrorKind};

use super::*;
use crate::samples::{any_entries, entry, full_entry, manifest};
use crate::version::State;

fn in_memory() -> (Arc<InMemory>, Registry) {
    let store = Arc::new(InMemory::new());
    (Arc::clone(&store), Registry::new(store, Path::from("corpora")))
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn new(corpus: &str, version: &str, day: u32) -> NewVersion {
    NewVersion::named(name(corpus), name(version), name(&format!("2026-11-{day:02}T00:00:00Z")))
}

fn v1() -> Manifest {
    manifest(&[("a", "1"), ("b", "1"), ("c", "1")])
}

fn v2() -> Manifest {
    manifest(&[("b", "2"), ("c", "1"), ("d", "1")])
}

/// What is stored of a manifest.
fn object(manifest: &Manifest) -> Vec<u8> {
    let mut encoded = manifest.encode().unwrap();
    encoded.rewind().unwrap();
    [encoded.index().encode(), encoded.read(u64::MAX).unwrap()].concat()
}

/// The error as its kind, its message and its hint.
#[track_caller]
fn check<T: std::fmt::Debug>(result: Result<T, Error>, kind: ErrorKind, message: &str, hint: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind);
    assert_eq!(error.to_string(), message);
    assert_eq!(error.hint().as_deref(), Some(hint));
}

async fn names_and_manifests_round_trip(store: Arc<dyn ObjectStore>, prefix: &str) {
    let registry = Registry::new(store, Path::from(prefix));
    assert_eq!(registry.list(None).await.unwrap(), []);
    assert_eq!(registry.list(Some(&name("cran"))).await.unwrap(), []);
    let long = "漢字".repeat(33);
    let corpora = [
        "cran",
        "manifests",
        "versions",
        "team/handbook",
        "team%2Fhandbook",
        "100 %",
        "Gäste #1 <&>?*",
        "..x",
        "a.json",
        &long,
    ];
    let versions = ["v1", "v1.json", "2026-11-18T00:00:00Z", "a/b", "%", "ü ", &long];
    let content = Manifest::from_entries(vec![full_entry()]).unwrap();
    for corpus in corpora {
        for version in versions {
            let registered = registry.register(new(corpus, version, 1), content.clone()).await.unwrap();
            assert!(!registered.already_registered, "{corpus} {version}");
        }
    }
    for corpus in corpora {
        let listed = registry.list(Some(&name(corpus))).await.unwrap();
        let mut expected = versions;
        expected.sort_unstable();
        assert_eq!(listed.iter().map(|r| r.version.as_str()).collect::<Vec<_>>(), expected);
        for version in versions {
            let record = registry.show(&name(corpus), &name(version)).await.unwrap();
            assert_eq!((record.corpus.as_str(), record.version.as_str()), (corpus, version));
            assert_eq!(registry.manifest(&record.corpus, &record.version).await.unwrap(), content);
        }
    }
    assert_eq!(registry.list(None).await.unwrap().len(), corpora.len() * versions.len());
}

#[tokio::test]
async fn any_name_round_trips_in_memory() {
    names_and_manifests_round_trip(Arc::new(InMemory::new()), "some/prefix").await;
}

#[tokio::test]
async fn any_name_round_trips_in_a_directory_and_stays_inside_it() {
    let root = tempfile::tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(root.path()).unwrap();
    names_and_manifests_round_trip(Arc::new(store), "corpora").await;
    let entries = |path: &str| {
        let mut names: Vec<_> = std::fs::read_dir(root.path().join(path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(entries(""), ["corpora"]);
    assert_eq!(entries("corpora"), ["manifests", "versions"]);
    assert_eq!(entries("corpora/manifests").len(), 1);
    assert_eq!(entries("corpora/versions").len(), 10);
}

#[tokio::test]
async fn a_version_is_listed_by_corpus_time_and_name_and_the_last_is_the_latest() {
    let (_, registry) = in_memory();
    for (corpus, version, day) in [("b", "v1", 1), ("a", "v3", 1), ("a", "v1", 2), ("a", "v10", 1)] {
        registry.register(new(corpus, version, day), v1()).await.unwrap();
    }
    let listed = registry.list(None).await.unwrap();
    let shown: Vec<_> = listed.iter().map(|r| format!("{}/{}", r.corpus, r.version)).collect();
    assert_eq!(shown, ["a/v10", "a/v3", "a/v1", "b/v1"]);
    let latest = registry.latest(&name("a")).await.unwrap().unwrap();
    assert_eq!(latest.version.as_str(), "v1");
    assert_eq!((latest.state, latest.entries), (State::Registered, 3));
    assert_eq!(registry.latest(&name("c")).await.unwrap(), None);
}

#[tokio::test]
async fn the_same_content_again_is_fine_and_says_what_was_kept() {
    let (_, registry) = in_memory();
    let first = registry.register(new("cran", "v1", 1), v1()).await.unwrap();
    assert!(!first.already_registered);
    let mut again = new("cran", "v1", 2);
    again.embedder = Some(name("MiniLM"));
    again.parent = Some(name("v0"));
    let second = registry.register(again, v1()).await.unwrap();
    assert_eq!(second.record, first.record);
    assert!(second.already_registered);
    assert_eq!(second.kept, ["parent", "embedder"]);
}

#[tokio::test]
async fn other_content_under_a_taken_name_is_a_conflict_with_both_roots() {
    let (_, registry) = in_memory();
    registry.register(new("cran", "v1", 1), v1()).await.unwrap();
    check(
        registry.register(new("cran", "v1", 1), v2()).await,
        ErrorKind::Conflict,
        &format!("version v1 of the corpus cran is registered with the root {}, not {}", v1().root(), v2().root()),
        "a version never changes once it is registered: choose a new version name for the new content",
    );
    assert_eq!(registry.manifest(&name("cran"), &name("v1")).await.unwrap(), v1());
}

async fn one_of_two_at_once_wins(store: Arc<dyn ObjectStore>) {
    for round in 0..20 {
        let registry = Registry::new(Arc::clone(&store), Path::ROOT);
        let version = format!("v{round}");
        let (one, two) = futures::join!(
            registry.register(new("cran", &version, 1), v1()),
            registry.register(new("cran", &version, 1), v2()),
        );
        let stored = registry.manifest(&name("cran"), &name(&version)).await.unwrap();
        let (winner, lost) = if one.is_ok() { (v1(), two) } else { (v2(), one) };
        assert_eq!(stored, winner);
        assert_eq!(lost.unwrap_err().kind(), ErrorKind::Conflict);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_registrations_at_once_exactly_one_wins() {
    one_of_two_at_once_wins(Arc::new(InMemory::new())).await;
    let root = tempfile::tempdir().unwrap();
    one_of_two_at_once_wins(Arc::new(LocalFileSystem::new_with_prefix(root.path()).unwrap())).await;
}

#[tokio::test]
async fn a_parent_has_to_be_registered() {
    let (_, registry) = in_memory();
    let child = |version: &str| NewVersion { parent: Some(name("v1")), ..new("cran", version, 2) };
    check(
        registry.register(child("v2"), v2()).await,
        ErrorKind::Invalid,
        "the parent version v1 of the corpus cran is not registered",
        "this is the first version of the corpus: leave the parent out",
    );
    assert_eq!(registry.list(None).await.unwrap(), []);
    registry.register(new("cran", "v0", 1), v1()).await.unwrap();
    check(
        registry.register(child("v2"), v2()).await,
        ErrorKind::Invalid,
        "the parent version v1 of the corpus cran is not registered",
        "registered: v0; register the parent first, or name one of these",
    );
    registry.register(new("cran", "v1", 1), v1()).await.unwrap();
    let registered = registry.register(child("v2"), v2()).await.unwrap();
    assert_eq!(registered.record.parent, Some(name("v1")));
}

#[tokio::test]
async fn what_is_not_found_is_answered_with_the_nearest_names() {
    let (_, registry) = in_memory();
    check(
        registry.show(&name("cran"), &name("v1")).await,
        ErrorKind::NotFound,
        "no corpus cran is registered",
        "nothing is registered yet: run `tidemark corpus register CORPUS VERSION MANIFEST`",
    );
    for version in ["v1", "v2", "v3", "v4", "v5", "2026/11"] {
        registry.register(new("cran", version, 1), v1()).await.unwrap();
    }
    registry.register(new("handbook", "v1", 1), v1()).await.unwrap();
    check(
        registry.manifest(&name("cran"), &name("2026-11")).await,
        ErrorKind::NotFound,
        "the corpus cran has no version 2026-11",
        "registered: 2026/11, v1, v2, v3, v4",
    );
    check(
        registry.diff(&name("handbok"), &name("v1"), &name("v2")).await,
        ErrorKind::NotFound,
        "no corpus handbok is registered",
        "registered: handbook, cran",
    );
}

#[tokio::test]
async fn versions_are_compared_by_name() {
    let (_, registry) = in_memory();
    registry.register(new("cran", "v1", 1), v1()).await.unwrap();
    registry.register(new("cran", "v2", 2), v2()).await.unwrap();
    let found = registry.diff(&name("cran"), &name("v1"), &name("v2")).await.unwrap();
    let summary = found.summary(5);
    assert_eq!((summary.added, summary.removed, summary.modified, summary.unchanged), (1, 1, 1, 1));
}

#[tokio::test]
async fn altered_evidence_is_reported_and_registering_the_original_again_restores_it() {
    let (store, registry) = in_memory();
    registry.register(new("cran", "v1", 1), v1()).await.unwrap();
    let path = registry.layout.manifest(v1().root(), ManifestFormat::Buckets);
    let hint =
        "register the original manifest under the same version again: it is written anew and the root is checked";
    let read = async || registry.manifest(&name("cran"), &name("v1")).await;

    store.put(&path, object(&v2()).into()).await.unwrap();
    let message = format!(
        "the stored manifest of version v1 of the corpus cran has the root {}, registered is {}",
        v2().root(),
        v1().root()
    );
    check(read().await, ErrorKind::Corrupt, &message, hint);

    store.put(&path, PutPayload::from_static(b"PAR1")).await.unwrap();
    let message = "the stored manifest of version v1 of the corpus cran is damaged";
    check(read().await, ErrorKind::Corrupt, message, hint);

    store.delete(&path).await.unwrap();
    let message = "the manifest of version v1 of the corpus cran is missing";
    check(read().await, ErrorKind::Corrupt, message, hint);

    registry.register(new("cran", "v1", 1), v1()).await.unwrap();
    assert_eq!(read().await.unwrap(), v1());
}

#[tokio::test]
async fn a_damaged_or_misplaced_record_is_reported_with_its_path() {
    let (store, registry) = in_memory();
    registry.register(new("cran", "v1", 1), v1()).await.unwrap();
    let v1_bytes = store.get(&Path::from("corpora/versions/cran/v1.json")).await.unwrap().bytes().await.unwrap();
    let v2_path = Path::from("corpora/versions/cran/v2.json");
    let hint = "restore the object from a backup; the manifests are not affected";

    store.put(&v2_path, v1_bytes.into()).await.unwrap();
    check(
        registry.show(&name("cran"), &name("v2")).await,
        ErrorKind::Corrupt,
        "the record corpora/versions/cran/v2.json is damaged: it belongs to version v1 of the corpus cran",
        hint,
    );
    store.put(&v2_path, PutPayload::from_static(b"{")).await.unwrap();
    check(
        registry.list(None).await,
        ErrorKind::Corrupt,
        "the record corpora/versions/cran/v2.json is damaged: EOF while parsing an object at line 1 column 1",
        hint,
    );
}

#[tokio::test]
async fn versions_of_the_same_content_share_one_manifest() {
    let (store, registry) = in_memory();
    for version in ["v1", "v2", "v3"] {
        registry.register(new("cran", version, 1), v1()).await.unwrap();
    }
    let manifests = store.list(Some(&Path::from("corpora/manifests"))).count().await;
    assert_eq!(manifests, 1);
}

#[test]
fn every_operation_may_move_between_threads() {
    fn sendable<T: Send>(_: T) {}
    fn shared<T: Send + Sync + 'static>() {}
    shared::<(Error, Registry)>();
    let (_, registry) = in_memory();
    sendable(registry.register(new("cran", "v1", 1), v1()));
    sendable(registry.register_encoded(new("cran", "v1", 1), v1().encode().unwrap()));
    sendable(registry.list(None));
    sendable(registry.verify(&name("cran"), &name("v1")));
    sendable(registry.diff(&name("cran"), &name("v1"), &name("v2")));
}

#[tokio::test]
async fn every_altered_byte_of_a_stored_manifest_is_found() {
    let (store, registry) = in_memory();
    let content = Manifest::from_entries(vec![full_entry()]).unwrap();
    registry.register(new("cran", "v1", 1), content.clone()).await.unwrap();
    let path = registry.layout.manifest(content.root(), ManifestFormat::Buckets);
    let whole = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
    assert_eq!(whole, object(&content));
    let altered = (0..whole.len()).map(|place| {
        let mut altered = whole.clone();
        altered[place] ^= 1;
        altered
    });
    let longer = [whole.clone(), vec![0]].concat();
    for bytes in altered.chain([longer, whole[..whole.len() - 1].to_vec(), Vec::new()]) {
        store.put(&path, bytes.into()).await.unwrap();
        let verified = registry.verify(&name("cran"), &name("v1")).await;
        assert_eq!(verified.unwrap_err().kind(), ErrorKind::Corrupt);
    }
    store.put(&path, whole.into()).await.unwrap();
    registry.verify(&name("cran"), &name("v1")).await.unwrap();
}

#[tokio::test]
async fn a_record_with_another_number_of_entries_is_found() {
    let (store, registry) = in_memory();
    let record = registry.register(new("cran", "v1", 1), v1()).await.unwrap().record;
    let altered = serde_json::to_vec(&CorpusVersionRecord { entries: 4, ..record.clone() }).unwrap();
    store.put(&registry.layout.record(&record.corpus, &record.version), altered.into()).await.unwrap();
    let error = registry.verify(&record.corpus, &record.version).await.unwrap_err();
    let Error::DecodeManifest { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "the stored manifest is damaged: it has 3 entries instead of 4");
}

#[tokio::test]
async fn a_diff_reads_the_index_and_the_one_bucket_that_differs() {
    let (store, registry) = in_memory();
    let side = |hash: &str| {
        let plain = (1..20_000).map(|i| entry(&format!("doc-{i:05}"), "1"));
        Manifest::from_entries(plain.chain([entry("doc-00000", hash)]).collect()).unwrap()
    };
    let sides = [side("1"), side("2")];
    let mut blocks_read = 0;
    for (version, content) in ["v1", "v2"].into_iter().zip(&sides) {
        registry.register(new("cran", version, 1), content.clone()).await.unwrap();
        let encoded = content.encode().unwrap();
        let index = encoded.index();
        assert_eq!(index.len(), 64);
        // Whatever is not the bucket of the changed entry is overwritten, so reading any of it would be an error.
        let depth = index.len().ilog2();
        let changed = crate::buckets::bucket_of(&crate::merkle::place_of(&name("doc-00000")), depth);
        let kept = index.range(changed..changed + 1);
        blocks_read += kept.end - kept.start;
        let start = index.range(0..1).start;
        let bytes = object(content).into_iter().zip(0_u64..);
        let rest = bytes.map(|(byte, place)| if place < start || kept.contains(&place) { byte } else { 0 });
        let path = registry.layout.manifest(content.root(), ManifestFormat::Buckets);
        store.put(&path, rest.collect::<Vec<u8>>().into()).await.unwrap();
    }
    let found = registry.diff(&name("cran"), &name("v1"), &name("v2")).await.unwrap();
    assert_eq!(found, diff(&sides[0], &sides[1]));
    assert_eq!((found.modified.len(), found.unchanged), (1, 19_999));
    // 20,000 entries and two indexes of 5 KiB each; of the entries, two blocks.
    assert!(blocks_read < 8 * 1024, "{blocks_read}");
}

/// Versions as they were stored before there were buckets.
fn in_parquet() -> (tempfile::TempDir, Registry) {
    let root = tempfile::tempdir().unwrap();
    let stored = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parquet-format");
    for directory in ["manifests", "versions/handbook"] {
        std::fs::create_dir_all(root.path().join(directory)).unwrap();
        for file in std::fs::read_dir(stored.join(directory)).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), root.path().join(directory).join(file.file_name())).unwrap();
        }
    }
    let store = Arc::new(LocalFileSystem::new_with_prefix(root.path()).unwrap());
    (root, Registry::new(store, Path::ROOT))
}

/// What they hold: v1 with `b3:03`, v2 with `b3:04`.
fn of_parquet(hash: &str) -> Manifest {
    let mut entries: Vec<_> = (0..40).map(|i| entry(&format!("guide-{i}.md"), "b3:00")).collect();
    entries.extend([full_entry(), entry("ä", "b3:02"), entry("a\u{308}", hash)]);
    Manifest::from_entries(entries).unwrap()
}

#[tokio::test]
async fn versions_in_the_format_of_before_are_listed_read_compared_and_verified() {
    let (root, registry) = in_parquet();
    let handbook = name("handbook");
    let listed = registry.list(None).await.unwrap();
    assert_eq!(listed.iter().map(|r| r.version.as_str()).collect::<Vec<_>>(), ["v1", "v2"]);
    assert!(listed.iter().all(|record| record.format == ManifestFormat::Parquet && record.entries == 43));
    let roots = listed.iter().map(|record| record.root.to_string()).collect::<Vec<_>>();
    assert_eq!(
        roots,
        [
            "b3:ffe71dee764dbafcc27e1480a72669591b3521508cb5c4307828785dedec5a45",
            "b3:c6a992044261e2a9756fe76d2a8fce25d21fbfc9f0874b8b444080951bd750a8",
        ]
    );
    assert_eq!(registry.manifest(&handbook, &name("v1")).await.unwrap(), of_parquet("b3:03"));
    registry.verify(&handbook, &name("v2")).await.unwrap();

    // Against each other, and against a version in the present format.
    let v3 = NewVersion { parent: Some(name("v2")), ..new("handbook", "v3", 3) };
    assert_eq!(registry.register(v3, of_parquet("b3:04")).await.unwrap().record.format, ManifestFormat::Buckets);
    for (before, after, changed) in [("v1", "v2", true), ("v1", "v3", true), ("v2", "v3", false), ("v3", "v1", true)] {
        let found = registry.diff(&handbook, &name(before), &name(after)).await.unwrap();
        let modified = found.modified.iter().map(DocumentId::as_str).collect::<Vec<_>>();
        assert_eq!(modified, if changed { vec!["a\u{308}"] } else { vec![] }, "{before} {after}");
        assert_eq!(found.unchanged + found.modified.len() as u64, 43);
    }

    let path = root.path().join(registry.layout.manifest(listed[0].root, ManifestFormat::Parquet).as_ref());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(registry.verify(&handbook, &name("v1")).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_version_in_the_format_of_before_is_registered_again_with_its_root_and_its_format() {
    let (root, registry) = in_parquet();
    let stored = registry.show(&name("handbook"), &name("v1")).await.unwrap();
    let path = root.path().join(registry.layout.manifest(stored.root, ManifestFormat::Parquet).as_ref());
    std::fs::remove_file(&path).unwrap();
    let again = registry.register(new("handbook", "v1", 5), of_parquet("b3:03")).await.unwrap();
    assert_eq!((again.already_registered, &again.record), (true, &stored));
    registry.verify(&name("handbook"), &name("v1")).await.unwrap();
    let other = of_parquet("b3:04");
    check(
        registry.register(new("handbook", "v1", 5), other.clone()).await,
        ErrorKind::Conflict,
        &format!(
            "version v1 of the corpus handbook is registered with the root {}, not {}",
            stored.root,
            list_root(other.entries())
        ),
        "a version never changes once it is registered: choose a new version name for the new content",
    );
}

proptest! {
    #[test]
    fn stored_versions_differ_as_the_plain_comparison_of_them_says(
        old in any_entries(),
        new_ones in any_entries(),
        run_bytes in 1_usize..3_000,
        bucket_entries in 1_u64..50,
        span_bytes in 0_u64..2_000,
        old_is_short in any::<bool>(),
    ) {
        let mut old = old;
        if old_is_short {
            old.truncate(2);
        }
        let (_, mut registry) = in_memory();
        registry.sizes = Sizes { run_bytes, bucket_entries, span_bytes };
        let sides = [old, new_ones].map(|entries| Manifest::from_entries(entries).unwrap());
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            for (version, content) in ["v1", "v2"].into_iter().zip(&sides) {
                let registered = registry.register(new("cran", version, 1), content.clone()).await.unwrap();
                prop_assert_eq!(registered.record.root, content.root());
                registry.verify(&name("cran"), &name(version)).await.unwrap();
                prop_assert_eq!(&registry.manifest(&name("cran"), &name(version)).await.unwrap(), content);
            }
            let found = registry.diff(&name("cran"), &name("v1"), &name("v2")).await.unwrap();
            prop_assert_eq!(found, diff(&sides[0], &sides[1]));
            Ok(())
        })?;
    }
}
