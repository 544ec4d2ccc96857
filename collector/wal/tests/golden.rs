//! Files of every version of the format that was ever written, which must stay readable for good.
//!
//! Version 1: `tests/data/v1/00000000000000000041.wal`. After a change of the format keep it, raise the version, and
//! write the new file with `cargo test -p tidemark-wal -- --ignored write_the_golden_file`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tidemark_wal::Options;

use crate::support::faulty::FaultyStorage;
use crate::support::{open, read_all, sequence};

const NAME: &str = "00000000000000000041.wal";

fn records() -> Vec<Vec<u8>> {
    vec![b"the first record".to_vec(), Vec::new(), (0..=255).collect(), "grün \u{1F30A}".into()]
}

fn path(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(version).join(NAME)
}

/// The file as this build writes it.
fn written_now() -> Vec<u8> {
    let storage = FaultyStorage::default();
    let (mut wal, _) = open(storage.clone(), Options::default());
    wal.advance_to(sequence(41)).unwrap();
    wal.append(&records()).unwrap();
    wal.sync().unwrap();
    storage.files().remove(NAME).unwrap()
}

fn check_readable(bytes: Vec<u8>) {
    let files = BTreeMap::from([(NAME.to_owned(), bytes)]);
    let (wal, recovery) = open(FaultyStorage::with_files(&files), Options::default());
    let expected: Vec<_> = (41..).zip(records()).collect();
    assert_eq!(read_all(&wal), expected);
    assert!(recovery.damage.is_empty() && recovery.torn_tail.is_none());
    assert_eq!(wal.next_sequence().get(), 45);
}

#[test]
fn a_file_of_version_1_is_readable() {
    check_readable(std::fs::read(path("v1")).unwrap());
}

#[test]
fn this_build_writes_version_1_byte_for_byte() {
    assert_eq!(written_now(), std::fs::read(path("v1")).unwrap());
}

#[test]
#[ignore = "writes into the source tree"]
fn write_the_golden_file() {
    std::fs::create_dir_all(path("v1").parent().unwrap()).unwrap();
    std::fs::write(path("v1"), written_now()).unwrap();
}
