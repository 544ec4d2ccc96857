use std::io::Write;

use arrow_ipc::writer::StreamWriter;
use deltalake::arrow::error::ArrowError;
use futures::TryStreamExt;

use crate::error::Error;
use crate::scan::RowStream;
use crate::table::Table;

/// Why rows could not be written as an Arrow stream.
#[derive(Debug, thiserror::Error)]
pub enum WriteArrowError {
    /// The rows could not be read.
    #[error(transparent)]
    Read(#[from] Error),
    /// The stream could not be written.
    #[error(transparent)]
    Write(#[from] ArrowError),
}

/// Writes rows of a table as an Arrow IPC stream; says how many.
pub async fn write_arrow(table: Table, mut rows: RowStream, output: impl Write + Send) -> Result<u64, WriteArrowError> {
    let mut writer = StreamWriter::try_new(output, table.schema()?.as_ref())?;
    let mut count = 0;
    while let Some(batch) = rows.try_next().await? {
        count += batch.num_rows() as u64;
        writer.write(&batch)?;
    }
    writer.finish()?;
    writer.into_inner()?.flush().map_err(ArrowError::from)?;
    Ok(count)
}
