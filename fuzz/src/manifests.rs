//! Manifests from outside: what is read is a manifest, and is the same when it is written and read again.

use std::io::BufReader;

use tidemark_corpus::{Error, Manifest, read_ndjson, read_parquet, write_parquet};
use tidemark_schema::ErrorKind;

const MAX_ENTRIES: u64 = 1_000;

/// Arbitrary bytes as lines of JSON.
pub fn manifest_ndjson(bytes: &[u8]) {
    let whole = read_ndjson(bytes, MAX_ENTRIES);
    let in_parts = read_ndjson(BufReader::with_capacity(3, bytes), MAX_ENTRIES);
    match (whole, in_parts) {
        (Ok(whole), Ok(in_parts)) => {
            assert_eq!(whole, in_parts, "the parts in which bytes come change nothing");
            check_manifest(&whole);
            let fewer = read_ndjson(bytes, whole.len() as u64 - 1);
            assert!(matches!(fewer, Err(Error::TooManyEntries { .. })));
        }
        (Err(whole), Err(in_parts)) => {
            assert_eq!(whole.to_string(), in_parts.to_string());
            check_error(&whole);
        }
        (whole, in_parts) => panic!("{whole:?}, {in_parts:?}"),
    }
}

fn check_manifest(manifest: &Manifest) {
    assert!((1..=MAX_ENTRIES).contains(&(manifest.len() as u64)));
    assert!(manifest.entries().array_windows().all(|[a, b]| a.doc_id < b.doc_id), "ids ascend");
    assert!(manifest.entries().iter().all(|entry| manifest.get(&entry.doc_id) == Some(entry)));
    let lines: Vec<String> = manifest.entries().iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
    let again = read_ndjson(lines.join("\n").as_bytes(), MAX_ENTRIES).unwrap();
    assert_eq!(&again, manifest);
    assert_eq!(again.root(), manifest.root());
    assert_eq!(manifest.encode().unwrap().root(), manifest.root());
    let again = read_parquet(write_parquet(manifest).unwrap(), MAX_ENTRIES).unwrap();
    assert_eq!(&again, manifest);
}

fn check_error(error: &Error) {
    assert!(!error.to_string().is_empty());
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}
