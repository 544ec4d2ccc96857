//! The log on a real disk, and what an operation costs.

use std::fs;

use tidemark_wal::{Error, FileStorage, Options, Wal};

use crate::support::faulty::{Fault, FaultyStorage};
use crate::support::{SMALL, open, plain, read_all, sequence};

#[test]
fn a_log_on_disk_survives_being_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/yet/there");
    let (mut wal, recovery) = open(FileStorage::open(&path).unwrap(), SMALL);
    assert_eq!((recovery.records, recovery.segments, recovery.next_sequence.get()), (0, 1, 0));
    for round in 0..10_u8 {
        wal.append(&[vec![round; 40], vec![round; 3]]).unwrap();
        wal.sync().unwrap();
    }
    let before = read_all(&wal);
    drop(wal);
    let (mut wal, recovery) = open(FileStorage::open(&path).unwrap(), SMALL);
    assert_eq!((read_all(&wal), recovery.records), (before, 20));
    assert!(recovery.segments > 1 && recovery.torn_tail.is_none());
    let bytes = wal.bytes();
    let freed = wal.truncate_before(sequence(20)).unwrap();
    assert_eq!((wal.bytes(), wal.segments()), (bytes - freed, 1));
}

#[test]
fn a_torn_tail_on_disk_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (mut wal, _) = open(FileStorage::open(folder.path()).unwrap(), SMALL);
    wal.append(&[b"kept", b"torn"]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let segment = folder.path().join("00000000000000000000.wal");
    let sound = fs::read(&segment).unwrap();
    fs::write(&segment, &sound[..sound.len() - 1]).unwrap();
    let (mut wal, recovery) = open(FileStorage::open(folder.path()).unwrap(), SMALL);
    assert_eq!(recovery.torn_tail.map(|torn| (torn.path, torn.offset, torn.bytes)), Some((segment, 52, 27)));
    wal.append(&[b"next"]).unwrap();
    wal.sync().unwrap();
    assert_eq!(read_all(&wal), vec![(0, b"kept".to_vec()), (1, b"next".to_vec())]);
}

#[test]
fn a_second_owner_is_refused_until_the_first_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = FileStorage::open(folder.path()).unwrap();
    assert!(matches!(FileStorage::open(folder.path()), Err(Error::AlreadyLocked { .. })));
    drop(first);
    assert!(FileStorage::open(folder.path()).is_ok());
}

#[test]
fn files_of_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("note.txt"), b"mine").unwrap();
    fs::write(folder.path().join("00000000000000000000.wal.bak"), b"mine").unwrap();
    let (wal, recovery) = open(FileStorage::open(folder.path()).unwrap(), SMALL);
    assert_eq!((recovery.segments, wal.bytes()), (1, 24));
    assert_eq!(fs::read(folder.path().join("note.txt")).unwrap(), b"mine");
}

#[test]
fn a_batch_of_a_thousand_records_is_one_write_and_one_sync() {
    let storage = FaultyStorage::default();
    let (mut wal, _) = open(storage.clone(), Options::default());
    let batch = vec![vec![7_u8; 1_500]; 1_000];
    let (writes, syncs) = storage.writes_and_syncs();
    wal.append(&batch).unwrap();
    wal.sync().unwrap();
    wal.sync().unwrap();
    assert_eq!(storage.writes_and_syncs(), (writes + 1, syncs + 1));
}

#[test]
fn reading_from_the_middle_opens_only_the_segments_behind() {
    let storage = FaultyStorage::default();
    let (mut wal, _) = open(storage.clone(), SMALL);
    for _ in 0..10 {
        wal.append(&[[7_u8; 100]]).unwrap();
    }
    wal.sync().unwrap();
    let before = storage.files_read();
    let numbers: Vec<u64> = wal.read_from(sequence(8)).unwrap().map(|record| record.unwrap().sequence.get()).collect();
    assert_eq!((numbers, storage.files_read() - before), (vec![8, 9], 2));
}

#[test]
fn what_is_not_durable_is_not_shown() {
    let (mut wal, _) = open(FaultyStorage::default(), SMALL);
    wal.append(&[b"durable"]).unwrap();
    wal.sync().unwrap();
    wal.append(&[b"not yet"]).unwrap();
    assert_eq!(read_all(&wal), vec![(0, b"durable".to_vec())]);
    assert_eq!(wal.read_from(sequence(2)).unwrap().count(), 0);
    assert!(matches!(wal.read_from(sequence(3)), Err(Error::ReadingBeyondEnd { .. })));
    assert!(matches!(wal.truncate_before(sequence(2)), Err(Error::TruncatingBeyondDurable { .. })));
}

#[test]
fn numbering_goes_on_after_everything_was_given_up() {
    let storage = FaultyStorage::default();
    let (mut wal, _) = open(storage.clone(), SMALL);
    for _ in 0..9 {
        wal.append(&[[7_u8; 100]]).unwrap();
    }
    wal.sync().unwrap();
    wal.truncate_before(sequence(9)).unwrap();
    assert_eq!((wal.segments(), wal.first_sequence().get()), (1, 8));
    assert!(matches!(wal.read_from(sequence(0)), Err(Error::ReadingBeforeStart { .. })));
    let (mut wal, _) = open(storage, SMALL);
    assert_eq!(plain(&wal.append(&[b"next"]).unwrap()), 9..10);
}

#[test]
fn a_full_log_refuses_and_takes_batches_again_once_it_is_drained() {
    let options = Options { segment_bytes: 4096, ..SMALL };
    let (mut wal, _) = open(FaultyStorage::default(), options);
    let batch = vec![vec![7_u8; 900]; 4];
    wal.append(&batch).unwrap();
    let durable = wal.sync().unwrap();
    let error = wal.append(&batch).unwrap_err();
    assert!(error.is_out_of_space() && !error.is_poisoned());
    wal.truncate_before(durable).unwrap();
    assert_eq!(plain(&wal.append(&batch).unwrap()), 4..8, "the drained segment made room");
    assert!(wal.bytes() <= options.budget_bytes);
}

#[test]
fn a_record_above_the_limit_refuses_the_whole_batch() {
    let (mut wal, _) = open(FaultyStorage::default(), SMALL);
    let refused = wal.append(&[vec![1; 10], vec![1; 1025]]);
    assert!(matches!(refused, Err(Error::MeasuringRecord { index: 1, bytes: 1025, limit: 1024 })));
    assert_eq!((wal.next_sequence().get(), wal.bytes()), (0, 24));
}

#[test]
fn a_failed_sync_closes_the_log_until_it_is_opened_again() {
    let storage = FaultyStorage::default();
    let (mut wal, _) = open(storage.clone(), SMALL);
    wal.append(&[b"durable"]).unwrap();
    wal.sync().unwrap();
    wal.append(&[b"lost"]).unwrap();
    storage.fail_after(0, Fault::Error(std::io::ErrorKind::Other));
    assert!(matches!(wal.sync(), Err(Error::Syncing { .. })));
    assert!(matches!(wal.sync(), Err(Error::Poisoned { .. })), "never tried again on the same file");
    assert!(matches!(wal.append(&[b"more"]), Err(Error::Poisoned { .. })));
    assert_eq!(read_all(&wal).len(), 1, "still readable");
    let (wal, _) = open(storage, SMALL);
    assert_eq!(read_all(&wal), vec![(0, b"durable".to_vec())]);
}

#[test]
fn a_failed_write_that_cannot_be_taken_back_closes_the_log() {
    let storage = FaultyStorage::default();
    let (mut wal, _) = open(storage.clone(), SMALL);
    wal.append(&[b"durable"]).unwrap();
    wal.sync().unwrap();
    storage.fail_after(0, Fault::Crash);
    let error = wal.append(&[b"half"]).unwrap_err();
    assert!(matches!(error, Error::Undoing { .. }) && error.is_poisoned() && wal.is_poisoned());
}

#[test]
fn a_log_can_be_sent_to_the_thread_that_runs_it() {
    fn check<T: Send>() {}
    check::<Wal<FileStorage>>();
    check::<Error>();
}
