use std::io::Write;

use deltalake::parquet::arrow::ArrowWriter;
pub use deltalake::parquet::errors::ParquetError;
use futures::TryStreamExt;

use crate::append::writer_properties;
use crate::error::Error;
use crate::scan::RowStream;
use crate::table::Table;

/// Why rows could not be written as one Parquet file.
#[derive(Debug, thiserror::Error)]
pub enum WriteParquetError {
    /// The rows could not be read.
    #[error(transparent)]
    Read(#[from] Error),
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] ParquetError),
}

/// Rows of a group, which is held in memory until it is complete.
const GROUP_ROWS: usize = 16 * 1024;

/// Writes rows of a table as one Parquet file, with the same compression and filters as the table's own; says how many.
pub async fn write_parquet(
    table: Table,
    mut rows: RowStream,
    output: impl Write + Send,
) -> Result<u64, WriteParquetError> {
    let properties = writer_properties(table, GROUP_ROWS as u64)?;
    let properties = properties.into_builder().set_max_row_group_row_count(Some(GROUP_ROWS)).build();
    let mut writer = ArrowWriter::try_new(output, table.schema()?, Some(properties))?;
    let mut count = 0;
    while let Some(batch) = rows.try_next().await? {
        count += batch.num_rows() as u64;
        writer.write(&batch)?;
    }
    writer.close()?;
    Ok(count)
}
