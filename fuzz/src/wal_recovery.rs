//! Opening a folder that holds anything. The input is a list of steps that lay segments with right checksums over wrong
//! values, which chance would never meet, between bytes of any kind.

use tidemark_wal::{Error, Options, Sequence, Wal};

use crate::disk::{Disk, Files, Records, check_usable, read_all};
use crate::input::Input;

/// Small enough that a few records fill a segment, and that a record can be too long.
const OPTIONS: Options = Options { segment_bytes: 400, budget_bytes: 1 << 22, record_bytes_max: 1024 };

const HEADER_BYTES: usize = 24;
const RECORD_MAGIC: [u8; 4] = [0xF5, b'T', b'R', 0xC0];

/// Arbitrary segments.
pub fn wal_recovery(bytes: &[u8]) {
    let files = lay(&mut Input(bytes));
    let disk = Disk::with(&files);
    let (wal, recovery) = match Wal::open(disk.clone(), OPTIONS) {
        Ok(opened) => opened,
        Err(error) => {
            let known = matches!(
                error,
                Error::CheckingVersion { .. }
                    | Error::CheckingName { .. }
                    | Error::CheckingOrder { .. }
                    | Error::CheckingLength { .. }
            );
            assert!(known, "{error}");
            assert_eq!(disk.files(), files, "what is refused is not changed");
            return;
        }
    };
    let records = read_all(&wal, &recovery);
    assert_eq!(records.len() as u64, recovery.records);
    assert_eq!((wal.first_sequence(), wal.next_sequence()), (recovery.first_sequence, recovery.next_sequence));
    check_intact(&files, &records);
    drop(wal);

    let mended = disk.files();
    let bytes: usize = mended.values().map(Vec::len).sum();
    assert_eq!((recovery.bytes, recovery.segments), (bytes as u64, mended.len() as u64));
    for (name, content) in &files {
        let after = mended.get(name).map(Vec::as_slice).unwrap_or_default();
        let last = files.keys().next_back() == Some(name);
        let cut = recovery.torn_tail.as_ref().filter(|torn| torn.path.to_str() == Some(name.as_str()));
        match cut {
            Some(torn) => {
                assert!(last, "only the last segment is cut");
                let kept = usize::try_from(torn.offset).unwrap();
                assert_eq!(content.len(), kept + usize::try_from(torn.bytes).unwrap());
                assert!(after.starts_with(&content[..kept]) && (after.len() == kept || kept == 0));
            }
            None => assert!(after == content || (last && content.is_empty()), "nothing is repaired by changing it"),
        }
    }
    check_usable(&disk, OPTIONS, &records, &recovery);
}

/// Every record that is given lies in the segment that has its number, at a place where both checksums match. Written from
/// `FORMAT.md`, not from the code.
fn check_intact(files: &Files, records: &Records) {
    let segments: Vec<(u64, &[u8])> =
        files.iter().map(|(name, content)| (name[..20].parse().unwrap(), content.as_slice())).collect();
    let mut from = (0, 0);
    for (number, payload) in records {
        let segment = segments.iter().rposition(|(first, _)| first <= number).unwrap();
        let (first, content) = segments[segment];
        let start = if from.0 == segment { from.1 } else { 0 };
        let crc = crc32c::crc32c(payload);
        let mut fields = RECORD_MAGIC.to_vec();
        fields.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
        fields.extend(number.to_le_bytes());
        fields.extend(crc.to_le_bytes());
        let lies_at = |at: &usize| {
            let found = &content[*at..];
            let whole = || [&fields, &header_checksum(&fields, first, *at)[..], payload].concat();
            found.starts_with(&fields) && found.starts_with(&whole())
        };
        let at = (start..content.len()).find(lies_at).unwrap_or_else(|| panic!("record {number} is made up"));
        from = (segment, at + HEADER_BYTES + payload.len());
    }
}

fn header_checksum(fields: &[u8], first: u64, offset: usize) -> [u8; 4] {
    let covered = [fields, &first.to_le_bytes(), &(offset as u64).to_le_bytes()].concat();
    crc32c::crc32c(&covered).to_le_bytes()
}

/// The segment that steps are laying.
struct Laid {
    first: u64,
    next: u64,
    content: Vec<u8>,
}

fn lay(input: &mut Input<'_>) -> Files {
    let mut files = Files::new();
    let mut laid = Laid { first: 0, next: 0, content: Vec::new() };
    while !input.is_empty() {
        match input.byte() {
            0 => {
                files.insert(format!("{:020}.wal", laid.first), std::mem::take(&mut laid.content));
                let first = match input.byte() {
                    255 => number(input),
                    254 => laid.next,
                    small => u64::from(small),
                };
                laid = Laid { first, next: first, content: Vec::new() };
            }
            1 => laid.header(1, 24, laid.first),
            2 => {
                let (version, header_bytes) = (input.u16(), input.u16());
                let first = number(input);
                laid.header(version, header_bytes, first);
            }
            3 => {
                let (count, fill) = (input.byte(), input.byte());
                let payload = vec![fill; count.into()];
                laid.record(u32::from(count), laid.next, crc32c::crc32c(&payload), &payload);
            }
            4 => {
                let (bytes, sequence) = (input.u32(), number(input));
                let sound = input.byte().is_multiple_of(2);
                let payload = input.text();
                let checksum = crc32c::crc32c(payload) ^ u32::from(!sound);
                laid.record(bytes, sequence, checksum, payload);
            }
            5 => {
                let ahead = input.byte();
                let payload = input.text();
                let sequence = laid.next.saturating_add(ahead.into()).min(LAST);
                laid.record(u32::try_from(payload.len()).unwrap(), sequence, crc32c::crc32c(payload), payload);
            }
            6 => laid.content.extend_from_slice(input.text()),
            7 => {
                let count = usize::from(input.u16() % 512);
                laid.content.extend(vec![0; count]);
            }
            other => laid.content.push(other),
        }
    }
    files.insert(format!("{:020}.wal", laid.first), laid.content);
    files
}

/// The last number that `append` gives; one further can be written by nobody.
const LAST: u64 = Sequence::MAX.get() - 1;

fn number(input: &mut Input<'_>) -> u64 {
    input.u64().min(LAST)
}

impl Laid {
    /// A header with a right checksum, whatever it says.
    fn header(&mut self, version: u16, header_bytes: u16, first: u64) {
        let start = self.content.len();
        self.content.extend(b"TDMKWAL\0");
        self.content.extend(version.to_le_bytes());
        self.content.extend(header_bytes.to_le_bytes());
        self.content.extend(first.to_le_bytes());
        let checksum = crc32c::crc32c(&self.content[start..]);
        self.content.extend(checksum.to_le_bytes());
    }

    /// A record with a right checksum of its header, whatever it says.
    fn record(&mut self, bytes: u32, sequence: u64, checksum: u32, payload: &[u8]) {
        let start = self.content.len();
        self.content.extend(RECORD_MAGIC);
        self.content.extend(bytes.to_le_bytes());
        self.content.extend(sequence.to_le_bytes());
        self.content.extend(checksum.to_le_bytes());
        let checksum = header_checksum(&self.content[start..], self.first, start);
        self.content.extend(checksum);
        self.content.extend_from_slice(payload);
        self.next = sequence.saturating_add(1).min(LAST);
    }
}
