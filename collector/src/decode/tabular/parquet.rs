use arrow_array::RecordBatchReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

use super::page_headers::PageHeaders;
use super::{Table, TableError, guarded};

/// Rows that are decoded at a time.
const ROWS: usize = 1_024;

/// Whether these are the first bytes of a file.
pub fn is_parquet(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PAR1")
}

/// A file.
pub fn parquet_file(content: impl ChunkReader + 'static) -> Result<Table<'static>, TableError> {
    let reader = || {
        let builder = ParquetRecordBatchReaderBuilder::try_new(PageHeaders(content))?;
        builder.with_batch_size(ROWS).build()
    };
    let reader = guarded(|| reader().map_err(|error| TableError::Unreadable(error.to_string())))?;
    Ok(Table::of(reader.schema(), reader))
}
