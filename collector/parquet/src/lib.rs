//! Parquet files from outside, checked before they are decoded.
//!
//! A file says of itself how much there is to read, and the decoder takes it at its word: it reserves what is announced,
//! skips what is announced, and follows groups as deep as they go. A few hundred bytes can so keep a thread busy for
//! hours, take gigabytes, or end the process. [`File`] therefore walks through a file first, and hands the decoder only
//! what keeps to its own size and to [`Limits`].
//!
//! | what a file announces | where | what is checked |
//! |---|---|---|
//! | lists, texts and structs of the metadata | `thrift`, `grammar` | a list is no longer than the bytes that are left; nothing is nested deeper than 16; a field is what the format says |
//! | columns | `footer` | at most 4,096, nested at most 32 deep, with names of at most 256 bytes and fixed lengths of at most 1,024; 65,536 over all row groups; the metadata is at most 8 MiB |
//! | column chunks | `check` | together they are no longer than the file, so that none is read for the price of another, and have at most a million pages, of as many rows as the file says |
//! | the sizes of a page | `pages` | at most half of [`Limits::memory`], also where gzip makes more of it than it says; a header holds no list |
//! | the values of a page | `page` | a dictionary has the bytes of its values, lengths are as many as the page has values |
//! | rows | `levels`, `weight` | one row fits into [`Limits::memory`] with all pages in which it stands; as many are decoded at a time as fit into a quarter of it |
//! | values that stand for many bytes | [`File::open`] | texts are read as views, which rows that repeat a value share |
//!
//! Pages are decompressed twice, once to check them. Pages of `DELTA_BYTE_ARRAY` are refused: each value may repeat all of
//! the one before, so that a small page stands for any amount of text. Most programs do not write them unless they are told to;
//! those that fall back to them (the second version of pages in parquet-mr and in arrow-rs) can be told another encoding.

mod check;
mod footer;
mod grammar;
mod levels;
mod page;
mod pages;
mod thrift;
mod weight;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
pub use parquet::file::reader::ChunkReader;

use crate::check::check;

/// What a file may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory for decoding. At most a quarter more is taken, besides the file itself and its metadata.
    pub memory: u64,
    /// Bytes of all pages, decompressed: what reading the file may cost in time.
    pub all_bytes: u64,
}

/// Why a file cannot be read, or cannot be read any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// A file of which only the metadata has been read.
pub struct File<R> {
    input: R,
    metadata: ArrowReaderMetadata,
}

impl<R: ChunkReader + 'static> File<R> {
    /// Reads the metadata.
    ///
    /// Texts and bytes come as views whatever they were written from; what a file says of Arrow types is left aside.
    pub fn open(input: R) -> Result<Self, Error> {
        guarded(|| {
            let metadata = with_views(Arc::new(footer::read(&input)?))?;
            Ok(Self { input, metadata })
        })
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// How many rows the file says that it has. [`Self::batches`] refuses it if it has more or fewer.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// The rows, once all pages have been checked.
    pub fn batches(self, limits: Limits) -> Result<Batches, Error> {
        guarded(|| {
            let rows = check(&self.input, self.metadata.metadata(), limits)?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.input, self.metadata);
            Ok(Batches(Some(builder.with_batch_size(rows).build()?)))
        })
    }
}

/// The rows of a file that was checked, up to its end or its first error.
pub struct Batches(Option<ParquetRecordBatchReader>);

impl Iterator for Batches {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = self.0.take()?;
        let batch = guarded(|| Ok(reader.next().transpose()?)).transpose();
        if matches!(batch, Some(Ok(_))) {
            self.0 = Some(reader);
        }
        batch
    }
}

/// The decoder panics on some damaged files (a negative offset in the metadata, a page with too few levels). Whoever sends a
/// file must not be able to end a thread with it, so a panic becomes the error of a file that cannot be read. Nothing
/// that it touched is used again. This needs unwinding: do not build with `panic = "abort"`.
fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(ParquetError::General(reason) | ParquetError::EOF(reason))) => Err(Error(reason)),
        Ok(Err(error)) => Err(Error(error.to_string())),
        Err(_) => Err(Error("it is damaged".to_owned())),
    }
}

fn refused(reason: impl Into<String>) -> ParquetError {
    ParquetError::General(reason.into())
}

/// Has texts and bytes read as views: rows that repeat one long value of a dictionary then share it, where copies could fill
/// the memory from a small file.
fn with_views(metadata: Arc<ParquetMetaData>) -> Result<ArrowReaderMetadata> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::try_new(Arc::clone(&metadata), options.clone())?;
    let schema = Schema::new_with_metadata(views(plain.schema().fields()), plain.schema().metadata().clone());
    ArrowReaderMetadata::try_new(metadata, options.with_schema(Arc::new(schema)))
}

fn views(fields: &Fields) -> Fields {
    fields.iter().map(view).collect()
}

fn view(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        DataType::Struct(fields) => DataType::Struct(views(fields)),
        DataType::List(item) => DataType::List(view(item)),
        DataType::Map(entries, sorted) => DataType::Map(view(entries), *sorted),
        _ => return Arc::clone(field),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}
