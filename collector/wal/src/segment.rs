//! What the log remembers about one file.

use crate::format::SEGMENT_HEADER_BYTES;
use crate::sequence::Sequence;

/// How far apart the places are that a segment remembers: a reader that begins in the middle passes over this much.
const INDEX_STRIDE_BYTES: u64 = 256 * 1024;

const SUFFIX: &str = ".wal";
const NAME_DIGITS: usize = 20;

/// One file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The number of its first record, and its name.
    pub(crate) first: Sequence,
    /// One past the number of its last record.
    pub(crate) end: Sequence,
    /// Its length.
    pub(crate) bytes: u64,
    /// Where its records begin.
    pub(crate) header_bytes: u64,
    /// Some intact records and where they lie, ascending.
    index: Vec<(Sequence, u64)>,
}

impl Segment {
    /// A segment with a header and no records.
    pub(crate) const fn empty(first: Sequence) -> Self {
        let header_bytes = SEGMENT_HEADER_BYTES as u64;
        Self { first, end: first, bytes: header_bytes, header_bytes, index: Vec::new() }
    }

    /// The file that holds it.
    pub(crate) fn name(&self) -> String {
        segment_name(self.first)
    }

    /// Whether it ever held a record. One that did not has the name the next segment would have.
    pub(crate) fn has_records(&self) -> bool {
        self.end > self.first
    }

    /// Remembers an intact record, if it lies far enough from the one remembered last.
    pub(crate) fn note(&mut self, sequence: Sequence, offset: u64) {
        let due = self.index.last().map_or(self.header_bytes, |(_, last)| last + INDEX_STRIDE_BYTES);
        if offset >= due {
            self.index.push((sequence, offset));
        }
    }

    /// A place from which reading forward meets record `sequence`.
    pub(crate) fn start_for(&self, sequence: Sequence) -> (Sequence, u64) {
        let after = self.index.partition_point(|(noted, _)| *noted <= sequence);
        let noted = after.checked_sub(1).and_then(|last| self.index.get(last));
        noted.copied().unwrap_or((self.first, self.header_bytes))
    }
}

/// The name of the segment that begins with `first`. Twenty digits, so that names sort as numbers do.
pub(crate) fn segment_name(first: Sequence) -> String {
    format!("{:0NAME_DIGITS$}{SUFFIX}", first.get())
}

/// The number in the name of a segment; `None` for files that are none of ours, which are left alone.
pub(crate) fn parse_segment_name(name: &str) -> Option<Sequence> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() != NAME_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Sequence::try_from(digits.parse::<u64>().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(value: u64) -> Sequence {
        Sequence::try_from(value).unwrap_or_default()
    }

    #[test]
    fn a_name_says_the_first_sequence() {
        assert_eq!(segment_name(sequence(42)), "00000000000000000042.wal");
        for first in [Sequence::FIRST, sequence(42), Sequence::MAX] {
            assert_eq!(parse_segment_name(&segment_name(first)), Some(first));
        }
    }

    #[test]
    fn other_files_are_not_ours() {
        let names = ["wal.lock", "42.wal", "00000000000000000042.wal.bak", "+0000000000000000042.wal"];
        for name in names.into_iter().chain(["99999999999999999999.wal", "", ".wal"]) {
            assert_eq!(parse_segment_name(name), None, "{name}");
        }
    }

    #[test]
    fn reading_begins_at_the_nearest_remembered_place_before() {
        let mut segment = Segment::empty(sequence(10));
        for record in 10..1000 {
            segment.note(sequence(record), 24 + (record - 10) * 1024);
        }
        assert_eq!(segment.start_for(sequence(10)), (sequence(10), 24));
        assert_eq!(segment.start_for(sequence(265)), (sequence(10), 24));
        assert_eq!(segment.start_for(sequence(266)), (sequence(266), 24 + 256 * 1024));
        assert_eq!(segment.index.len(), 4);
    }
}
