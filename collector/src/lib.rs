//! Bytes in, durable, into the table.
//!
//! The life of one event: [`decode`] turns bytes into events or into rejections that name the field; [`Collector::submit`]
//! puts the events that are new into the write-ahead log and returns once they are on disk; a flush hands them to the
//! [`EventSink`] together with the position of the log, and the log forgets them. After a crash the sink says how far it
//! got and the rest is read from the log again.
//!
//! What is absent: HTTP and the table format. Decisions (`dedup`, `decode`) are functions of their arguments; the only
//! threads and clocks are in [`Collector`]. In which mode it is, and why, is decided in `mode`.

pub mod bound;
mod collector;
mod compression;
mod counters;
pub mod decode;
mod dedup;
mod disk;
mod error;
mod flusher;
mod log;
mod mode;
pub mod policy;
mod quota;
mod recent;
pub mod record;
mod recovery;
pub mod redact;
mod sink;
mod unknown;
mod unreadable;

pub use collector::{Collector, FreeBytes, Observer, Receipt, Settings, Verdict};
pub use compression::{Compression, CompressionError, decompress};
pub use counters::Health;
pub use disk::free_bytes;
pub use error::Error;
pub use mode::{Mode, Transition};
pub use policy::{Bounds, CorpusRetention, Policy, PolicyError, Retention};
pub use quota::{Quotas, Refusal};
pub use recent::RecentIds;
pub use sink::{Batch, EventSink, SinkError};

#[cfg(test)]
mod tests;
