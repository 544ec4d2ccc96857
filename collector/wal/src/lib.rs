//! Append-only log of opaque records: what was acknowledged is still there after a crash.
//!
//! The log is synchronous, has one owner, and knows nothing about what a record means. It reads no clock and no random
//! source, so a test can replay any life of it.
//!
//! # Limits
//!
//! | limit | value | what happens at it |
//! |---|---|---|
//! | bytes on disk | [`Options::budget_bytes`] (1 GiB) | the batch is refused with [`Error::Full`] |
//! | the same while a given-up segment is replaced, and after [`Wal::rotate`] | 24 more | |
//! | bytes of a segment | [`Options::segment_bytes`] (64 MiB), or one larger batch | the next segment begins |
//! | bytes of a record | [`Options::record_bytes_max`] (16 MiB), at most [`RECORD_BYTES_LIMIT`] | the batch is refused |
//! | record numbers | `i64::MAX` | the batch is refused |
//! | memory while writing | one batch | |
//! | memory while reading or opening | one record and 256 KiB | |
//! | memory at rest | 16 bytes per 256 KiB of log | |
//! | damage described | [`DAMAGE_LISTED_MAX`] regions | further ones are only counted |
//!
//! # Invariants
//!
//! 1. A record before what [`Wal::sync`] returned survives a crash or a power loss, once and in order (INV-01).
//! 2. A record after that survives or does not, but never torn or out of order. If the disk kept a later record and
//!    lost an earlier one of the same unsynced stretch, the hole is told as damage.
//! 3. Record numbers are contiguous from 0. A number that a reader has seen is never given to another record: readers
//!    see durable records only. After the last records of the log were lost to a broken disk, this takes the
//!    reader's help, see [`Wal::advance_to`].
//! 4. A record that is returned is the record that was appended under that number: both checksums match, and the
//!    header's covers the place where it lies, so no copy or leftover passes for a record.
//! 5. Damage costs the records it touches and no others, is always told, and is never repaired by deleting.
//! 6. Only bytes behind the last intact record of the last segment are cut, when the log is opened.
//! 7. Only the end of the last segment is ever not durable.
//! 8. After a failed fsync, or a failed write that could not be taken back, the log takes no more writes.
//!
//! # Record layout
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `F5 54 52 C0` |
//! | 4 | 4 | payload length |
//! | 8 | 8 | sequence |
//! | 16 | 4 | CRC-32C of the payload |
//! | 20 | 4 | CRC-32C of the bytes above, the segment's first sequence and the record's offset in the file |
//! | 24 | | payload |
//!
//! `FORMAT.md` has the rest, to the byte.
//!
//! # Writing
//!
//! 1. [`Wal::append`] measures the batch and refuses it before anything is written, if it does not fit.
//! 2. A batch that would make the segment too long begins the next one: the old segment is synced, the new one is
//!    created, gets its header, and is synced with the folder. A batch never spans two segments.
//! 3. The batch is encoded into one buffer and written with one call. If that fails, the segment is cut back.
//! 4. [`Wal::sync`] makes everything appended since the last sync durable with one fsync: append for many callers,
//!    sync once, then answer them all.
//! 5. [`Wal::truncate_before`] removes whole segments, oldest first, once their records are safe elsewhere.
//! 6. [`Wal::rotate`] closes the active segment early, for an owner whose records must not lie on the disk for longer
//!    than they are needed.
//!
//! # Opening and reading
//!
//! Both go over a segment in the same way. At each place an intact header with the expected number is looked for. If
//! it is there, its length is trusted, so a damaged payload costs that record only. If not, the next intact header is
//! searched for; the numbers in between are missing. [`Recovery`] and [`Reader::damage`] tell what was stepped over.
//! Valid records behind a hole are kept: nobody can tell whether they were acknowledged, and keeping one too many is
//! harmless to a reader that knows duplicates.
//!
//! ```
//! # use tidemark_wal::{FileStorage, Options, Wal};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let (mut wal, recovery) = Wal::open(FileStorage::open(folder.path())?, Options::default())?;
//! assert!(recovery.damage.is_empty());
//! let numbers = wal.append(&["one", "two"])?;
//! let durable = wal.sync()?;
//! for record in wal.read_from(numbers.start)? {
//!     println!("{:?}", record?.payload);
//! }
//! wal.truncate_before(durable)?;
//! # Ok(())
//! # }
//! ```

mod damage;
mod error;
mod format;
mod options;
mod reader;
mod recovery;
mod scan;
mod segment;
mod sequence;
mod status;
mod storage;
mod wal;
mod window;

pub use damage::{DAMAGE_LISTED_MAX, Damage, DamageKind, DamageReport};
pub use error::Error;
pub use options::{Options, RECORD_BYTES_LIMIT};
pub use reader::{Reader, Record};
pub use recovery::{Recovery, TornTail};
pub use sequence::{Sequence, SequenceOutOfRange};
pub use status::Status;
pub use storage::{FileStorage, Storage};
pub use wal::Wal;
