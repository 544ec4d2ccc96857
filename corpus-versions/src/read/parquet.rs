use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use super::column::Column;
use crate::error::{Error, Fault};
use crate::manifest::{Manifest, ManifestEntry};

const COLUMNS: [&str; 6] = ["doc_id", "content_hash", "vector_hash", "tokens", "updated_at", "scope"];
/// With these four bytes a file begins and ends.
const MAGIC: &[u8] = b"PAR1";
/// Rows that are decoded at a time.
const ROWS: usize = 1_024;

/// Reads a Parquet file that an operator names, or its bytes, of at most `max_entries` rows.
///
/// The columns are those of [`ManifestEntry`], in any order. `doc_id` and `content_hash` are required. Texts may be of any
/// Arrow text type or dictionary, `doc_id` also whole numbers; `tokens` any integer type; `updated_at` a timestamp of any
/// unit (one without a time zone is read as UTC) or an RFC 3339 text. Other columns are refused, as in NDJSON.
///
/// The decoder takes a file at its word about how much there is to read: this is not for files from the network.
pub fn read_parquet(input: impl ChunkReader + 'static, max_entries: u64) -> Result<Manifest, Error> {
    let entries = read_entries(input, max_entries)?;
    if entries.is_empty() {
        return Err(Error::EmptyInput);
    }
    Manifest::from_entries(entries)
}

/// Reads a manifest that was written here.
pub(crate) fn read_own_parquet(input: Bytes, entries: u64) -> Result<Manifest, Error> {
    Manifest::from_entries(read_entries(input, entries)?)
}

/// The rows as they stand in the file.
///
/// The decoder panics on some damaged files; a panic becomes the error of a file that cannot be read. Nothing that it
/// touched is used again.
fn read_entries(input: impl ChunkReader + 'static, max_entries: u64) -> Result<Vec<ManifestEntry>, Error> {
    catch_unwind(AssertUnwindSafe(|| decode(input, max_entries))).unwrap_or_else(|_| Err(unreadable("it is damaged")))
}

fn decode(input: impl ChunkReader + 'static, max_entries: u64) -> Result<Vec<ManifestEntry>, Error> {
    check_end(&input)?;
    // What the file says of Arrow types is left aside, so that texts have one type whatever they were written from.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let file = ParquetRecordBatchReaderBuilder::try_new_with_options(input, options).map_err(undecodable)?;
    check_columns(file.schema())?;
    if u64::try_from(file.metadata().file_metadata().num_rows()).is_ok_and(|rows| rows > max_entries) {
        return Err(Error::TooManyEntries { limit: max_entries });
    }
    let mut entries = Vec::new();
    for batch in file.with_batch_size(ROWS).build().map_err(undecodable)? {
        append(&mut entries, &batch.map_err(unreadable)?)?;
        // What the file says of its rows may be wrong.
        if entries.len() as u64 > max_entries {
            return Err(Error::TooManyEntries { limit: max_entries });
        }
    }
    Ok(entries)
}

/// Most files that cannot be read were cut off.
fn check_end(input: &impl ChunkReader) -> Result<(), Error> {
    match input.len().checked_sub(MAGIC.len() as u64) {
        Some(start) if input.get_bytes(start, MAGIC.len()).map_err(undecodable)? == MAGIC => Ok(()),
        _ => Err(unreadable("it does not end as a Parquet file does")),
    }
}

fn undecodable(error: ParquetError) -> Error {
    match error {
        ParquetError::General(reason) | ParquetError::EOF(reason) => unreadable(reason),
        error => unreadable(error),
    }
}

fn unreadable(reason: impl Display) -> Error {
    Error::ReadParquet { reason: reason.to_string() }
}

fn check_columns(schema: &Schema) -> Result<(), Error> {
    let invalid = |column: &str, reason: &str| Error::InvalidColumn { fault: Fault::of(column, reason) };
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    for (place, name) in names().enumerate() {
        if !COLUMNS.contains(&name) {
            let name: String = name.chars().take(80).collect();
            return Err(invalid(&name, "is not a column of a manifest"));
        }
        if names().take(place).any(|earlier| earlier == name) {
            return Err(invalid(name, "is there more than once"));
        }
    }
    if let Some(required) =
        ["doc_id", "content_hash"].into_iter().find(|required| !names().any(|name| name == *required))
    {
        return Err(invalid(required, "is required and missing"));
    }
    schema.fields().iter().try_for_each(|field| Column::check(field)).map_err(|fault| Error::InvalidColumn { fault })
}

fn append(entries: &mut Vec<ManifestEntry>, batch: &RecordBatch) -> Result<(), Error> {
    let [doc_id, content_hash, vector_hash, tokens, updated_at, scope] = COLUMNS.map(|name| Column::of(batch, name));
    for row in 0..batch.num_rows() {
        let entry = || -> Result<ManifestEntry, Fault> {
            Ok(ManifestEntry {
                doc_id: required(&doc_id, row)?,
                content_hash: required(&content_hash, row)?,
                vector_hash: vector_hash.parsed(row)?,
                tokens: tokens.count(row)?,
                updated_at: updated_at.time(row)?,
                scope: scope.parsed(row)?,
            })
        };
        let place = entries.len() as u64 + 1;
        entries.push(entry().map_err(|fault| Error::InvalidRow { row: place, fault })?);
    }
    Ok(())
}

fn required<T: FromStr<Err: Display>>(column: &Column<'_>, row: usize) -> Result<T, Fault> {
    column.parsed(row)?.ok_or_else(|| Fault::of(column.name(), "is required and null"))
}

#[cfg(test)]
mod tests;
