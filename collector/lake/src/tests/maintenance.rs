//! Merging, dropping, sweeping, verifying and erasing, on a real disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidemark_schema::{Ingest, Timestamp};

use super::{DAY, lake, output, read, retrieval};
use crate::{FindingKind, Lake, Retention, Swept, Table, Verified, due_for_compaction, due_for_removal};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn verify(lake: &Lake, table: Table) -> Verified {
    lake.verify(table, None, Duration::ZERO, |_| {}).await.unwrap()
}

fn kinds(verified: &Verified) -> Vec<FindingKind> {
    verified.findings.iter().map(|finding| finding.kind).collect()
}

fn parquet_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("_delta_log") {
            found.extend(parquet_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_settled_partition_becomes_one_sorted_file_with_each_event_once_and_old_readers_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    for number in [3, 1, 2, 1] {
        lake.append_retrievals(vec![retrieval(number, "a b=c", DAY, Ingest::Live)], None).await.unwrap();
    }
    let before = lake.version(Table::Retrievals).await.unwrap();
    let now = at("2099-01-01T00:00:00Z");
    let due = due_for_compaction(&lake.files(Table::Retrievals).await.unwrap(), now);
    assert_eq!(due.len(), 1);
    let compacted = lake.compact(Table::Retrievals, &due[0], now).await.unwrap().unwrap();
    assert_eq!((compacted.files_before, compacted.files_after, compacted.rows, compacted.duplicates), (4, 1, 3, 1));
    let rows = read(&lake, Vec::new(), None).await;
    let queries: Vec<_> = rows.iter().map(|row| row.event.query.fingerprint.to_string()).collect();
    assert_eq!(queries, ["q197", "q198", "q199"], "sorted by fingerprint");
    assert_eq!(read(&lake, Vec::new(), Some(before)).await.len(), 3, "the version before can still be read");
    assert!(due_for_compaction(&lake.files(Table::Retrievals).await.unwrap(), now).is_empty());
    assert!(lake.compact(Table::Retrievals, &due[0], now).await.unwrap().is_none());

    assert_eq!(parquet_files(directory.path()).len(), 5);
    let swept = lake.sweep(Table::Retrievals, now.plus_seconds(100), 100).await.unwrap();
    assert_eq!(swept, Swept { removed_files: 4, bytes: compacted.bytes_before, ..Swept::default() });
    assert_eq!(parquet_files(directory.path()).len(), 1);
    assert_eq!(verify(&lake, Table::Retrievals).await.findings, []);
}

#[tokio::test]
async fn a_dropped_partition_is_gone_with_its_files_and_folder() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    lake.append_retrievals(vec![retrieval(1, "c", DAY, Ingest::Live)], None).await.unwrap();
    lake.append_retrievals(vec![retrieval(2, "c", "2024-05-09", Ingest::Live)], None).await.unwrap();
    let now = at("2024-05-10T12:00:00Z");
    let files = lake.files(Table::Retrievals).await.unwrap();
    let files: Vec<_> = files.into_iter().map(|file| (Table::Retrievals, file)).collect();
    let retention = Retention { days: Some(7), ..Retention::default() };
    let due = due_for_removal(&files, 0, &retention, now);
    assert_eq!(due.len(), 1);
    lake.drop_partition(&due[0], now).await.unwrap();
    assert_eq!(read(&lake, Vec::new(), None).await.len(), 1);
    let folder = directory.path().join("retrievals/corpus=c/event_date=2024-05-01");
    assert!(folder.is_dir());
    assert_eq!(lake.usage(Table::Retrievals).await.unwrap().removed_files, 1);
    lake.sweep(Table::Retrievals, now.plus_seconds(60), 60).await.unwrap();
    assert!(!folder.is_dir());
    assert_eq!(verify(&lake, Table::Retrievals).await.findings, []);
}

/// INV-12: altering stored evidence is detected.
#[tokio::test]
async fn an_altered_a_missing_and_an_extra_file_are_found_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    for (number, corpus) in [(1, "a"), (2, "b"), (3, "c")] {
        lake.append_retrievals(vec![retrieval(number, corpus, DAY, Ingest::Live)], None).await.unwrap();
    }
    lake.append_outputs(vec![output(1)], None).await.unwrap();
    let whole = verify(&lake, Table::Retrievals).await;
    assert_eq!((whole.files, kinds(&whole).len()), (3, 0));
    assert_eq!(kinds(&verify(&lake, Table::Outputs).await), []);

    let mut files = parquet_files(&directory.path().join("retrievals"));
    files.sort();
    let mut bytes = std::fs::read(&files[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&files[0], bytes).unwrap();
    std::fs::copy(&files[1], files[1].with_file_name("part-00000-smuggled.parquet")).unwrap();
    std::fs::remove_file(&files[2]).unwrap();
    let found = verify(&lake, Table::Retrievals).await;
    assert_eq!(kinds(&found), [FindingKind::Altered, FindingKind::Missing, FindingKind::Extra]);
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(found.findings[0].path.ends_with(&name(&files[0])) && found.findings[0].since.is_some());
    assert!(found.findings[1].path.ends_with(&name(&files[2])) && found.findings[1].recorded_at.is_some());
    assert!(found.findings[2].path.ends_with("part-00000-smuggled.parquet"));
    // A corpus whose files are whole is read as before.
    assert_eq!(read(&lake, vec![crate::Filter::Corpus("b".parse().unwrap())], None).await.len(), 1);
}

#[tokio::test]
async fn an_altered_log_and_an_altered_chain_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let first = lake(directory.path()).await;
    for number in 1..=3 {
        first.append_retrievals(vec![retrieval(number, "c", DAY, Ingest::Live)], None).await.unwrap();
    }
    let head = verify(&first, Table::Retrievals).await.head;
    let commit = directory.path().join("retrievals/_delta_log/00000000000000000002.json");
    let original = std::fs::read_to_string(&commit).unwrap();
    std::fs::write(&commit, original.replacen("WRITE", "write", 1)).unwrap();
    // A process of its own, which has seen nothing before.
    let second = lake(directory.path()).await;
    assert_eq!(kinds(&verify(&second, Table::Retrievals).await), [FindingKind::Altered]);
    std::fs::write(&commit, original).unwrap();

    let entry = directory.path().join("evidence/retrievals/00000000000000000002.json");
    let original = std::fs::read_to_string(&entry).unwrap();
    std::fs::write(&entry, original.replacen("\"bytes\":", "\"bytes\":1", 1)).unwrap();
    let kinds_now = kinds(&verify(&second, Table::Retrievals).await);
    assert!(kinds_now.contains(&FindingKind::ChainBroken), "{kinds_now:?}");
    std::fs::write(&entry, original).unwrap();

    std::fs::remove_dir_all(directory.path().join("evidence")).unwrap();
    assert_eq!(kinds(&verify(&second, Table::Retrievals).await), [FindingKind::NoEvidence]);
    let third = lake(directory.path()).await;
    third.record(Table::Retrievals).await.unwrap();
    let again = third.verify(Table::Retrievals, Some(&head), Duration::ZERO, |_| {}).await.unwrap();
    assert_eq!((again.contains_expected_head, kinds(&again)), (Some(true), vec![]), "the same commits, the same chain");
    let other = third.verify(Table::Retrievals, Some("b3:00"), Duration::ZERO, |_| {}).await.unwrap();
    assert_eq!(other.contains_expected_head, Some(false));
}

#[tokio::test]
async fn an_erased_principal_is_gone_from_the_files_and_the_chain_tells_that_there_was_an_erasure() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    let of = |number, principal: &str| {
        let mut row = retrieval(number, "c", DAY, Ingest::Live);
        row.event.principal = Some(principal.parse().unwrap());
        row
    };
    lake.append_retrievals(vec![of(1, "alice"), of(2, "bob")], None).await.unwrap();
    lake.append_retrievals(vec![of(3, "alice")], None).await.unwrap();
    lake.append_retrievals(vec![of(4, "bob")], None).await.unwrap();
    let alice = "alice".parse().unwrap();
    let erased = lake.erase(Table::Retrievals, &alice, "fp:1234", at("2024-05-02T00:00:00Z")).await.unwrap();
    assert_eq!((erased.rows, erased.files, erased.swept_files), (2, 3, 3));
    let left: Vec<_> = read(&lake, Vec::new(), None)
        .await
        .iter()
        .map(|row| row.event.principal.clone().unwrap().to_string())
        .collect();
    assert_eq!(left, ["bob", "bob"]);
    for file in parquet_files(directory.path()) {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"alice"), "no file holds the name");
    }
    let verified = verify(&lake, Table::Retrievals).await;
    assert_eq!((verified.findings.len(), verified.erasures.len()), (0, 1));
    for commit in std::fs::read_dir(directory.path().join("retrievals/_delta_log")).unwrap() {
        let text = std::fs::read_to_string(commit.unwrap().path()).unwrap();
        assert!(!text.contains("alice"), "the log of the table names whom was erased: {text}");
    }
    assert_eq!(lake.erase(Table::Outputs, &alice, "fp:1234", at("2024-05-02T00:00:00Z")).await.unwrap().rows, 0);
}

#[tokio::test]
async fn a_long_log_is_shortened_and_the_table_stays_whole_and_verified() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    for number in 0..130 {
        lake.append_retrievals(vec![retrieval(number, "c", DAY, Ingest::Live)], None).await.unwrap();
    }
    let swept = lake.sweep(Table::Retrievals, at("2099-01-01T00:00:00Z"), 3_600).await.unwrap();
    assert!(swept.log_files >= 60, "{swept:?}");
    assert_eq!(read(&lake, Vec::new(), None).await.len(), 130);
    assert_eq!(verify(&lake, Table::Retrievals).await.findings, []);
}
