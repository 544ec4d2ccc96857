//! The only door to Delta and `DataFusion`: two tables of Parquet files, written once and read by anybody.
//!
//! [`Lake::append`] commits a batch of events together with the position of the log that it was read from, so that the
//! log and the table can never disagree about what has arrived. [`Lake::scan`] reads rows of one table as Arrow batches,
//! each event once; [`Lake::scan_window`] does so for all rows of a window, as fast as its files allow. Columns and layout:
//! `TABLE.md`; their names: [`tidemark_schema::columns`].
//!
//! What is absent: HTTP, statistics, and any knowledge of what the log is.

mod append;
mod arrow;
mod compact;
mod erase;
mod error;
mod evidence;
mod files;
mod load;
mod location;
mod parquet;
mod retain;
mod scan;
mod sql;
mod sweep;
mod table;
mod usage;
mod verify;
mod window;

pub use append::{Appended, Position};
pub use arrow::{WriteArrowError, write_arrow};
pub use compact::{Compacted, due_for_compaction};
pub use erase::Erased;
pub use error::Error;
pub use files::{DataFile, Partition};
pub use load::BulkLoad;
pub use location::Location;
pub use object_store;
pub use parquet::{ParquetError, WriteParquetError, write_parquet};
pub use retain::{CorpusRetention, Drop, Reason, Retention, due_for_removal};
pub use scan::{Filter, RowStream, Scan};
pub use sql::{SqlAnswer, SqlError, SqlForm, SqlLimits};
pub use sweep::Swept;
pub use table::{Lake, Table};
pub use usage::{PartitionUsage, Usage};
pub use verify::{Finding, FindingKind, Verified};
pub use window::WindowScan;

#[cfg(test)]
mod tests;
