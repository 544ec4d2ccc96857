//! A real log that is damaged anywhere: damage costs the records it touches and no others, and is always told.

use std::ops::Range;

use tidemark_wal::{Error, Options, Recovery, Wal};

use crate::disk::{Disk, Files, Records, check_usable, read_all};
use crate::input::Input;

const HEADER_BYTES: usize = 24;

const FILE_BYTES_MAX: usize = 16 * 1024;

/// A log as it was written.
struct Written {
    files: Files,
    records: Records,
    /// Where each record lies.
    places: Vec<(String, Range<usize>, u64)>,
}

/// A log and its damage, both from arbitrary bytes.
pub fn wal_mutation(bytes: &[u8]) {
    let mut input = Input(bytes);
    let segment_bytes = 64 + 4 * u64::from(input.byte());
    let options = Options { segment_bytes, budget_bytes: 1 << 22, record_bytes_max: 1 << 16 };
    let written = write(&mut input, options);
    let mut files = written.files.clone();
    // Insertions of files into each other double them.
    while !input.is_empty() && !files.is_empty() && files.values().all(|content| content.len() < FILE_BYTES_MAX) {
        damage(&mut input, &mut files);
    }

    let disk = Disk::with(&files);
    let (wal, recovery) = match Wal::open(disk.clone(), options) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(matches!(error, Error::CheckingName { .. }), "{error}");
            assert_eq!(disk.files(), files, "what is refused is not changed");
            return;
        }
    };
    let records = read_all(&wal, &recovery);
    for record in &records {
        assert!(written.records.contains(record), "{record:?} was never appended");
    }
    for (name, place, number) in &written.places {
        let untouched =
            files.get(name).and_then(|now| now.get(place.clone())) == written.files[name].get(place.clone());
        let given = records.binary_search_by_key(number, |record| record.0).is_ok();
        assert!(given || !untouched, "record {number} is lost although nothing touched it");
    }
    check_told(&written, &files, &recovery);
    drop(wal);
    check_usable(&disk, options, &records, &recovery);
}

/// When nothing is told, every segment that is there is as it was; the last may end sooner, between two records.
fn check_told(written: &Written, files: &Files, recovery: &Recovery) {
    if !recovery.damage.is_empty() || recovery.torn_tail.is_some() {
        return;
    }
    for (name, now) in files {
        let before = &written.files[name];
        let last = files.keys().next_back() == Some(name);
        let mut ends = written.places.iter().filter(|(file, ..)| file == name).map(|(_, place, _)| place.end);
        let between = [0, HEADER_BYTES].contains(&now.len()) || ends.any(|end| end == now.len());
        assert!(now == before || (last && between && before.starts_with(now)), "damage of {name} is not told");
    }
}

fn write(input: &mut Input<'_>, options: Options) -> Written {
    let disk = Disk::default();
    let (mut wal, found) = Wal::open(disk.clone(), options).unwrap();
    for _ in 0..input.byte() % 8 {
        let payload = |input: &mut Input<'_>| match input.byte() {
            // A log inside of a log: what a scan must not take for records. Without the header of the segment: bytes that
            // end in their own CRC can be exchanged for others that do, and no CRC around them sees it.
            255 => disk.files().values().next().and_then(|log| log.get(HEADER_BYTES..)).unwrap_or_default().to_vec(),
            254 => input.text().to_vec(),
            count => vec![input.byte(); count.into()],
        };
        let batch: Vec<Vec<u8>> = (0..input.byte() % 4).map(|_| payload(input)).collect();
        wal.append(&batch).unwrap();
        wal.sync().unwrap();
    }
    let records = read_all(&wal, &found);
    drop(wal);
    let files = disk.files();
    let mut places = Vec::new();
    let mut numbered = records.iter();
    for (name, content) in &files {
        let mut at = HEADER_BYTES;
        while at < content.len() {
            let (number, payload) = numbered.next().unwrap();
            let end = at + HEADER_BYTES + payload.len();
            places.push((name.clone(), at..end, *number));
            at = end;
        }
    }
    assert!(numbered.next().is_none());
    Written { files, records, places }
}

/// One change of one file.
fn damage(input: &mut Input<'_>, files: &mut Files) {
    let what = input.byte();
    let name = files.keys().nth(input.place(files.len())).unwrap().clone();
    let other = files.values().nth(input.place(files.len())).unwrap().clone();
    let content = files.get_mut(&name).unwrap();
    let at = input.place(content.len() + 1);
    let to = at + input.place(content.len() - at + 1);
    match what % 9 {
        0 => {
            let mask = input.byte();
            content.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= mask);
        }
        1 => drop(content.drain(at..to)),
        2 => drop(content.splice(at..at, input.text().iter().copied())),
        3 => content.truncate(at),
        4 => content[at..to].fill(input.byte()),
        // A piece of one file over or into another, as a file system does that lost its mind.
        5 => {
            let piece = other.get(at..to).unwrap_or_default().to_vec();
            content.splice(at..(at + piece.len()).min(content.len()), piece);
        }
        6 => {
            let from = input.place(other.len() + 1);
            content.splice(at..at, other[from..].iter().copied());
        }
        7 => *content = other,
        _ => drop(files.remove(&name)),
    }
}
