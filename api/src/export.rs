//! Events of the tables into files.

mod trec;

use std::io::{self, Write};

use futures::TryStreamExt;
use tidemark_lake::{Filter, Scan, Table};
use tidemark_schema::columns::{ColumnError, outputs, retrievals};

use crate::wire::Store;

pub use trec::Unsuited;

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tables could not be read.
    #[error(transparent)]
    Lake(#[from] tidemark_lake::Error),
    /// A row is not what its schema says.
    #[error("a stored event could not be read")]
    Column(#[from] ColumnError),
    /// The output could not be written.
    #[error("the output could not be written")]
    Write(#[from] io::Error),
    /// The output could not be written as Parquet.
    #[error("the output could not be written as Parquet")]
    Parquet(#[source] tidemark_lake::ParquetError),
    /// The output could not be written as an Arrow stream.
    #[error("the output could not be written as an Arrow stream")]
    Arrow(#[source] arrow_schema::ArrowError),
    /// A retrieval is nothing that a run of TREC can hold.
    #[error(transparent)]
    Unsuited(#[from] Unsuited),
    /// Outputs are no run.
    #[error("outputs cannot be written as a run of TREC, which holds rankings")]
    NoRankings,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, in the wire format: what is exported can be imported.
    Ndjson,
    /// The columns of the table.
    Parquet,
    /// The columns of the table, as an Arrow IPC stream.
    Arrow,
    /// The newest retrieval of each query by each retriever, as a run of TREC.
    Trec,
}

/// Writes the events of a table that match the filters; says how many.
pub async fn export(
    store: &Store,
    table: Table,
    filters: Vec<Filter>,
    format: Format,
    output: impl Write + Send,
) -> Result<u64, Error> {
    let rows = store.lake.scan(Scan { table, filters, columns: Vec::new(), version: None }).await?;
    match format {
        Format::Ndjson => ndjson(table, rows, output).await,
        Format::Parquet => tidemark_lake::write_parquet(table, rows, output).await.map_err(|error| match error {
            tidemark_lake::WriteParquetError::Read(error) => Error::Lake(error),
            tidemark_lake::WriteParquetError::Write(error) => Error::Parquet(error),
        }),
        Format::Arrow => tidemark_lake::write_arrow(table, rows, output).await.map_err(|error| match error {
            tidemark_lake::WriteArrowError::Read(error) => Error::Lake(error),
            tidemark_lake::WriteArrowError::Write(error) => Error::Arrow(error),
        }),
        Format::Trec if table == Table::Outputs => Err(Error::NoRankings),
        Format::Trec => trec::write(rows, output).await,
    }
}

async fn ndjson(table: Table, mut rows: tidemark_lake::RowStream, mut output: impl Write) -> Result<u64, Error> {
    let mut events = 0;
    while let Some(batch) = rows.try_next().await? {
        events += batch.num_rows() as u64;
        match table {
            Table::Retrievals => {
                for row in retrievals::decode(&batch)? {
                    line(&mut output, &row.event)?;
                }
            }
            Table::Outputs => {
                for row in outputs::decode(&batch)? {
                    line(&mut output, &row.event)?;
                }
            }
        }
    }
    output.flush()?;
    Ok(events)
}

fn line(output: &mut impl Write, event: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, event)?;
    output.write_all(b"\n")
}
