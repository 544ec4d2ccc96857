//! Bytes in, durable, into the table.
//!
//! The life of one event: [`decode`] turns bytes into events or into rejections that name the field; [`Collector::submit`]
//! puts the events that are new into the write-ahead log and returns once they are on disk; a flush hands them to the
//! [`EventSink`] together with the position of the log, and the log forgets them. After a crash the sink says how far it
//! got and the rest is read from the log again.
//!
//! What is absent: HTTP and the table format. Decisions (`dedup`, `decode`) are functions of their arguments; the only
//! threads and clocks are in [`Collector`].

mod collector;
mod compression;
pub mod decode;
mod dedup;
mod error;
mod flusher;
mod log;
mod recent;
pub mod record;
mod recovery;
mod sink;

pub use collector::{Collector, Health, Receipt, Settings, Verdict};
pub use compression::{Compression, CompressionError, decompress};
pub use error::Error;
pub use recent::RecentIds;
pub use sink::{Batch, EventSink, SinkError};

#[cfg(test)]
mod tests;
