//! The bytes on disk, as `FORMAT.md` describes them. Pure: no file is touched here.

use crate::sequence::Sequence;

/// What every segment file begins with.
const SEGMENT_MAGIC: [u8; 8] = *b"TDMKWAL\0";

/// What every record begins with. `F5` and `C0` occur in no UTF-8 text, so a scan through JSON finds no false start.
pub(crate) const RECORD_MAGIC: [u8; 4] = [0xF5, b'T', b'R', 0xC0];

/// The version this build writes, and the newest it reads.
pub(crate) const VERSION: u16 = 1;

/// Length of a segment header as written by version 1. A later version may append fields behind these.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 24;

/// A header longer than this is damaged, however its checksum came about.
const SEGMENT_HEADER_BYTES_MAX: u16 = 4096;

/// Length of a record header; the payload follows.
pub(crate) const RECORD_HEADER_BYTES: usize = 24;

/// What the first bytes of a segment say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentHeader {
    /// Readable: records begin at `bytes`.
    Intact { first: Sequence, bytes: u64 },
    /// Intact, but written by a newer version.
    Newer { version: u16 },
    /// Too short, or the checksum does not match.
    Damaged,
}

/// Where a record lies. Part of its header checksum, so that a copy of a record elsewhere (inside a payload, in a
/// renamed file, left over from earlier use of a block) is never taken for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordPosition {
    pub(crate) segment: Sequence,
    pub(crate) offset: u64,
}

/// A record header whose checksum matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) payload_bytes: u32,
    pub(crate) sequence: Sequence,
    pub(crate) payload_checksum: u32,
}

/// The bytes that begin a segment.
pub(crate) fn encode_segment_header(first: Sequence) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
    bytes.extend_from_slice(&SEGMENT_MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&24_u16.to_le_bytes());
    bytes.extend_from_slice(&first.get().to_le_bytes());
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads what begins a segment. The checksum comes before the version: a flipped version byte is damage, not news.
pub(crate) fn decode_segment_header(bytes: &[u8]) -> SegmentHeader {
    parse_segment_header(bytes).unwrap_or(SegmentHeader::Damaged)
}

fn parse_segment_header(bytes: &[u8]) -> Option<SegmentHeader> {
    let (covered, rest) = bytes.split_first_chunk::<20>()?;
    let (checksum, _) = rest.split_first_chunk::<4>()?;
    let (magic, fields) = covered.split_first_chunk::<8>()?;
    let (version, fields) = fields.split_first_chunk::<2>()?;
    let (header_bytes, fields) = fields.split_first_chunk::<2>()?;
    let (first, _) = fields.split_first_chunk::<8>()?;
    if *magic != SEGMENT_MAGIC || u32::from_le_bytes(*checksum) != crc32c::crc32c(covered) {
        return None;
    }
    let version = u16::from_le_bytes(*version);
    if version > VERSION {
        return Some(SegmentHeader::Newer { version });
    }
    let header_bytes = u16::from_le_bytes(*header_bytes);
    if usize::from(header_bytes) < SEGMENT_HEADER_BYTES || header_bytes > SEGMENT_HEADER_BYTES_MAX {
        return None;
    }
    let first = Sequence::try_from(u64::from_le_bytes(*first)).ok()?;
    Some(SegmentHeader::Intact { first, bytes: u64::from(header_bytes) })
}

/// Appends one record to `batch`, as it will lie at `position`.
pub(crate) fn encode_record(batch: &mut Vec<u8>, position: RecordPosition, header: RecordHeader, payload: &[u8]) {
    let start = batch.len();
    batch.extend_from_slice(&RECORD_MAGIC);
    batch.extend_from_slice(&header.payload_bytes.to_le_bytes());
    batch.extend_from_slice(&header.sequence.get().to_le_bytes());
    batch.extend_from_slice(&header.payload_checksum.to_le_bytes());
    let checksum = header_checksum(batch.get(start..).unwrap_or_default(), position);
    batch.extend_from_slice(&checksum.to_le_bytes());
    batch.extend_from_slice(payload);
}

/// Reads a record header at `position`, or `None` if these bytes are none.
pub(crate) fn decode_record_header(bytes: &[u8], position: RecordPosition) -> Option<RecordHeader> {
    let (covered, rest) = bytes.split_first_chunk::<20>()?;
    let (checksum, _) = rest.split_first_chunk::<4>()?;
    let (magic, fields) = covered.split_first_chunk::<4>()?;
    if *magic != RECORD_MAGIC || u32::from_le_bytes(*checksum) != header_checksum(covered, position) {
        return None;
    }
    let (payload_bytes, fields) = fields.split_first_chunk::<4>()?;
    let (sequence, fields) = fields.split_first_chunk::<8>()?;
    let (payload_checksum, _) = fields.split_first_chunk::<4>()?;
    Some(RecordHeader {
        payload_bytes: u32::from_le_bytes(*payload_bytes),
        sequence: Sequence::try_from(u64::from_le_bytes(*sequence)).ok()?,
        payload_checksum: u32::from_le_bytes(*payload_checksum),
    })
}

fn header_checksum(covered: &[u8], position: RecordPosition) -> u32 {
    let checksum = crc32c::crc32c(covered);
    let checksum = crc32c::crc32c_append(checksum, &position.segment.get().to_le_bytes());
    crc32c::crc32c_append(checksum, &position.offset.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: RecordPosition = RecordPosition { segment: Sequence::FIRST, offset: 24 };

    fn header() -> RecordHeader {
        RecordHeader { payload_bytes: 3, sequence: Sequence::FIRST.next(), payload_checksum: crc32c::crc32c(b"abc") }
    }

    fn record() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_record(&mut bytes, POSITION, header(), b"abc");
        bytes
    }

    #[test]
    fn headers_have_the_documented_lengths() {
        assert_eq!(encode_segment_header(Sequence::FIRST).len(), SEGMENT_HEADER_BYTES);
        assert_eq!(record().len(), RECORD_HEADER_BYTES + 3);
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let first = Sequence::MAX;
        let expected = SegmentHeader::Intact { first, bytes: 24 };
        assert_eq!(decode_segment_header(&encode_segment_header(first)), expected);
        assert_eq!(decode_record_header(&record(), POSITION), Some(header()));
    }

    #[test]
    fn any_flipped_bit_in_a_header_is_noticed() {
        for bit in 0..24 * 8 {
            let mut segment = encode_segment_header(Sequence::FIRST);
            segment[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_segment_header(&segment), SegmentHeader::Damaged);
            let mut bytes = record();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_record_header(&bytes, POSITION), None);
        }
    }

    #[test]
    fn a_record_is_only_valid_where_it_was_written() {
        let bytes = record();
        assert_eq!(decode_record_header(&bytes, RecordPosition { offset: 25, ..POSITION }), None);
        assert_eq!(decode_record_header(&bytes, RecordPosition { segment: Sequence::MAX, ..POSITION }), None);
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = encode_segment_header(Sequence::FIRST);
        bytes[8] = 2;
        let checksum = crc32c::crc32c(&bytes[..20]);
        bytes[20..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(decode_segment_header(&bytes), SegmentHeader::Newer { version: 2 });
    }
}
