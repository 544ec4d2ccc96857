use std::fmt::Display;
use std::str::FromStr;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use bytes::Bytes;
use tidemark_parquet::{ChunkReader, File, Limits};

use super::column::Column;
use crate::error::{Error, Fault};
use crate::manifest::{Manifest, ManifestEntry};

const COLUMNS: [&str; 6] = ["doc_id", "content_hash", "vector_hash", "tokens", "updated_at", "scope"];

/// What decoding may take. Programs that make one page of each column and row group, hence of about a hundred thousand rows,
/// fill half of it with rows of 500 bytes.
const MEMORY_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// What an entry may take on average: in the file once it is decompressed, and of texts in memory. Rows that repeat a text
/// share it in a file, and hold it each by itself as entries.
const ENTRY_BYTES_MAX: u64 = 1024;
const ENTRY_TEXT_BYTES_MAX: u64 = 256;

/// Reads a Parquet file, or its bytes, of at most `max_entries` rows.
///
/// The columns are those of [`ManifestEntry`], in any order. `doc_id` and `content_hash` are required. Texts may be of any
/// Arrow text type or dictionary, `doc_id` also whole numbers; `tokens` any integer type; `updated_at` a timestamp of any
/// unit (one without a time zone is read as UTC) or an RFC 3339 text. Other columns are refused, as in NDJSON.
pub fn read_parquet(input: impl ChunkReader + 'static, max_entries: u64) -> Result<Manifest, Error> {
    let within = |bytes: u64| max_entries.saturating_mul(bytes).max(MEMORY_BYTES_MAX);
    let limits = Limits { memory: MEMORY_BYTES_MAX, all_bytes: within(ENTRY_BYTES_MAX) };
    let entries = read_entries(input, max_entries, within(ENTRY_TEXT_BYTES_MAX), limits)?;
    if entries.is_empty() {
        return Err(Error::EmptyInput);
    }
    Manifest::from_entries(entries)
}

/// Reads a manifest that was written here. Its entries were within their limits when they came in.
pub(crate) fn read_own_parquet(input: Bytes, entries: u64) -> Result<Manifest, Error> {
    let limits = Limits { memory: MEMORY_BYTES_MAX, all_bytes: u64::MAX };
    Manifest::from_entries(read_entries(input, entries, u64::MAX, limits)?)
}

/// The rows as they stand in the file.
fn read_entries(
    input: impl ChunkReader + 'static,
    max_entries: u64,
    max_text_bytes: u64,
    limits: Limits,
) -> Result<Vec<ManifestEntry>, Error> {
    let file = File::open(input).map_err(unreadable)?;
    check_columns(file.schema())?;
    if file.rows() > max_entries {
        return Err(Error::TooManyEntries { limit: max_entries });
    }
    let (mut entries, mut text_bytes) = (Vec::new(), 0);
    for batch in file.batches(limits).map_err(unreadable)? {
        let batch = batch.map_err(unreadable)?;
        let first = entries.len();
        append(&mut entries, &batch)?;
        text_bytes += entries.iter().skip(first).map(text_bytes_of).sum::<u64>();
        if text_bytes > max_text_bytes {
            return Err(Error::TooMuchText { limit: max_text_bytes });
        }
    }
    Ok(entries)
}

fn text_bytes_of(entry: &ManifestEntry) -> u64 {
    let vector_hash = entry.vector_hash.as_ref().map_or(0, |hash| hash.as_str().len());
    let scope = entry.scope.as_ref().map_or(0, |scope| scope.as_str().len());
    (entry.doc_id.as_str().len() + entry.content_hash.as_str().len() + vector_hash + scope) as u64
}

fn unreadable(source: tidemark_parquet::Error) -> Error {
    Error::ReadParquet { source }
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
