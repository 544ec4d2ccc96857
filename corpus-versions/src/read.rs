//! Manifests from outside: NDJSON from anywhere, and Parquet files that an operator names.
//!
//! Both are read entry by entry against the caller's limit, and the first fault ends the reading with its place, its
//! field and the reason. Compression around the file is the caller's business.

mod column;
mod ndjson;
mod parquet;

pub use ndjson::{MAX_LINE_BYTES, encode_ndjson, read_ndjson};
pub(crate) use parquet::read_own_parquet;
pub use parquet::read_parquet;

/// The limit of entries for callers that have no other: 10 million, about 3 GB in memory.
pub const DEFAULT_MAX_ENTRIES: u64 = 10_000_000;
