//! Damaged files: never a panic, never a wrong record, never more lost than was touched, and always told.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use tidemark_wal::{DamageKind, Error, Options, Recovery, Wal};

use crate::support::faulty::FaultyStorage;
use crate::support::{Numbers, SMALL, open, plain, read_all, sequence};

type Files = BTreeMap<String, Vec<u8>>;
type Records = Vec<(u64, Vec<u8>)>;

const FIRST: &str = "00000000000000000000.wal";

/// Twelve records in several segments, some of them empty.
fn sample() -> (Files, Records) {
    let storage = FaultyStorage::default();
    let (mut wal, _) = open(storage.clone(), SMALL);
    for round in 0..4_u8 {
        wal.append(&[vec![round; 30], Vec::new(), vec![round; 5]]).unwrap();
        wal.sync().unwrap();
    }
    assert!(wal.segments() >= 2);
    (storage.files(), read_all(&wal))
}

/// Where each record of a sound log lies: file, bytes, number.
fn places(files: &Files) -> Vec<(String, Range<usize>, u64)> {
    let mut places = Vec::new();
    for (name, bytes) in files {
        let mut at = 24;
        while at < bytes.len() {
            let payload_bytes = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap());
            let number = u64::from_le_bytes(bytes[at + 8..at + 16].try_into().unwrap());
            let end = at + 24 + usize::try_from(payload_bytes).unwrap();
            places.push((name.clone(), at..end, number));
            at = end;
        }
    }
    places
}

fn reopen(files: &Files) -> (Records, Recovery) {
    let (wal, recovery) = open(FaultyStorage::with_files(files), SMALL);
    (read_all(&wal), recovery)
}

/// The log works on after whatever was found in it.
fn check_usable(files: &Files) {
    let storage = FaultyStorage::with_files(files);
    let (mut wal, recovery) = open(storage.clone(), Options { budget_bytes: 1 << 20, ..SMALL });
    let before = read_all(&wal);
    let range = wal.append(&[b"one more"]).unwrap();
    assert_eq!(range.start, recovery.next_sequence);
    wal.sync().unwrap();
    storage.restart(Some(&mut Numbers(1)));
    let (wal, again) = open(storage, SMALL);
    let mut expected = before;
    expected.push((plain(&range).start, b"one more".to_vec()));
    assert_eq!(read_all(&wal), expected);
    assert_eq!(again.torn_tail, None, "the tail was mended the first time");
    assert_eq!(again.damage.listed(), recovery.damage.listed(), "damage stays and is told again");
}

#[test]
fn any_damaged_byte_costs_its_own_record_and_no_other() {
    let (files, records) = sample();
    let places = places(&files);
    let final_number = places.last().unwrap().2;
    for (name, bytes) in &files {
        for at in 0..bytes.len() {
            for mask in [0xFF, 0x01, 0x80] {
                let mut damaged = files.clone();
                damaged.get_mut(name).unwrap()[at] ^= mask;
                let touched = places.iter().find(|(file, range, _)| file == name && range.contains(&at));
                let lost = touched.map(|(_, _, number)| *number);
                let (read, recovery) = reopen(&damaged);
                let expected: Records = records.iter().filter(|(number, _)| Some(*number) != lost).cloned().collect();
                assert_eq!(read, expected, "byte {at} of {name}");
                if lost == Some(final_number) {
                    let torn = recovery.torn_tail.unwrap();
                    assert_eq!((recovery.damage.regions(), torn.path.to_str()), (0, Some(name.as_str())));
                } else {
                    assert_eq!((recovery.damage.regions(), recovery.torn_tail), (1, None), "byte {at} of {name}");
                    let damage = &recovery.damage.listed()[0];
                    assert_eq!(damage.path.to_str(), Some(name.as_str()));
                    let region = damage.offset..damage.offset + damage.bytes;
                    assert!(region.contains(&(at as u64)));
                    let missing = lost.map_or(0..0, |lost| lost..lost + 1);
                    assert_eq!(plain(&damage.missing).count(), missing.clone().count());
                    assert!(missing.is_empty() || plain(&damage.missing) == missing);
                }
                check_usable(&damaged);
            }
        }
    }
}

#[test]
fn a_log_cut_at_any_byte_keeps_every_whole_record_before() {
    let (files, records) = sample();
    let places = places(&files);
    for (name, bytes) in &files {
        let is_last = files.keys().next_back() == Some(name);
        for kept in 0..bytes.len() {
            let mut cut = files.clone();
            cut.get_mut(name).unwrap().truncate(kept);
            let lost: Vec<u64> = places.iter().filter(|(f, r, _)| f == name && r.end > kept).map(|p| p.2).collect();
            let (read, recovery) = reopen(&cut);
            let expected: Records = records.iter().filter(|(number, _)| !lost.contains(number)).cloned().collect();
            assert_eq!(read, expected, "{name} cut at {kept}");
            assert_eq!(recovery.damage.is_empty(), is_last, "a crash only ever cuts the last segment");
            if !is_last {
                assert_eq!(recovery.damage.sequences_missing(), lost.len() as u64);
            }
            check_usable(&cut);
        }
    }
}

#[test]
fn a_reader_tells_the_damage_it_steps_over_and_only_that() {
    let (mut files, _) = sample();
    files.get_mut(FIRST).unwrap()[60] ^= 1;
    let (wal, recovery) = open(FaultyStorage::with_files(&files), SMALL);
    let told = |from: u64| {
        let mut reader = wal.read_from(sequence(from)).unwrap();
        assert!(reader.by_ref().all(|record| record.is_ok()));
        reader.damage().clone()
    };
    assert_eq!(told(0), recovery.damage);
    assert_eq!(recovery.damage.listed()[0].kind, DamageKind::Payload);
    assert!(told(1).is_empty());
}

#[test]
fn a_missing_segment_is_told_with_the_numbers_it_held() {
    let (mut files, records) = sample();
    let names: Vec<String> = files.keys().cloned().collect();
    assert!(names.len() > 2);
    let held: Vec<u64> = places(&files).into_iter().filter(|place| place.0 == names[1]).map(|place| place.2).collect();
    files.remove(&names[1]);
    let (read, recovery) = reopen(&files);
    assert_eq!(read.len(), records.len() - held.len());
    let damage = &recovery.damage.listed()[0];
    assert_eq!((damage.kind, damage.bytes), (DamageKind::Absent, 0));
    assert_eq!(plain(&damage.missing).collect::<Vec<_>>(), held);
}

#[test]
fn a_copy_of_the_log_inside_a_payload_is_never_taken_for_records() {
    let (files, _) = sample();
    let storage = FaultyStorage::default();
    let (mut wal, _) = open(storage.clone(), SMALL);
    wal.append(&[&files[FIRST][..], b"behind it"]).unwrap();
    wal.sync().unwrap();
    let mut files = storage.files();
    files.get_mut(FIRST).unwrap()[24] ^= 1;
    assert_eq!(reopen(&files).0, vec![(1, b"behind it".to_vec())]);
}

#[test]
fn a_header_that_asks_for_more_than_the_file_holds_allocates_nothing() {
    // Such a header needs a forged checksum, so this goes through a log that was written with a larger limit.
    let storage = FaultyStorage::default();
    let large = Options { budget_bytes: 1 << 20, record_bytes_max: 1 << 16, ..SMALL };
    let (mut wal, _) = open(storage.clone(), large);
    wal.append(&[vec![7; 1 << 16]]).unwrap();
    wal.sync().unwrap();
    let refused = Wal::open(FaultyStorage::with_files(&storage.files()), SMALL);
    assert!(matches!(refused, Err(Error::CheckingLength { bytes: 0x1_0000, limit: 1024, .. })));
    let mut files = storage.files();
    files.get_mut(FIRST).unwrap().truncate(1000);
    assert_eq!(reopen(&files).1.torn_tail.unwrap().bytes, 1000 - 24);
}

#[test]
fn what_only_a_person_can_put_right_is_refused() {
    let (files, _) = sample();
    let refused = |files: &Files| Wal::open(FaultyStorage::with_files(files), SMALL).err().unwrap();

    let mut renamed = files.clone();
    let (_, bytes) = renamed.pop_last().unwrap();
    renamed.insert("00000000000000000077.wal".to_owned(), bytes);
    assert!(matches!(refused(&renamed), Error::CheckingName { .. }));

    let mut newer = files.clone();
    let header = &mut newer.get_mut(FIRST).unwrap()[..24];
    header[8] = 2;
    let checksum = crc32c::crc32c(&header[..20]);
    header[20..].copy_from_slice(&checksum.to_le_bytes());
    assert!(matches!(refused(&newer), Error::CheckingVersion { found: 2, supported: 1, .. }));

    let other = FaultyStorage::default();
    let (mut wal, _) = open(other.clone(), SMALL);
    wal.advance_to(sequence(2)).unwrap();
    let mut mixed = files.clone();
    mixed.extend(other.files());
    assert!(matches!(refused(&mixed), Error::CheckingOrder { .. }));
}

#[test]
fn two_logs_in_one_folder_are_refused_even_if_the_record_that_shows_it_is_cut_off() {
    let one = FaultyStorage::default();
    let (mut wal, _) = open(one.clone(), Options { segment_bytes: 4096, ..SMALL });
    wal.append(&[[1; 30]; 4]).unwrap();
    wal.sync().unwrap();
    let other = FaultyStorage::default();
    let (mut wal, _) = open(other.clone(), SMALL);
    wal.advance_to(sequence(3)).unwrap();
    wal.append(&[b"number 3 of the other log"]).unwrap();
    wal.sync().unwrap();
    let mut files = one.files();
    let bytes = files[FIRST].len();
    files.get_mut(FIRST).unwrap().truncate(bytes - 1);
    files.extend(other.files());
    let refused = Wal::open(FaultyStorage::with_files(&files), SMALL);
    assert!(matches!(refused, Err(Error::CheckingOrder { .. })), "number 3 would be read and told as missing");
}

#[test]
fn many_damaged_records_cost_no_more_time_than_sound_ones() {
    let storage = FaultyStorage::default();
    let options = Options { segment_bytes: 1 << 23, budget_bytes: 1 << 24, ..SMALL };
    let (mut wal, _) = open(storage.clone(), options);
    wal.append(&vec![[7_u8; 26]; 80_000]).unwrap();
    wal.sync().unwrap();
    let mut files = storage.files();
    for record in (0..80_000).step_by(2) {
        files.get_mut(FIRST).unwrap()[24 + record * 50 + 20] ^= 1;
    }
    let (wal, recovery) = open(FaultyStorage::with_files(&files), options);
    assert_eq!((recovery.records, recovery.damage.regions()), (40_000, 40_000));
    assert_eq!(read_all(&wal).len(), 40_000);
}

/// Bytes that are more like a log than chance would make them.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        vec(any::<u8>(), 0..200),
        Just(b"TDMKWAL\0\x01\0\x18\0".to_vec()),
        Just(b"\xF5TR\xC0".to_vec()),
        Just(vec![0xFF; 24]),
        Just(vec![0; 24]),
        (0_usize..4, 0_usize..300, 0_usize..300).prop_map(|(file, from, bytes)| {
            let bytes_of: Vec<Vec<u8>> = sample().0.into_values().collect();
            let whole = &bytes_of[file % bytes_of.len()];
            let from = from.min(whole.len());
            whole[from..(from + bytes).min(whole.len())].to_vec()
        }),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_files_open_without_a_wrong_record(contents in vec((0_u64..40, garbage()), 0..5)) {
        let files: Files = contents.into_iter().map(|(first, bytes)| (format!("{first:020}.wal"), bytes)).collect();
        let (_, genuine) = sample();
        match Wal::open(FaultyStorage::with_files(&files), SMALL) {
            Ok((wal, _)) => {
                for record in read_all(&wal) {
                    prop_assert!(genuine.contains(&record), "made up: {record:?}");
                }
                check_usable(&files);
            }
            Err(error) => prop_assert!(
                matches!(error, Error::CheckingName { .. } | Error::CheckingOrder { .. }), "{error}"
            ),
        }
    }
}
