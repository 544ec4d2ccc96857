//! One pass over the records of a segment, stepping over what is damaged.
//!
//! Opening and reading share this pass, so they agree on what a record is. Every step moves forward, so a pass ends,
//! and each byte is looked at a bounded number of times, so garbage costs no more than data.

use std::io::{self, Read, Seek};
use std::ops::Range;
use std::path::PathBuf;

use crate::damage::{Damage, DamageKind};
use crate::error::Error;
use crate::format::{RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHeader, RecordPosition, decode_record_header};
use crate::sequence::Sequence;
use crate::window::Window;

/// What the next bytes of a segment are.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// An intact record, from `offset` up to `end`.
    Record { sequence: Sequence, offset: u64, end: u64, payload: &'a [u8] },
    /// Something that is none. The pass goes on behind it.
    Damage(Damage),
    /// Nothing more.
    End,
}

/// The segment to pass over and where to begin.
#[derive(Debug)]
pub(crate) struct Track {
    /// For messages.
    pub(crate) path: PathBuf,
    /// The first record of the segment, which every record's checksum covers.
    pub(crate) segment: Sequence,
    /// The record expected at `offset`.
    pub(crate) expected: Sequence,
    /// Where to begin.
    pub(crate) offset: u64,
    /// Where what follows this segment begins, if that is known: tells how much is missing at its end.
    pub(crate) ceiling: Option<Sequence>,
    /// The longest payload to read.
    pub(crate) record_bytes_max: u32,
}

/// A pass over one segment.
#[derive(Debug)]
pub(crate) struct Scan<R> {
    track: Track,
    window: Window<R>,
}

impl<R: Read + Seek> Scan<R> {
    /// A pass over `window` along `track`.
    pub(crate) const fn new(track: Track, window: Window<R>) -> Self {
        Self { track, window }
    }

    /// The next record or the next damaged region.
    pub(crate) fn step(&mut self) -> Result<Step<'_>, Error> {
        let start = self.track.offset;
        if start >= self.window.limit() {
            return Ok(self.finish());
        }
        match self.header_at(start)? {
            Some(header) => self.record(start, header),
            None => self.resume_after(start).map(Step::Damage),
        }
    }

    /// The end of the segment, once what is known to follow has been accounted for.
    fn finish(&mut self) -> Step<'static> {
        match self.track.ceiling {
            Some(ceiling) if ceiling > self.track.expected => {
                let limit = self.window.limit();
                Step::Damage(self.leave(limit..limit, ceiling, DamageKind::Absent))
            }
            _ => Step::End,
        }
    }

    /// The record whose intact header lies at `start`. The header is trusted for the length, so that a damaged payload
    /// costs this record and no other.
    fn record(&mut self, start: u64, header: RecordHeader) -> Result<Step<'_>, Error> {
        self.check_order(start, header)?;
        let limit = self.window.limit();
        let payload_start = start + RECORD_HEADER_BYTES as u64;
        let end = payload_start + u64::from(header.payload_bytes);
        if end > limit {
            let ceiling = self.track.ceiling.unwrap_or_default();
            let next = header.sequence.next().max(ceiling);
            return Ok(Step::Damage(self.leave(start..limit, next, DamageKind::Absent)));
        }
        self.check_length(start, header)?;
        let wanted = usize::try_from(header.payload_bytes).unwrap_or(usize::MAX);
        let payload = self.window.bytes_at(payload_start, wanted);
        let payload = payload.map_err(|source| reading(&self.track, start, source))?;
        let intact = payload.len() == wanted && crc32c::crc32c(payload) == header.payload_checksum;
        if !intact {
            return Ok(Step::Damage(self.leave(start..end, header.sequence.next(), DamageKind::Payload)));
        }
        self.track.offset = end;
        self.track.expected = header.sequence.next();
        // Asked for a second time because a borrow handed out above could not be given up on the way of damage.
        let payload = self.window.bytes_at(payload_start, wanted);
        let payload = payload.map_err(|source| reading(&self.track, start, source))?;
        Ok(Step::Record { sequence: header.sequence, offset: start, end, payload })
    }

    /// Refuses a number that the next segment has, even where the payload is cut off: only a person can put right which of
    /// two logs is meant, and what the next segment holds must not be told as missing here.
    fn check_order(&self, offset: u64, header: RecordHeader) -> Result<(), Error> {
        match self.track.ceiling {
            Some(next) if header.sequence >= next => {
                let (path, sequence) = (self.track.path.clone(), header.sequence);
                Err(Error::CheckingOrder { path, offset, sequence, next })
            }
            _ => Ok(()),
        }
    }

    /// Refuses, before anything is allocated, a record that is longer than the options allow.
    fn check_length(&self, offset: u64, header: RecordHeader) -> Result<(), Error> {
        let limit = self.track.record_bytes_max;
        if header.payload_bytes > limit {
            let path = self.track.path.clone();
            return Err(Error::CheckingLength { path, offset, bytes: header.payload_bytes, limit });
        }
        Ok(())
    }

    /// Leaves the region that begins at `start` for the next intact header, or for the end of the segment.
    fn resume_after(&mut self, start: u64) -> Result<Damage, Error> {
        let mut from = start + 1;
        loop {
            let bytes = self.window.held_from(from, RECORD_HEADER_BYTES);
            let bytes = bytes.map_err(|source| reading(&self.track, from, source))?;
            let Some(last_start) = bytes.len().checked_sub(RECORD_HEADER_BYTES) else {
                let (limit, expected) = (self.window.limit(), self.track.expected);
                let next = self.track.ceiling.unwrap_or_default().max(expected);
                return Ok(self.leave(start..limit, next, DamageKind::RecordHeader));
            };
            let found = (0..=last_start).find_map(|skipped| {
                let candidate = bytes.get(skipped..)?;
                let header = plausible_header(&self.track, candidate, from + skipped as u64)?;
                Some((from + skipped as u64, header))
            });
            if let Some((offset, header)) = found {
                return Ok(self.leave(start..offset, header.sequence, DamageKind::RecordHeader));
            }
            from += last_start as u64 + 1;
        }
    }

    fn header_at(&mut self, offset: u64) -> Result<Option<RecordHeader>, Error> {
        let bytes = self.window.bytes_at(offset, RECORD_HEADER_BYTES);
        let bytes = bytes.map_err(|source| reading(&self.track, offset, source))?;
        Ok(plausible_header(&self.track, bytes, offset))
    }

    /// Describes a region and moves behind it, to where `next` is expected.
    fn leave(&mut self, region: Range<u64>, next: Sequence, kind: DamageKind) -> Damage {
        let missing = self.track.expected..next;
        self.track.offset = region.end;
        self.track.expected = next;
        let bytes = region.end - region.start;
        Damage { path: self.track.path.clone(), offset: region.start, bytes, missing, kind }
    }
}

/// A header that can be where it is: the records between it and the one expected must have had room for their headers.
fn plausible_header(track: &Track, bytes: &[u8], offset: u64) -> Option<RecordHeader> {
    if !bytes.starts_with(&RECORD_MAGIC) {
        return None;
    }
    let header = decode_record_header(bytes, RecordPosition { segment: track.segment, offset })?;
    let skipped = header.sequence.get().checked_sub(track.expected.get())?;
    let room = offset.checked_sub(track.offset)? / RECORD_HEADER_BYTES as u64;
    (skipped <= room).then_some(header)
}

fn reading(track: &Track, offset: u64, source: io::Error) -> Error {
    Error::ReadingSegment { path: track.path.clone(), offset, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::encode_record;
    use std::io::Cursor;

    /// Lays records with these numbers one behind the other, from byte 24 on, and says what a pass makes of them:
    /// the numbers read, and from where to where numbers are missing.
    fn check(laid: &[u64], ceiling: Option<u64>, read: &[u64], missing: &[(u64, u64)]) {
        let sequence = |value: u64| Sequence::try_from(value).unwrap_or_default();
        let mut bytes = vec![0; 24];
        for number in laid {
            let place = RecordPosition { segment: Sequence::FIRST, offset: bytes.len() as u64 };
            let payload_checksum = crc32c::crc32c(b"x");
            let header = RecordHeader { payload_bytes: 1, sequence: sequence(*number), payload_checksum };
            encode_record(&mut bytes, place, header, b"x");
        }
        let track = Track {
            path: PathBuf::new(),
            segment: Sequence::FIRST,
            expected: Sequence::FIRST,
            offset: 24,
            ceiling: ceiling.map(sequence),
            record_bytes_max: 1,
        };
        let limit = bytes.len() as u64;
        let mut scan = Scan::new(track, Window::new(Cursor::new(bytes), limit));
        let (mut found, mut lost) = (Vec::new(), Vec::new());
        while let Ok(step) = scan.step() {
            match step {
                Step::Record { sequence, .. } => found.push(sequence.get()),
                Step::Damage(damage) => lost.push((damage.missing.start.get(), damage.missing.end.get())),
                Step::End => break,
            }
        }
        assert_eq!((found.as_slice(), lost.as_slice()), (read, missing));
    }

    #[test]
    fn records_in_order_are_read() {
        check(&[0, 1, 2], None, &[0, 1, 2], &[]);
        check(&[0, 1, 2], Some(3), &[0, 1, 2], &[]);
    }

    #[test]
    fn what_the_next_segment_shows_to_be_absent_is_missing() {
        check(&[0, 1], Some(5), &[0, 1], &[(2, 5)]);
        check(&[], Some(2), &[], &[(0, 2)]);
    }

    #[test]
    fn a_number_that_cannot_stand_where_it_does_is_no_record() {
        check(&[1], None, &[], &[(0, 0)]);
        check(&[0, 7, 2], None, &[0, 2], &[(1, 2)]);
        check(&[0, 0, 1], None, &[0, 1], &[(1, 1)]);
    }

    #[test]
    fn a_number_of_the_next_segment_ends_the_pass_with_an_error() {
        check(&[0, 1, 2], Some(1), &[0], &[]);
    }
}
