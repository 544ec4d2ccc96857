//! Bytes in, durable, into the table.
//!
//! The life of one event: [`decode`] turns bytes into events or into rejections that name the field; [`Collector::submit`]
//! puts the events that are new into the write-ahead log and returns once they are on disk; a flush hands them to the
//! [`EventSink`] together with the position of the log, and the log forgets them. After a crash the sink says how far it
//! got and the rest is read from the log again.
//!
//! # What is promised
//!
//! - An event that [`Collector::submit`] answered is on disk, and will be in the table, whatever is killed meanwhile.
//! - It is stored once, however often it is sent. A resend is recognised at once while its id is in the window of recent
//!   ids: everything received in the last day (`Settings::recent_s`), or the newest million (`Settings::recent_ids`) if
//!   there was more; the window knows from when on it is complete ([`RecentIds`]). An event that happened before that is
//!   taken as `Ingest::Late`, and the table is asked for its id before it is stored. So is every event of a flush that
//!   failed, of a log that is read back, and of a record that survived a failure although it was refused.
//! - An event that was answered with an error was not acknowledged. It may still be there if the disk failed in the
//!   middle: send it again, it is stored once.
//! - Nothing grows without a bound, and what does not fit is refused with a reason and a time to come back
//!   ([`Error::Refused`]). How much works at the moment has a name ([`Mode`]), and everything comes back by itself: a
//!   failed flush, a table that does not answer at the start, a full disk, a failed fsync.
//!
//! The promise is about one process per log, and one log per event: two collectors that get the same event within a day
//! both take it, and the table reads it as one.
//!
//! What is absent: HTTP and the table format. Decisions (`state`, `decode`) are functions of their arguments; the only
//! threads, files and clocks are in [`Collector`] (`driver`, `files`, `table`). In which mode it is, and why, is decided in
//! `mode`.

pub mod accept;
mod backoff;
pub mod bound;
mod collector;
mod compression;
pub mod decode;
mod driver;
mod effect;
mod error;
mod files;
mod health;
pub mod intake;
mod mode;
pub mod policy;
mod quarantine;
mod quota;
mod recent;
pub mod record;
pub mod redact;
mod settings;
mod sink;
mod state;
mod table;
mod unknown;
mod yaml;

pub use accept::accept;
pub use backoff::Backoff;
pub use collector::{Acknowledgement, Collector, Receipt};
pub use compression::{Compression, CompressionError, decompress};
pub use error::Error;
pub use health::{Damage, Health, Refusal};
pub use intake::Intake;
pub use mode::{Mode, Transition};
pub use policy::{Bounds, CorpusRetention, Policy, PolicyError, Retention};
pub use quota::{OverQuota, Quotas};
pub use recent::RecentIds;
pub use settings::{FreeBytes, Observer, Settings, disk_reserve};
pub use sink::{Batch, EventSink, SinkError};

#[cfg(test)]
mod tests;
