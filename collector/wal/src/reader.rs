//! Reading records in order.

use std::path::PathBuf;

use crate::damage::DamageReport;
use crate::error::Error;
use crate::scan::{Scan, Step, Track};
use crate::segment::Segment;
use crate::sequence::Sequence;
use crate::storage::Storage;
use crate::window::Window;

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub sequence: Sequence,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Durable records in order, one in memory at a time.
///
/// Damaged regions are stepped over; [`Reader::damage`] tells which, so a jump in the numbers is never unexplained. An
/// `Err` means that the disk could not be read; it ends the iteration, and reading may be tried again from there.
#[derive(Debug)]
pub struct Reader<'a, S: Storage> {
    storage: &'a S,
    /// The segments still to be read, the next one last.
    waiting: Vec<Part<'a>>,
    current: Option<Scan<S::File>>,
    from: Sequence,
    record_bytes_max: u32,
    damage: DamageReport,
}

/// A segment and how much of it may be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) limit: u64,
    pub(crate) end: Sequence,
}

impl<'a, S: Storage> Reader<'a, S> {
    /// A reader over `parts`, which ascend.
    pub(crate) fn new(storage: &'a S, parts: Vec<Part<'a>>, from: Sequence, record_bytes_max: u32) -> Self {
        let mut waiting: Vec<Part<'a>> = parts.into_iter().filter(|part| part.end > from).collect();
        waiting.reverse();
        Self { storage, waiting, current: None, from, record_bytes_max, damage: DamageReport::default() }
    }

    /// The damage stepped over so far.
    pub const fn damage(&self) -> &DamageReport {
        &self.damage
    }

    fn open(&self, part: Part<'_>) -> Result<Scan<S::File>, Error> {
        let name = part.segment.name();
        let path: PathBuf = self.storage.path(&name);
        let file = self.storage.open(&name);
        let file = file.map_err(|source| Error::OpeningSegment { path: path.clone(), source })?;
        let (expected, offset) = part.segment.start_for(self.from);
        let track = Track {
            path,
            segment: part.segment.first,
            expected,
            offset,
            ceiling: Some(part.end),
            record_bytes_max: self.record_bytes_max,
        };
        Ok(Scan::new(track, Window::new(file, part.limit)))
    }

    fn next_record(&mut self) -> Result<Option<Record>, Error> {
        loop {
            let Some(scan) = self.current.as_mut() else {
                let Some(part) = self.waiting.pop() else {
                    return Ok(None);
                };
                self.current = Some(self.open(part)?);
                continue;
            };
            match scan.step()? {
                Step::Record { sequence, payload, .. } if sequence >= self.from => {
                    return Ok(Some(Record { sequence, payload: payload.to_vec() }));
                }
                // What lies before the first record asked for was told to an earlier reader.
                Step::Damage(damage) if damage.missing.end > self.from => self.damage.push(damage),
                Step::Record { .. } | Step::Damage(_) => {}
                Step::End => self.current = None,
            }
        }
    }
}

impl<S: Storage> Iterator for Reader<'_, S> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_record();
        if next.is_err() {
            self.waiting.clear();
            self.current = None;
        }
        next.transpose()
    }
}
