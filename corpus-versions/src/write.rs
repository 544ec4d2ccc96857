use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow_schema::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use tidemark_schema::{ContentHash, Label, Timestamp};

use crate::error::Error;
use crate::manifest::{Manifest, ManifestEntry};

/// Entries turned into arrays at a time.
const BATCH_ROWS: usize = 65_536;

/// The manifest as a Parquet file, with zstd and dictionaries, in the order of the ids.
///
/// The columns are those of [`ManifestEntry`]: texts, `tokens` as an unsigned 32-bit number, `updated_at` in microseconds
/// UTC. The same manifest gives the same bytes under the same version of the `parquet` crate.
pub fn write_parquet(manifest: &Manifest) -> Result<Bytes, Error> {
    encode(manifest.entries()).map_err(|source| Error::WriteParquet { source })
}

fn encode(entries: &[ManifestEntry]) -> Result<Bytes, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_dictionary_enabled(true)
        .build();
    let schema = batch_of(&[])?.schema();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    for entries in entries.chunks(BATCH_ROWS) {
        writer.write(&batch_of(entries)?)?;
    }
    writer.into_inner().map(Bytes::from)
}

fn batch_of(entries: &[ManifestEntry]) -> Result<RecordBatch, ArrowError> {
    let texts = |text: for<'e> fn(&'e ManifestEntry) -> Option<&'e str>| -> ArrayRef {
        Arc::new(entries.iter().map(text).collect::<StringArray>())
    };
    let micros = entries.iter().map(|e| e.updated_at.map(Timestamp::micros));
    let columns: [(&str, ArrayRef, bool); 6] = [
        ("doc_id", texts(|e| Some(e.doc_id.as_str())), false),
        ("content_hash", texts(|e| Some(e.content_hash.as_str())), false),
        ("vector_hash", texts(|e| e.vector_hash.as_ref().map(ContentHash::as_str)), true),
        ("tokens", Arc::new(entries.iter().map(|e| e.tokens).collect::<UInt32Array>()), true),
        ("updated_at", Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC")), true),
        ("scope", texts(|e| e.scope.as_ref().map(Label::as_str)), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns)
}
