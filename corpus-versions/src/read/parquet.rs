mod page_headers;

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use self::page_headers::PageHeaders;
use super::column::Column;
use crate::error::{Error, Fault};
use crate::manifest::{Manifest, ManifestEntry};

const COLUMNS: [&str; 6] = ["doc_id", "content_hash", "vector_hash", "tokens", "updated_at", "scope"];

/// Reads a Parquet file, or its bytes, of at most `max_entries` rows.
///
/// The columns are those of [`ManifestEntry`], in any order. `doc_id` and `content_hash` are required. Texts may be of any
/// Arrow text type or dictionary, `doc_id` also whole numbers; `tokens` any integer type; `updated_at` a timestamp of any
/// unit (one without a time zone is read as UTC) or an RFC 3339 text. Other columns are refused, as in NDJSON.
pub fn read_parquet(input: impl ChunkReader + 'static, max_entries: u64) -> Result<Manifest, Error> {
    let entries = read_entries(input, max_entries)?;
    if entries.is_empty() {
        return Err(Error::EmptyInput);
    }
    Manifest::from_entries(entries)
}

/// The rows as they stand in the file; a file without rows is fine here.
///
/// The decoder panics on some damaged files (a negative offset in the footer, a page with too few levels). Whoever sends a
/// file must not be able to end a thread with it, so a panic becomes the error of a file that cannot be read. Nothing
/// that it touched is used again.
pub(crate) fn read_entries(input: impl ChunkReader + 'static, max_entries: u64) -> Result<Vec<ManifestEntry>, Error> {
    catch_unwind(AssertUnwindSafe(|| decode(input, max_entries)))
        .unwrap_or_else(|_| Err(unreadable(ParquetError::General("the file is damaged".to_owned()))))
}

fn decode(input: impl ChunkReader + 'static, max_entries: u64) -> Result<Vec<ManifestEntry>, Error> {
    let input = PageHeaders(input);
    let metadata = metadata_of(&input).map_err(unreadable)?;
    check_columns(metadata.schema())?;
    let rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
    if rows > max_entries {
        return Err(Error::TooManyEntries { limit: max_entries });
    }
    let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata).build().map_err(unreadable)?;
    let mut entries = Vec::new();
    for batch in batches {
        let batch = batch.map_err(|source| unreadable(source.into()))?;
        // The count in the footer may lie.
        if entries.len() as u64 + batch.num_rows() as u64 > max_entries {
            return Err(Error::TooManyEntries { limit: max_entries });
        }
        append(&mut entries, &batch)?;
    }
    Ok(entries)
}

fn unreadable(source: ParquetError) -> Error {
    Error::ReadParquet { source }
}

/// The embedded Arrow schema is left aside, so that small, large and dictionary texts arrive as one type. That type is the
/// view: rows that repeat one long text of a dictionary then share it, where copies could fill the memory from a small file.
fn metadata_of(input: &impl ChunkReader) -> Result<ArrowReaderMetadata, ParquetError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::load(input, options.clone())?;
    let fields: Vec<_> = plain
        .schema()
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8 => Arc::new(Field::clone(field).with_data_type(DataType::Utf8View)),
            _ => Arc::clone(field),
        })
        .collect();
    let schema = Schema::new_with_metadata(fields, plain.schema().metadata().clone());
    ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options.with_schema(Arc::new(schema)))
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
    match ["doc_id", "content_hash"].into_iter().find(|required| !names().any(|name| name == *required)) {
        Some(required) => Err(invalid(required, "is required and missing")),
        None => Ok(()),
    }
}

fn append(entries: &mut Vec<ManifestEntry>, batch: &RecordBatch) -> Result<(), Error> {
    let column = |name: &'static str| Column::of(batch, name).map_err(|fault| Error::InvalidColumn { fault });
    let doc_id = column("doc_id")?;
    let content_hash = column("content_hash")?;
    let vector_hash = column("vector_hash")?;
    let tokens = column("tokens")?;
    let updated_at = column("updated_at")?;
    let scope = column("scope")?;
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
