//! Reads all pages of a file once, to see that it can be decoded.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::page::PageReader;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::levels::Rows;
use crate::pages::Pages;
use crate::weight::{Chunk, Weight, rows_within};
use crate::{Limits, page, refused};

/// Pages of a file. Programs fill them with thousands of values or a megabyte.
const PAGES_MAX: u64 = 1_000_000;
/// Rows that are decoded at a time, if they are small.
const ROWS: usize = 1_024;

/// How many rows may be decoded at a time.
pub(crate) fn check<R: ChunkReader>(input: &R, metadata: &ParquetMetaData, limits: Limits) -> Result<usize> {
    let bytes = input.len();
    let columns = metadata.file_metadata().schema_descr().columns().iter();
    let mut weights: Vec<Weight> = columns.map(|column| Weight::of(column)).collect();
    let mut stored = 0_u64;
    let mut spent = Spent::default();
    for group in metadata.row_groups() {
        for (chunk, weight) in group.columns().iter().zip(&mut weights) {
            stored = stored.saturating_add(chunk.byte_range().1);
            if stored > bytes {
                return Err(refused(format!(
                    "its columns say that they are longer than the {bytes} bytes of the file"
                )));
            }
            add_chunk(input, chunk, group.num_rows(), weight, limits, &mut spent)?;
        }
    }
    let rows = metadata.row_groups().iter().map(RowGroupMetaData::num_rows).fold(0, i64::saturating_add);
    let said = metadata.file_metadata().num_rows();
    if rows != said {
        return Err(refused(format!("it has {rows} rows, and says that it has {said}")));
    }
    let least = weights.iter().map(Weight::least).fold(0, u64::saturating_add);
    if least > limits.memory {
        let limit = limits.memory;
        return Err(refused(format!(
            "decoding its pages takes {least} bytes of memory, the limit is {limit}; write smaller pages or row groups"
        )));
    }
    Ok(rows_within(limits.memory / 4, &weights, ROWS))
}

/// What has been read of a file.
#[derive(Default)]
struct Spent {
    pages: u64,
    /// Decompressed.
    bytes: u64,
}

/// Adds a column chunk to what is known of its column.
fn add_chunk<R: ChunkReader>(
    input: &R,
    chunk: &ColumnChunkMetaData,
    group_rows: i64,
    weight: &mut Weight,
    limits: Limits,
    spent: &mut Spent,
) -> Result<()> {
    let column = chunk.column_descr();
    let gzip = match chunk.compression() {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) | Compression::LZ4_RAW => false,
        Compression::GZIP(_) => true,
        // What they make of a page is not bounded by what it announces.
        other => {
            let column = column.path().string();
            return Err(refused(format!(
                "the column {column} is compressed as {other}; use zstd, snappy, lz4_raw or gzip"
            )));
        }
    };
    let pages = Arc::new(Pages::of(input, limits.memory / 2, gzip));
    let mut pages = SerializedPageReader::new(pages, chunk, 0, None)?;
    let (mut rows, mut added) = (Rows::default(), Chunk::default());
    while let Some(page) = pages.get_next_page()? {
        let beside = page::check(&page, column, &mut rows)?;
        weight.add(&mut added, &page, beside, &rows);
        spent.pages += 1;
        spent.bytes += page.buffer().len() as u64;
        if spent.pages > PAGES_MAX {
            return Err(refused(format!("it has more than {PAGES_MAX} pages")));
        }
        if spent.bytes > limits.all_bytes {
            return Err(refused(format!("decompressed, its pages have more than {} bytes", limits.all_bytes)));
        }
    }
    if i64::try_from(rows.begun) != Ok(group_rows) {
        let (column, rows) = (column.path().string(), rows.begun);
        return Err(refused(format!(
            "the column {column} has {rows} rows in a row group that says it has {group_rows}"
        )));
    }
    weight.finish(added);
    Ok(())
}
