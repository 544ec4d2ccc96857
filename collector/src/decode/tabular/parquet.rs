use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;

use super::{Table, TableError, guarded};

/// With these four bytes a file begins and ends.
const MAGIC: &[u8] = b"PAR1";
/// Rows that are decoded at a time.
const ROWS: usize = 1_024;

/// Whether these are the first bytes of a file.
pub fn is_parquet(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// A file that an operator names: the decoder takes it at its word about how much there is to read.
///
/// What it says of Arrow types is left aside: texts are read as texts, whatever they were written from.
pub fn parquet_file(content: impl ChunkReader + 'static) -> Result<Table<'static>, TableError> {
    guarded(|| {
        check_end(&content)?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(content, options)?;
        check_compression(builder.metadata())?;
        let schema = builder.schema().clone();
        let reader = builder.with_batch_size(ROWS).build()?;
        let batches = reader.map(|batch| batch.map_err(|error| TableError::Unreadable(error.to_string())));
        Ok(Table::of(schema, batches))
    })
}

/// Most files that cannot be read were cut off.
fn check_end(content: &impl ChunkReader) -> Result<()> {
    match content.len().checked_sub(MAGIC.len() as u64) {
        Some(start) if content.get_bytes(start, MAGIC.len())? == MAGIC => Ok(()),
        _ => Err(ParquetError::General("it does not end as a Parquet file does".to_owned())),
    }
}

fn check_compression(metadata: &ParquetMetaData) -> Result<()> {
    let mut columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let foreign = |compression| matches!(compression, Compression::BROTLI(_) | Compression::LZO);
    match columns.find(|column| foreign(column.compression())) {
        Some(column) => Err(ParquetError::General(format!(
            "the column {} is compressed as {}; use zstd, snappy, lz4_raw or gzip",
            column.column_path().string(),
            column.compression()
        ))),
        None => Ok(()),
    }
}

impl From<ParquetError> for TableError {
    fn from(error: ParquetError) -> Self {
        Self::Unreadable(match error {
            ParquetError::General(reason) | ParquetError::EOF(reason) => reason,
            error => error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, Time64MicrosecondArray};
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;

    use super::super::RowLimits;
    use super::*;
    use crate::decode::Kind;

    fn file(columns: Vec<(&str, ArrayRef)>) -> Bytes {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap().into()
    }

    /// More rows than are decoded at a time.
    fn whole() -> Bytes {
        let count = 2 * ROWS + 1;
        let texts = |text: &str| Arc::new(StringArray::from(vec![text; count])) as ArrayRef;
        let times = Arc::new(Int64Array::from(vec![1_763_458_200; count]));
        file(vec![
            ("occurred_at", times),
            ("corpus", texts("wiki")),
            ("query", texts("why")),
            ("results", texts(r#"["a"]"#)),
        ])
    }

    /// How many rows are events, or why the file cannot be read.
    #[track_caller]
    fn check(file: impl Into<Bytes>, expected: &str) {
        let limits = RowLimits { row: 10_000, table: 1 << 20 };
        let read = || {
            let rows = parquet_file(file.into())?.rows(Kind::Retrieval, limits)?;
            rows.collect::<Result<Vec<_>, TableError>>()
        };
        let found = match read() {
            Ok(rows) => format!("{} events of {} rows", rows.iter().flatten().count(), rows.len()),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn each_row_of_a_file_is_an_event() {
        check(whole(), "2049 events of 2049 rows");
    }

    #[test]
    fn what_is_no_whole_file_of_events_is_refused_with_what_is_wrong_with_it() {
        let cut_off = "the table cannot be read: it does not end as a Parquet file does";
        check(Bytes::new(), cut_off);
        check("PAR1 and nothing else", cut_off);
        let whole = whole();
        for length in 5..whole.len() {
            check(whole.slice(..length), cut_off);
        }
        check(
            file(vec![("corpus", Arc::new(Time64MicrosecondArray::from(vec![1])))]),
            "the column corpus is of the type Time64(µs), which no field of an event has",
        );
    }

    #[test]
    fn damage_within_a_file_is_an_error_and_no_panic() {
        let mut damaged = whole().to_vec();
        let end = damaged.len() - 500;
        damaged[4..end].fill(0xff);
        let rows = parquet_file(Bytes::from(damaged))
            .and_then(|table| table.rows(Kind::Retrieval, RowLimits { row: 10_000, table: 1 << 20 }));
        let read: Result<Vec<_>, TableError> = rows.and_then(Iterator::collect);
        assert!(matches!(read, Err(TableError::Unreadable(_))));
    }
}
