//! What opening a log finds, and how it mends the end of it.

use std::path::PathBuf;

use crate::damage::{Damage, DamageKind, DamageReport};
use crate::error::Error;
use crate::format::{SEGMENT_HEADER_BYTES, SegmentHeader, VERSION, decode_segment_header, encode_segment_header};
use crate::options::Options;
use crate::scan::{Scan, Step, Track};
use crate::segment::{Segment, parse_segment_name, segment_name};
use crate::sequence::Sequence;
use crate::storage::Storage;
use crate::window::Window;

/// What opening found. Log it: a log that comes back with damage has lost acknowledged records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// How many segment files there are.
    pub segments: u64,
    /// How many intact records they hold.
    pub records: u64,
    /// How many bytes they take, after the cut.
    pub bytes: u64,
    /// The number of the first record, readable or damaged.
    pub first_sequence: Sequence,
    /// The number the next record gets.
    pub next_sequence: Sequence,
    /// What was cut off behind the last intact record: a write that a crash interrupted, hence never acknowledged.
    pub torn_tail: Option<TornTail>,
    /// What is damaged before the last intact record. It stays on disk and is stepped over.
    pub damage: DamageReport,
}

/// Bytes cut off the end of the last segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where it was cut.
    pub offset: u64,
    /// How many bytes went.
    pub bytes: u64,
}

/// The segments of a log, the last one fit to append to.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) sealed: Vec<Segment>,
    pub(crate) active: Segment,
    pub(crate) recovery: Recovery,
}

/// Reads every segment, mends the last one and makes sure that what was read is durable, not just in a cache.
pub(crate) fn recover<S: Storage>(storage: &mut S, options: Options) -> Result<Recovered, Error> {
    let mut firsts = list_segments(storage)?;
    if firsts.is_empty() {
        create_segment(storage, Sequence::FIRST).map_err(|failure| failure.into_error(storage))?;
    }
    let last = firsts.pop().unwrap_or(Sequence::FIRST);
    let ceilings = firsts.iter().skip(1).chain([&last]);
    let mut survey = Survey { storage, options, records: 0, damage: DamageReport::default() };
    let mut sealed = Vec::with_capacity(firsts.len());
    for (first, ceiling) in firsts.iter().zip(ceilings) {
        let mut surveyed = survey.segment(*first, Some(*ceiling))?;
        surveyed.segment.end = *ceiling;
        survey.damage.append(&mut surveyed.trailing);
        sealed.push(surveyed.segment);
    }
    let surveyed = survey.segment(last, None)?;
    let Survey { records, damage, .. } = survey;
    let (active, torn_tail) = mend(storage, surveyed)?;

    let recovery = Recovery {
        segments: sealed.len() as u64 + 1,
        records,
        bytes: sealed.iter().map(|segment| segment.bytes).sum::<u64>() + active.bytes,
        first_sequence: sealed.first().unwrap_or(&active).first,
        next_sequence: active.end,
        torn_tail,
        damage,
    };
    Ok(Recovered { sealed, active, recovery })
}

fn list_segments<S: Storage>(storage: &S) -> Result<Vec<Sequence>, Error> {
    let names = storage.list().map_err(|source| Error::Listing { path: storage.path(""), source })?;
    let mut firsts: Vec<Sequence> = names.iter().filter_map(|name| parse_segment_name(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// The running totals of one way through the log.
struct Survey<'a, S> {
    storage: &'a S,
    options: Options,
    records: u64,
    damage: DamageReport,
}

/// One segment as found.
struct Surveyed {
    segment: Segment,
    /// How far the file is good: behind its last intact record, or behind its header, or 0.
    good_bytes: u64,
    /// What was damaged behind the last intact record.
    trailing: DamageReport,
}

impl<S: Storage> Survey<'_, S> {
    fn segment(&mut self, first: Sequence, ceiling: Option<Sequence>) -> Result<Surveyed, Error> {
        let name = segment_name(first);
        let path = self.storage.path(&name);
        let opening = |source| Error::OpeningSegment { path: path.clone(), source };
        let bytes = self.storage.bytes(&name).map_err(opening)?;
        let mut window = Window::new(self.storage.open(&name).map_err(opening)?, bytes);

        let header = window.bytes_at(0, SEGMENT_HEADER_BYTES).map(decode_segment_header);
        let header = header.map_err(|source| Error::ReadingSegment { path: path.clone(), offset: 0, source })?;
        let mut trailing = DamageReport::default();
        let mut segment = Segment::empty(first);
        segment.bytes = bytes;
        let mut good_bytes = 0;
        match header {
            SegmentHeader::Newer { version } => {
                return Err(Error::CheckingVersion { path, found: version, supported: VERSION });
            }
            SegmentHeader::Intact { first: header, .. } if header != first => {
                return Err(Error::CheckingName { path, header });
            }
            SegmentHeader::Intact { bytes: header_bytes, .. } if header_bytes <= bytes => {
                good_bytes = header_bytes;
                segment.header_bytes = header_bytes;
            }
            SegmentHeader::Intact { .. } | SegmentHeader::Damaged => {
                let bytes = bytes.min(SEGMENT_HEADER_BYTES as u64);
                let (path, kind) = (path.clone(), DamageKind::SegmentHeader);
                trailing.push(Damage { path, offset: 0, bytes, missing: first..first, kind });
            }
        }

        let record_bytes_max = self.options.record_bytes_max;
        let offset = segment.header_bytes;
        let track = Track { path, segment: first, expected: first, offset, ceiling, record_bytes_max };
        let mut scan = Scan::new(track, window);
        loop {
            match scan.step()? {
                Step::Record { sequence, offset, end, .. } => {
                    self.damage.append(&mut trailing);
                    self.records += 1;
                    segment.note(sequence, offset);
                    segment.end = sequence.next();
                    good_bytes = end;
                }
                Step::Damage(damage) => trailing.push(damage),
                Step::End => {
                    return Ok(Surveyed { segment, good_bytes, trailing });
                }
            }
        }
    }
}

/// Makes the last segment fit to append to: cuts what lies behind its last intact record, writes its header anew if
/// nothing in it was good, and syncs, because records that a killed process left in a cache count as stored from here.
fn mend<S: Storage>(storage: &mut S, surveyed: Surveyed) -> Result<(Segment, Option<TornTail>), Error> {
    let Surveyed { mut segment, good_bytes, .. } = surveyed;
    let name = segment.name();
    let path = storage.path(&name);
    let cutting = |source| Error::CuttingTail { path: path.clone(), offset: good_bytes, source };
    let torn_bytes = segment.bytes - good_bytes;
    if torn_bytes > 0 {
        storage.set_len(&name, good_bytes).map_err(cutting)?;
    }
    segment.bytes = good_bytes;
    if good_bytes == 0 {
        storage.append(&name, &encode_segment_header(segment.first)).map_err(cutting)?;
        segment = Segment::empty(segment.first);
    }
    let offset = segment.bytes;
    storage.sync(&name).map_err(|source| Error::Syncing { path: path.clone(), offset, source })?;
    storage.sync_folder().map_err(|source| Error::SyncingFolder { path: storage.path(""), source })?;
    let torn_tail = (torn_bytes > 0).then_some(TornTail { path, offset: good_bytes, bytes: torn_bytes });
    Ok((segment, torn_tail))
}

/// Why a segment could not be begun.
#[derive(Debug)]
pub(crate) struct CreatingFailed {
    pub(crate) name: String,
    pub(crate) source: std::io::Error,
    /// Set if the file that was begun could not be taken back.
    pub(crate) undo: Option<std::io::ErrorKind>,
}

impl CreatingFailed {
    pub(crate) fn into_error<S: Storage>(self, storage: &S) -> Error {
        let path = storage.path(&self.name);
        match self.undo {
            None => Error::CreatingSegment { path, source: self.source },
            Some(undo) => Error::Undoing { path, offset: 0, undo, source: self.source },
        }
    }
}

/// Begins a segment and makes it durable, or leaves no trace of it: a file left behind would claim numbers that the
/// segment before it goes on to use. The header is synced at once, although a lost one could be written anew, because
/// a disk that is full or broken then says so here, where it can be undone, and not at the first sync of records.
pub(crate) fn create_segment<S: Storage>(storage: &mut S, first: Sequence) -> Result<Segment, CreatingFailed> {
    let name = segment_name(first);
    if let Err(source) = storage.create(&name) {
        return Err(CreatingFailed { name, source, undo: None });
    }
    let filled = storage
        .append(&name, &encode_segment_header(first))
        .and_then(|()| storage.sync(&name))
        .and_then(|()| storage.sync_folder());
    match filled {
        Ok(()) => Ok(Segment::empty(first)),
        Err(source) => {
            let undone = storage.remove(&name).and_then(|()| storage.sync_folder());
            Err(CreatingFailed { name, source, undo: undone.err().map(|error| error.kind()) })
        }
    }
}
