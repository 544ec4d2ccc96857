//! What a million entries take. Measured on request: `cargo test -p tidemark-corpus -- --ignored --nocapture million`

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::time::Instant;

use object_store::local::LocalFileSystem;

use super::*;
use crate::read::encode_ndjson;

const ENTRIES: u64 = 1_000_000;

/// The most memory that the process had since it was last asked, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn write_manifest(path: &std::path::Path, changed: u64) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for i in 0..ENTRIES {
        let hash = blake3::hash(format!("{i} {}", changed == i).as_bytes()).to_hex();
        let (hash, tokens) = (&hash[..32], i % 500);
        writeln!(
            file,
            r#"{{"doc_id":"docs/page-{i:07}.md#1","content_hash":"b3:{hash}","tokens":{tokens},"scope":"public"}}"#
        )
        .unwrap();
    }
}

#[tokio::test]
#[ignore = "takes half a minute without optimisation, and asks Linux for the memory of the whole process"]
#[expect(clippy::print_stderr, reason = "the figures are what it is run for")]
async fn a_million_entries_are_registered_within_a_hundred_megabytes_and_compared_within_a_second() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::new(Arc::new(LocalFileSystem::new_with_prefix(root.path()).unwrap()), Path::ROOT);
    let corpus: CorpusName = "cran".parse().unwrap();
    let [v1, v2]: [CorpusVersion; 2] = ["v1", "v2"].map(|version| version.parse().unwrap());
    for (version, changed) in [(&v1, ENTRIES), (&v2, 777_777)] {
        let path = root.path().join("manifest.ndjson");
        write_manifest(&path, changed);
        peak_kib();
        let start = Instant::now();
        let encoded = encode_ndjson(BufReader::new(File::open(&path).unwrap()), ENTRIES).unwrap();
        let new = NewVersion::named(corpus.clone(), version.clone(), "2026-11-01T00:00:00Z".parse().unwrap());
        registry.register_encoded(new, encoded).await.unwrap();
        let (took, peak) = (start.elapsed(), peak_kib());
        eprintln!("registered {version} in {took:?} with {peak} KiB");
        assert!(peak < 100 * 1024, "{peak} KiB");
    }
    let start = Instant::now();
    let found = registry.diff(&corpus, &v1, &v2).await.unwrap();
    let (took, peak) = (start.elapsed(), peak_kib());
    eprintln!("compared in {took:?} with {peak} KiB");
    assert_eq!((found.modified.len(), found.unchanged), (1, ENTRIES - 1));
    assert!(took.as_secs() < 1, "{took:?}");
    let start = Instant::now();
    registry.verify(&corpus, &v2).await.unwrap();
    eprintln!("verified in {:?} with {} KiB", start.elapsed(), peak_kib());
}
