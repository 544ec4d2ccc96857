//! Events as rows of tables: Arrow IPC and Parquet.
//!
//! A row becomes a draft and goes the way of every other event. Its columns are the fields of an event, nested as they are in
//! JSON (`query` a struct, `results` a list of structs), flattened (`query.text`), as texts of JSON, or those of the tables of
//! a store, so that what was exported can be imported.
//!
//! Arrow can say much in few bytes: a dictionary, a view, a list of nulls or the name of a column stands for any amount of
//! text. A row is therefore read by itself and only up to a limit, and nothing is sized by what a table announces.

mod cell;
mod ipc;
mod layout;
mod parquet;
#[cfg(test)]
mod tests;
mod times;

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

pub use ipc::{ipc_file, ipc_stream, is_ipc_file, is_ipc_stream};
pub use parquet::{is_parquet, parquet_file};

use self::cell::Budget;
use self::layout::Layout;
use super::draft::EventDraft;
use super::{Kind, Rejection, explain};

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
    /// It has columns that no event has.
    #[error("the table has columns that are no fields of this event: {0}; data of your own goes into `attributes`")]
    Columns(String),
    /// Written out, its rows are too large.
    #[error("the first {rows} rows take more than {limit} bytes when they are written out")]
    TooLarge {
        /// How many rows.
        rows: u64,
        /// How many bytes are allowed.
        limit: u64,
    },
    /// Its buffers are compressed.
    #[error("its buffers are compressed; write them as they are, and compress the whole if it has to be small")]
    Compressed,
}

/// What the rows of a table may take when they are written out.
#[derive(Debug, Clone, Copy)]
pub struct RowLimits {
    /// Bytes of one row; beyond it that row is refused.
    pub row: usize,
    /// Bytes of all of them; beyond it the table is refused. What is looked at counts as well, even if it writes nothing.
    pub table: u64,
}

/// A table that was opened.
pub struct Table<'a> {
    schema: SchemaRef,
    batches: Batches<'a>,
}

type Batches<'a> = Box<dyn Iterator<Item = Result<RecordBatch, TableError>> + 'a>;

impl<'a> Table<'a> {
    fn of<E: Into<TableError>>(schema: SchemaRef, reader: impl Iterator<Item = Result<RecordBatch, E>> + 'a) -> Self {
        Self { schema, batches: batches(reader) }
    }

    /// Which kind of events its columns belong to; `None` if they do not say.
    pub fn kind(&self) -> Option<Kind> {
        layout::kind(&self.schema)
    }

    /// Its rows, once its columns are known to be fields of an event.
    pub fn rows(self, kind: Kind, limits: RowLimits) -> Result<Rows<'a>, TableError> {
        let layout = guarded(|| Layout::of(&self.schema, kind))?;
        Ok(Rows { layout, kind, batches: self.batches, batch: None, limits, read: 0, spent: 0 })
    }
}

/// The rows of a table as drafts, or why one of them cannot be an event; up to the first error of the table.
pub struct Rows<'a> {
    layout: Layout,
    kind: Kind,
    batches: Batches<'a>,
    /// The batch that is read, and its next row.
    batch: Option<(RecordBatch, usize)>,
    limits: RowLimits,
    read: u64,
    spent: u64,
}

impl Rows<'_> {
    /// The columns that are passed over because they hold nothing of an event: the index that pandas adds.
    pub fn ignored(&self) -> &[String] {
        &self.layout.ignored
    }

    /// What reading has cost so far: about the bytes that the rows take when they are written out.
    pub fn spent(&self) -> u64 {
        self.spent
    }

    fn row(&mut self) -> Option<Result<EventDraft, Rejection>> {
        let (batch, next) = self.batch.as_mut().filter(|(batch, next)| *next < batch.num_rows())?;
        let (row, limit, kind) = (*next, self.limits.row, self.kind);
        *next += 1;
        self.read += 1;
        let budget = Budget::new(limit);
        let read = guarded(|| Ok(EventDraft::deserialize(kind, self.layout.row(batch, row, &budget))));
        // A row that is too long was looked at up to the limit, and one without any column costs a look as well.
        self.spent = self.spent.saturating_add(budget.spent().min(limit).max(1) as u64);
        let whole = |reason: String| Rejection { field: None, reason, malformed: false };
        Some(match read {
            Ok(Ok(draft)) => Ok(if budget.not_finite() { draft.not_finite() } else { draft }),
            Ok(Err(_)) if budget.is_exhausted() => Err(whole(format!("has more than {limit} bytes, the limit"))),
            Ok(Err(_)) => Err(explain::why(kind, self.layout.row(batch, row, &Budget::new(limit)))),
            Err(error) => Err(whole(error.to_string())),
        })
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Result<EventDraft, Rejection>, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.spent > self.limits.table {
                self.batches = Box::new(std::iter::empty());
                self.batch = None;
            }
            if let Some(row) = self.row() {
                let (rows, limit) = (self.read, self.limits.table);
                return Some(if self.spent > limit { Err(TableError::TooLarge { rows, limit }) } else { Ok(row) });
            }
            match self.batches.next()? {
                Ok(batch) => self.batch = Some((batch, 0)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The decoders panic on some damaged tables. Whoever sends one must not be able to end a thread with it, so a panic becomes
/// the error of a table that cannot be read. Nothing that it touched is used again.
fn guarded<T>(read: impl FnOnce() -> Result<T, TableError>) -> Result<T, TableError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(TableError::Unreadable("it is damaged".to_owned())))
}

/// The batches of a reader up to its end or its first error.
fn batches<'a, E: Into<TableError>>(mut reader: impl Iterator<Item = Result<RecordBatch, E>> + 'a) -> Batches<'a> {
    let mut ended = false;
    Box::new(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let next = guarded(|| reader.next().transpose().map_err(Into::into));
        ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    }))
}
