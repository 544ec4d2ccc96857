//! Events as rows of tables: Arrow IPC and Parquet.
//!
//! A row becomes the JSON of an event and goes the way of every other event. Its columns are the fields of an event, nested
//! as they are in JSON (`query` a struct, `results` a list of structs), or those of the tables of a store, so that what was
//! exported can be imported.
//!
//! Arrow can say much in few bytes: a dictionary, a view or a list of nulls stands for any amount of text. What a batch
//! would become is therefore computed before it is written out ([`cost`]).

mod cost;
mod ipc;
mod layout;
mod non_finite;
mod parquet;
#[cfg(test)]
mod tests;
mod times;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use serde_json::{Map, Value};

pub use ipc::{ipc_file, ipc_stream, is_ipc_file, is_ipc_stream, refuse_compressed};
pub use parquet::{is_parquet, parquet_file};

use super::Rejection;

/// Why a table cannot be read as events, or cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It is damaged, or not what it looks like.
    #[error("the table cannot be read: {0}")]
    Unreadable(String),
    /// It has a column of a type that no field of an event has.
    #[error("the column {column} is of the type {found}, which no field of an event has")]
    Type {
        /// Which column, with those above it.
        column: String,
        /// Its type.
        found: String,
    },
    /// Written out, its rows are too large.
    #[error("{rows} rows would take more than {limit} bytes when they are written out")]
    TooLarge {
        /// How many rows.
        rows: usize,
        /// How many bytes are allowed.
        limit: u64,
    },
    /// Its buffers are compressed.
    #[error(
        "the buffers of the stream are compressed; send it uncompressed, or compress the body as Content-Encoding says"
    )]
    Compressed,
}

/// An iterator over the batches of a table.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<RecordBatch, TableError>> + 'a>;

/// The decoders panic on some damaged tables. Whoever sends one must not be able to end a thread with it, so a panic becomes
/// the error of a table that cannot be read. Nothing that it touched is used again.
fn guarded<T>(read: impl FnOnce() -> Result<T, TableError>) -> Result<T, TableError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(TableError::Unreadable("it is damaged".to_owned())))
}

/// The batches of a reader up to its end or its first error.
fn batches<'a, E: Display>(mut reader: impl Iterator<Item = Result<RecordBatch, E>> + 'a) -> Batches<'a> {
    let mut ended = false;
    Box::new(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let unreadable = |error: E| TableError::Unreadable(error.to_string());
        let next = guarded(|| reader.next().transpose().map_err(unreadable));
        ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    }))
}

/// The rows of a batch as JSON of events, each by itself. `limit` is how many bytes they may take together.
pub fn rows(batch: &RecordBatch, limit: u64) -> Result<Vec<Result<Vec<u8>, Rejection>>, TableError> {
    guarded(|| rows_of(batch, limit))
}

fn rows_of(batch: &RecordBatch, limit: u64) -> Result<Vec<Result<Vec<u8>, Rejection>>, TableError> {
    let mut cost = 0;
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        cost += cost::of(column, field.name())?;
        if cost > limit {
            return Err(TableError::TooLarge { rows: batch.num_rows(), limit });
        }
    }
    let lines = lines(batch)?;
    let mut non_finite = BTreeMap::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        for (row, path) in non_finite::places(column) {
            non_finite.entry(row).or_insert_with(|| layout::wire_name(field.name(), &path));
        }
    }
    let each = lines.split(|byte| *byte == b'\n').take(batch.num_rows()).enumerate();
    Ok(each
        .map(|(row, line)| match non_finite.remove(&row) {
            Some(field) => {
                let reason = "is NaN or infinite; leave it null when the value is not known";
                Err(Rejection::field(field, reason))
            }
            None => event(line),
        })
        .collect())
}

/// One line of JSON for each row.
fn lines(batch: &RecordBatch) -> Result<Vec<u8>, TableError> {
    let unwritable = |error: arrow_schema::ArrowError| TableError::Unreadable(error.to_string());
    let builder = WriterBuilder::new().with_encoder_factory(Arc::new(times::Times));
    let mut writer = builder.build::<_, LineDelimited>(Vec::new());
    writer.write(batch).and_then(|()| writer.finish()).map_err(unwritable)?;
    Ok(writer.into_inner())
}

fn event(line: &[u8]) -> Result<Vec<u8>, Rejection> {
    let whole = |reason: String| Rejection { field: None, reason, malformed: false };
    let row: Map<String, Value> = serde_json::from_slice(line).map_err(|error| whole(error.to_string()))?;
    serde_json::to_vec(&layout::to_wire(row)).map_err(|error| whole(error.to_string()))
}
