//! The columns of the tables: each name is declared here, once, beside the value that fills it.
//!
//! `encode` turns events into a [`RecordBatch`], `decode` turns a batch back. The schema of a table is the schema of its
//! empty batch. Ids are binary, times are UTC microseconds, lists are `list<element>` and maps are
//! `map<key, value>`, because those are the types that Delta has. See `collector/lake/TABLE.md`.

mod layout;
mod output;
mod read;
mod retrieval;

pub use layout::{EVENT_DATE, PARTITIONED_BY_CORPUS, PARTITIONED_BY_DATE};
pub use read::{ColumnError, Columns, Texts};

/// The table of retrievals: one row per event.
pub mod retrievals {
    pub use super::retrieval::{decode, encode, schema};
}

/// The table of outputs: one row per event.
pub mod outputs {
    pub use super::output::{decode, encode, schema};
}
