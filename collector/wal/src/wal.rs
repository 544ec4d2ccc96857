//! The log itself: append, sync, read, remove.

use std::io::ErrorKind;
use std::ops::Range;

use crate::error::Error;
use crate::format::{RECORD_HEADER_BYTES, RecordHeader, RecordPosition, encode_record};
use crate::options::Options;
use crate::reader::{Part, Reader};
use crate::recovery::{Recovered, Recovery, create_segment, recover};
use crate::segment::Segment;
use crate::sequence::Sequence;
use crate::status::Status;
use crate::storage::Storage;

/// The file of [`Wal::probe`]. Its name is no segment's, so one that a crash left behind is in nobody's way.
const PROBE_NAME: &str = "probe.tmp";
const PROBE_BLOCK_BYTES: usize = 64 * 1024;

/// An append-only log. One owner; see the crate documentation for what it promises.
#[derive(Debug)]
pub struct Wal<S> {
    storage: S,
    options: Options,
    /// Complete and durable segments, oldest first.
    sealed: Vec<Segment>,
    /// The segment that is appended to. Nothing but its end is ever not durable.
    active: Segment,
    /// How much of the active segment is durable.
    durable_bytes: u64,
    /// One past the last durable record.
    durable: Sequence,
    /// Everything before this has been given up by `truncate_before`, removed or not.
    released: Sequence,
    /// Whether the active segment was touched since it was last synced. Not the same as holding records that are not
    /// durable: a batch that was taken back leaves none, but its bytes come back after a power loss unless the cut is
    /// durable before the next segment begins.
    touched: bool,
    /// Whether a segment was removed without the folder being synced since.
    removal_pending: bool,
    poisoned: bool,
}

impl<S: Storage> Wal<S> {
    /// Opens the log in `storage`, begins one if there is none, and says what was found.
    pub fn open(mut storage: S, options: Options) -> Result<(Self, Recovery), Error> {
        options.validate()?;
        let Recovered { sealed, active, recovery } = recover(&mut storage, options)?;
        let (durable_bytes, durable, released) = (active.bytes, active.end, recovery.first_sequence);
        let wal = Self {
            storage,
            options,
            sealed,
            active,
            durable_bytes,
            durable,
            released,
            touched: false,
            removal_pending: false,
            poisoned: false,
        };
        Ok((wal, recovery))
    }

    /// Appends a batch with a single write and gives its numbers. Nothing is durable before [`Wal::sync`].
    ///
    /// All or nothing while the process lives: a batch that is refused or fails leaves the log as it was.
    pub fn append(&mut self, records: &[impl AsRef<[u8]>]) -> Result<Range<Sequence>, Error> {
        self.check_poison()?;
        let first = self.next_sequence();
        let batch_bytes = self.measure(records)?;
        let end = first.checked_add(records.len() as u64).ok_or(Error::Numbering { next: first })?;
        if records.is_empty() {
            return Ok(first..first);
        }
        self.make_room(batch_bytes)?;
        let batch = self.encode(records, batch_bytes);

        let (name, offset) = (self.active.name(), self.active.bytes);
        self.touched = true;
        if let Err(source) = self.storage.append(&name, &batch) {
            let path = self.storage.path(&name);
            return Err(match self.storage.set_len(&name, offset) {
                Ok(()) => Error::Appending { path, offset, source },
                Err(undo) => {
                    self.poisoned = true;
                    Error::Undoing { path, offset, undo: undo.kind(), source }
                }
            });
        }
        self.note(first, records);
        self.active.bytes += batch_bytes;
        self.active.end = end;
        Ok(first..end)
    }

    /// Makes everything appended so far durable with one fsync and gives the end of it (exclusive).
    ///
    /// A failed fsync is never tried again on the same file: the kernel may have dropped the pages and would report
    /// success. The log cuts off what was not durable, takes no more writes, and has to be opened again.
    pub fn sync(&mut self) -> Result<Sequence, Error> {
        self.check_poison()?;
        if !self.touched {
            return Ok(self.durable);
        }
        let (name, offset) = (self.active.name(), self.active.bytes);
        if let Err(source) = self.storage.sync(&name) {
            self.poisoned = true;
            let path = self.storage.path(&name);
            return Err(match self.storage.set_len(&name, self.durable_bytes) {
                Ok(()) => Error::Syncing { path, offset, source },
                Err(undo) => Error::Undoing { path, offset, undo: undo.kind(), source },
            });
        }
        self.touched = false;
        self.durable = self.active.end;
        self.durable_bytes = self.active.bytes;
        Ok(self.durable)
    }

    /// The durable records from number `from` on.
    ///
    /// What is not durable yet is not shown: a number that was used elsewhere could otherwise be given, after a crash,
    /// to another record, which the user of the number would then take for known.
    pub fn read_from(&self, from: Sequence) -> Result<Reader<'_, S>, Error> {
        let (first, next) = (self.first_sequence(), self.next_sequence());
        if from < first {
            return Err(Error::ReadingBeforeStart { from, first });
        }
        if from > next {
            return Err(Error::ReadingBeyondEnd { from, next });
        }
        let sealed = self.sealed.iter().map(|segment| Part { segment, limit: segment.bytes, end: segment.end });
        let active = Part { segment: &self.active, limit: self.durable_bytes, end: self.durable };
        let parts = sealed.chain([active]).collect();
        Ok(Reader::new(&self.storage, parts, from, self.options.record_bytes_max))
    }

    /// Gives up all records before `up_to` and removes the segments that hold nothing else; says how many bytes that
    /// freed. The active segment stays, so the numbering survives; if all of it was given up, it goes as soon as its
    /// room is needed.
    pub fn truncate_before(&mut self, up_to: Sequence) -> Result<u64, Error> {
        self.check_poison()?;
        if up_to > self.durable {
            return Err(Error::TruncatingBeyondDurable { up_to, durable: self.durable });
        }
        self.released = self.released.max(up_to);
        self.remove_released()
    }

    /// Gives up everything in the log and continues numbering at `to`; says how many bytes that freed.
    ///
    /// For a reader that has durably seen more than this log holds (the log was lost, or restored from a copy): its
    /// next records must not get numbers that the reader takes for known.
    pub fn advance_to(&mut self, to: Sequence) -> Result<u64, Error> {
        self.sync()?;
        let next = self.next_sequence();
        if to < next {
            return Err(Error::AdvancingBackwards { to, next });
        }
        // Removing comes first, so that failing again and again does not pile up empty segments.
        let freed_bytes = self.truncate_before(next)?;
        if to > next {
            self.begin_segment(to)?;
        }
        Ok(freed_bytes + self.truncate_before(to)?)
    }

    /// Closes the active segment, if it holds records, and begins the next, so that [`Wal::truncate_before`] can remove
    /// every record appended so far; says whether it did. Everything appended is durable afterwards.
    ///
    /// It may pass the budget by one segment header, once: a segment without records is not closed.
    pub fn rotate(&mut self) -> Result<bool, Error> {
        self.check_poison()?;
        if !self.active.has_records() {
            return Ok(false);
        }
        self.begin_segment(self.next_sequence())?;
        self.remove_released()?;
        Ok(true)
    }

    /// Writes, syncs and removes a file of `bytes` bytes, so that a caller whose batch found the disk full can tell
    /// that there is room again before it takes the next one.
    pub fn probe(&mut self, bytes: u64) -> Result<(), Error> {
        // First, because the handle of the active segment must not be given up while anything written through it is
        // still on its way to the disk.
        self.sync()?;
        let probing = |storage: &S, source| Error::Probing { path: storage.path(PROBE_NAME), source };
        match self.storage.remove(PROBE_NAME) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(probing(&self.storage, source)),
            _ => {}
        }
        self.storage.create(PROBE_NAME).map_err(|source| probing(&self.storage, source))?;
        let written = self.write_probe(bytes);
        let removed = self.storage.remove(PROBE_NAME);
        written.and(removed).map_err(|source| probing(&self.storage, source))
    }

    fn write_probe(&mut self, bytes: u64) -> std::io::Result<()> {
        let block = vec![0; PROBE_BLOCK_BYTES];
        let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
        while left > 0 {
            let part = left.min(block.len());
            self.storage.append(PROBE_NAME, &block[..part])?;
            left -= part;
        }
        self.storage.sync(PROBE_NAME)
    }

    /// How it is now.
    pub fn status(&self) -> Status {
        Status {
            next: self.next_sequence(),
            durable: self.durable,
            bytes: self.bytes(),
            options: self.options,
            active_bytes: self.active.bytes,
            active_has_records: self.active.has_records(),
            released: self.released == self.next_sequence(),
        }
    }

    /// What all segments take on disk.
    pub fn bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.bytes).sum::<u64>() + self.active.bytes
    }

    /// How many segment files there are.
    pub fn segments(&self) -> usize {
        self.sealed.len() + 1
    }

    /// The number of the first record that was not removed.
    pub fn first_sequence(&self) -> Sequence {
        self.sealed.first().unwrap_or(&self.active).first
    }

    /// The number the next record gets.
    pub const fn next_sequence(&self) -> Sequence {
        self.active.end
    }

    /// One past the last record that survives a power loss.
    pub const fn durable_sequence(&self) -> Sequence {
        self.durable
    }

    /// The limits in force.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Whether a failure has closed the log to writes. It can still be read; open it again to write.
    pub const fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    fn check_poison(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned { path: self.storage.path(&self.active.name()) }) } else { Ok(()) }
    }

    /// The bytes a batch takes in a segment, once each of its records is short enough.
    fn measure(&self, records: &[impl AsRef<[u8]>]) -> Result<u64, Error> {
        let limit = self.options.record_bytes_max;
        let mut batch_bytes = 0_u64;
        for (index, record) in records.iter().enumerate() {
            let bytes = record.as_ref().len() as u64;
            if bytes > u64::from(limit) {
                return Err(Error::MeasuringRecord { index, bytes, limit });
            }
            batch_bytes += bytes + RECORD_HEADER_BYTES as u64;
        }
        Ok(batch_bytes)
    }

    /// One contiguous buffer, so that a batch is one write.
    fn encode(&self, records: &[impl AsRef<[u8]>], batch_bytes: u64) -> Vec<u8> {
        let mut batch = Vec::with_capacity(usize::try_from(batch_bytes).unwrap_or_default());
        let mut sequence = self.active.end;
        for record in records {
            let payload = record.as_ref();
            let offset = self.active.bytes + batch.len() as u64;
            let header = RecordHeader {
                payload_bytes: u32::try_from(payload.len()).unwrap_or(u32::MAX),
                sequence,
                payload_checksum: crc32c::crc32c(payload),
            };
            encode_record(&mut batch, RecordPosition { segment: self.active.first, offset }, header, payload);
            sequence = sequence.next();
        }
        batch
    }

    /// Remembers where the records of a written batch lie.
    fn note(&mut self, first: Sequence, records: &[impl AsRef<[u8]>]) {
        let (mut sequence, mut offset) = (first, self.active.bytes);
        for record in records {
            self.active.note(sequence, offset);
            sequence = sequence.next();
            offset += (RECORD_HEADER_BYTES + record.as_ref().len()) as u64;
        }
    }

    /// Leaves an active segment with room for the batch inside the budget, or refuses before anything is written.
    fn make_room(&mut self, batch_bytes: u64) -> Result<(), Error> {
        // Until a removal is durable its bytes may come back, so they are not free to use.
        self.settle_removal()?;
        let status = self.status();
        if status.bytes_with(batch_bytes) > self.options.budget_bytes && status.fits_in_place_of_drained(batch_bytes) {
            self.begin_segment(self.next_sequence())?;
            self.remove_released()?;
        }
        let status = self.status();
        let after = status.bytes_with(batch_bytes);
        if after > self.options.budget_bytes {
            let used = status.bytes;
            return Err(Error::Full { needed: after - used, used, budget: self.options.budget_bytes });
        }
        if status.begins_segment(batch_bytes) {
            self.begin_segment(self.next_sequence())?;
        }
        Ok(())
    }

    /// Closes the active segment and begins the next. The old one is synced first: if a crash could take its end but
    /// not the new segment, acknowledged records would follow a hole.
    fn begin_segment(&mut self, first: Sequence) -> Result<(), Error> {
        self.sync()?;
        let begun = create_segment(&mut self.storage, first).map_err(|failure| {
            self.poisoned = failure.undo.is_some();
            failure.into_error(&self.storage)
        })?;
        let mut closed = std::mem::replace(&mut self.active, begun);
        closed.end = first;
        self.sealed.push(closed);
        self.durable = first;
        self.durable_bytes = self.active.bytes;
        Ok(())
    }

    /// Removes what was given up, oldest first and each durably before the next, so that a crash leaves no hole.
    fn remove_released(&mut self) -> Result<u64, Error> {
        self.settle_removal()?;
        let mut freed_bytes = 0;
        while let Some(oldest) = self.sealed.first().filter(|oldest| oldest.end <= self.released) {
            let name = oldest.name();
            let removed = self.storage.remove(&name);
            removed.map_err(|source| Error::RemovingSegment { path: self.storage.path(&name), source })?;
            freed_bytes += self.sealed.remove(0).bytes;
            self.removal_pending = true;
            self.settle_removal()?;
        }
        Ok(freed_bytes)
    }

    fn settle_removal(&mut self) -> Result<(), Error> {
        if self.removal_pending {
            let synced = self.storage.sync_folder();
            synced.map_err(|source| Error::SyncingFolder { path: self.storage.path(""), source })?;
            self.removal_pending = false;
        }
        Ok(())
    }
}
