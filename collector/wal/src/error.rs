//! What can go wrong, named by the operation that failed.

use std::io;
use std::path::PathBuf;

use crate::sequence::Sequence;

/// A failed operation of the log. `Display` says this level only: print the chain of sources, then [`Error::hint`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A limit is too small or too large to work with.
    #[error("option {field} is {found}, but must lie between {smallest} and {largest}")]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    CheckingOptions { field: &'static str, found: u64, smallest: u64, largest: u64 },

    /// The folder could not be created or made durable.
    #[error("could not open the log folder {}", path.display())]
    #[expect(missing_docs, reason = "path and source")]
    OpeningFolder { path: PathBuf, source: io::Error },

    /// The lock file could not be opened or locked for a reason other than another owner.
    #[error("could not lock {}", path.display())]
    #[expect(missing_docs, reason = "path and source")]
    Locking { path: PathBuf, source: io::Error },

    /// Another process, or another part of this one, has the log open.
    #[error("the log is in use: {} is locked", path.display())]
    #[expect(missing_docs, reason = "the lock file")]
    AlreadyLocked { path: PathBuf },

    /// The folder could not be read.
    #[error("could not list the log folder {}", path.display())]
    #[expect(missing_docs, reason = "path and source")]
    Listing { path: PathBuf, source: io::Error },

    /// A new segment could not be begun. The log is as it was.
    #[error("could not create segment {}", path.display())]
    #[expect(missing_docs, reason = "path and source")]
    CreatingSegment { path: PathBuf, source: io::Error },

    /// A segment could not be opened for reading.
    #[error("could not open segment {}", path.display())]
    #[expect(missing_docs, reason = "path and source")]
    OpeningSegment { path: PathBuf, source: io::Error },

    /// Bytes of a segment could not be read (the disk said so; damaged bytes are no error but [`crate::Damage`]).
    #[error("could not read segment {} at byte {offset}", path.display())]
    #[expect(missing_docs, reason = "place and source")]
    ReadingSegment { path: PathBuf, offset: u64, source: io::Error },

    /// A segment was written by a newer version of this crate.
    #[error("segment {} has format version {found}; this build reads up to {supported}", path.display())]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    CheckingVersion { path: PathBuf, found: u16, supported: u16 },

    /// The name of a segment disagrees with its intact header.
    #[error("segment {} begins with record {header} according to its header", path.display())]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    CheckingName { path: PathBuf, header: Sequence },

    /// A segment holds numbers that belong to the next one.
    #[error("segment {} holds record {sequence} at byte {offset}, but the next segment begins at {next}", path.display())]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    CheckingOrder { path: PathBuf, offset: u64, sequence: Sequence, next: Sequence },

    /// An intact record is longer than `record_bytes_max` allows to read.
    #[error("segment {} holds a record of {bytes} bytes at byte {offset}, above the limit of {limit}", path.display())]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    CheckingLength { path: PathBuf, offset: u64, bytes: u32, limit: u32 },

    /// A torn tail could not be cut off while opening.
    #[error("could not cut segment {} at byte {offset}", path.display())]
    #[expect(missing_docs, reason = "place and source")]
    CuttingTail { path: PathBuf, offset: u64, source: io::Error },

    /// A record of the batch is too long. Nothing was written.
    #[error("record {index} of the batch has {bytes} bytes, above the limit of {limit}")]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    MeasuringRecord { index: usize, bytes: u64, limit: u32 },

    /// The batch does not fit into the budget. Nothing was written.
    #[error("the log is full: {used} of {budget} bytes used, {needed} more needed")]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    Full { needed: u64, used: u64, budget: u64 },

    /// The numbers have run out. Nothing was written.
    #[error("no record number is left after {next}")]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    Numbering { next: Sequence },

    /// A batch could not be written; what had been written of it was taken back, so the log is as it was.
    #[error("could not append to segment {} at byte {offset}; nothing of the batch was kept", path.display())]
    #[expect(missing_docs, reason = "place and source")]
    Appending { path: PathBuf, offset: u64, source: io::Error },

    /// There is still no room on the disk, or it does not work. The log is as it was.
    #[error("could not write the trial file {}", path.display())]
    #[expect(missing_docs, reason = "path and source")]
    Probing { path: PathBuf, source: io::Error },

    /// A step failed and could not be undone. The log takes no more writes.
    #[error("writing segment {} at byte {offset} failed and could not be undone ({undo})", path.display())]
    #[expect(missing_docs, reason = "place, what undoing met, and the first failure as source")]
    Undoing { path: PathBuf, offset: u64, undo: io::ErrorKind, source: io::Error },

    /// A segment could not be made durable. The log takes no more writes; what was appended since the last successful
    /// sync is lost.
    #[error("could not sync segment {} up to byte {offset}", path.display())]
    #[expect(missing_docs, reason = "place and source")]
    Syncing { path: PathBuf, offset: u64, source: io::Error },

    /// A change of the folder could not be made durable.
    #[error("could not sync the log folder {}", path.display())]
    #[expect(missing_docs, reason = "path and source")]
    SyncingFolder { path: PathBuf, source: io::Error },

    /// An earlier failure has closed the log to writes.
    #[error("the log takes no more writes: an earlier failure left segment {} in doubt", path.display())]
    #[expect(missing_docs, reason = "the segment in doubt")]
    Poisoned { path: PathBuf },

    /// The records asked for have been removed.
    #[error("cannot read from record {from}: the log begins at {first}")]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    ReadingBeforeStart { from: Sequence, first: Sequence },

    /// The number asked for has not been given out yet: reader and log disagree.
    #[error("cannot read from record {from}: the log ends before {next}")]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    ReadingBeyondEnd { from: Sequence, next: Sequence },

    /// Records that are not durable yet cannot have been used elsewhere, so they are not removed.
    #[error("cannot remove records before {up_to}: only those before {durable} are durable")]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    TruncatingBeyondDurable { up_to: Sequence, durable: Sequence },

    /// Numbering only moves forward.
    #[error("cannot continue numbering at {to}: the next record is already {next}")]
    #[expect(missing_docs, reason = "the fields are the words of the message")]
    AdvancingBackwards { to: Sequence, next: Sequence },

    /// A segment that is no longer needed could not be removed. Nothing is lost; call again.
    #[error("could not remove segment {}", path.display())]
    #[expect(missing_docs, reason = "path and source")]
    RemovingSegment { path: PathBuf, source: io::Error },
}

impl Error {
    /// What to do about it, for the person who reads the log at night.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::CheckingOptions { .. } => "change the option; budget_bytes must hold one record of record_bytes_max",
            Self::OpeningFolder { .. } | Self::Locking { .. } | Self::Listing { .. } => {
                "check that the folder exists, that this user may write to it, and that the disk is mounted"
            }
            Self::AlreadyLocked { .. } => "stop the other process; the lock goes with it, do not delete the file",
            Self::CreatingSegment { .. } | Self::Appending { .. } | Self::Probing { .. } => {
                "make room on the disk or repair it, then append the batch again"
            }
            Self::OpeningSegment { .. } | Self::ReadingSegment { .. } => {
                "check the disk and the permissions, then read again from the last record that was read"
            }
            Self::CheckingVersion { .. } => "run the newer build, or let it drain the log before going back",
            Self::CheckingName { .. } => "rename the file to the number in its header; its name was changed by hand",
            Self::CheckingOrder { .. } => {
                "the folder mixes files of two logs; restore it, or move the newer segment away and open again"
            }
            Self::CheckingLength { .. } => "raise record_bytes_max to at least this length and open again",
            Self::CuttingTail { .. } => "check the disk, then open the log again",
            Self::SyncingFolder { .. } => "check the disk, then repeat the call; nothing is lost",
            Self::MeasuringRecord { .. } => "split or refuse the record, or raise record_bytes_max",
            Self::Full { .. } => "refuse the batch and retry it after truncate_before has freed segments",
            Self::Numbering { .. } => "begin a new log in an empty folder with a new transaction name",
            Self::Undoing { .. } | Self::Syncing { .. } | Self::Poisoned { .. } => {
                "drop the log, check the disk and open it again; do not acknowledge what was appended since the last sync"
            }
            Self::ReadingBeforeStart { .. } => {
                "the reader's position was lost or reset; read from first_sequence and account for the gap"
            }
            Self::ReadingBeyondEnd { .. } => {
                "the log was lost or restored from a copy; call advance_to with the reader's position"
            }
            Self::TruncatingBeyondDurable { .. } => "sync first; if the position comes from the table, call advance_to",
            Self::AdvancingBackwards { .. } => "nothing needs to be done: the log is already ahead",
            Self::RemovingSegment { .. } => "check permissions and call truncate_before again",
        }
    }

    /// Whether waiting for room, on the disk or in the budget, is the way on.
    pub fn is_out_of_space(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::CreatingSegment { source, .. } | Self::Appending { source, .. } | Self::Probing { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Whether the log takes no more writes until it is opened again.
    pub const fn is_poisoned(&self) -> bool {
        matches!(self, Self::Undoing { .. } | Self::Syncing { .. } | Self::Poisoned { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_never_prints_its_source() {
        let source = io::Error::other("the disk said no");
        let error = Error::Syncing { path: PathBuf::from("0.wal"), offset: 24, source };
        assert_eq!(error.to_string(), "could not sync segment 0.wal up to byte 24");
    }

    #[test]
    fn only_room_and_not_a_broken_disk_counts_as_out_of_space() {
        let failed = |kind| Error::Appending { path: PathBuf::new(), offset: 0, source: io::Error::from(kind) };
        assert!(Error::Full { needed: 1, used: 1, budget: 1 }.is_out_of_space());
        assert!(failed(io::ErrorKind::StorageFull).is_out_of_space());
        assert!(!failed(io::ErrorKind::Other).is_out_of_space());
    }
}
