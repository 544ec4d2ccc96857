//! Events of the tables into files.

mod trec;

use std::io::{self, Write};

use futures::TryStreamExt;
use tidemark_lake::{Filter, Lake, Scan, Table};
use tidemark_schema::columns::{ColumnError, outputs, retrievals};
use tidemark_schema::{CorpusName, CorpusVersion, Timestamp};

use super::{Action, Caller, Operations};

pub use trec::{Scores, Unsuited};

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

impl Error {
    /// The next step.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Lake(error) => error.hint(),
            Self::Unsuited(unsuited) => Some(unsuited.hint()),
            Self::NoRankings => Some("leave --kind out, or choose another --format"),
            _ => None,
        }
    }
}

/// Which events are written.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// Retrievals.
    Retrievals {
        /// Of this corpus.
        corpus: Option<CorpusName>,
        /// That declare this version of it.
        corpus_version: Option<CorpusVersion>,
        /// Between two instants, the second excluded.
        between: Option<(Timestamp, Timestamp)>,
    },
    /// Outputs.
    Outputs {
        /// Between two instants, the second excluded.
        between: Option<(Timestamp, Timestamp)>,
    },
}

impl Selection {
    /// What is selected, in a word.
    pub fn name(&self) -> &'static str {
        self.scan().0.name()
    }

    fn scan(&self) -> (Table, Vec<Filter>) {
        match self {
            Self::Retrievals { corpus, corpus_version, between } => {
                let corpus = corpus.clone().map(Filter::Corpus);
                let version = corpus_version.clone().map(Filter::CorpusVersion);
                let between = between.map(|(from, to)| Filter::Between(from, to));
                (Table::Retrievals, [corpus, version, between].into_iter().flatten().collect())
            }
            Self::Outputs { between } => {
                (Table::Outputs, between.map(|(from, to)| Filter::Between(from, to)).into_iter().collect())
            }
        }
    }
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
    /// The newest retrieval of each query by each retriever, as a run of TREC; with which scores, or with those that the
    /// retriever gave where it did.
    Trec(Option<Scores>),
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// How many events.
    pub events: u64,
    /// How many of them have distances, which a run has negated: those who read one sort it from the highest score down.
    pub negated: u64,
    /// How many of them lack a score, so that a run has scores made from the ranks.
    pub unscored: u64,
}

impl Operations {
    /// Writes the selected events of the caller's tenant.
    pub async fn export(
        &self,
        caller: &Caller,
        selection: &Selection,
        format: Format,
        output: impl Write + Send,
    ) -> Result<Exported, super::Error> {
        let store = self.store(caller, Action::ExportEvents).await?;
        Ok(export(&store.lake, selection, format, output).await?)
    }
}

async fn export(
    lake: &Lake,
    selection: &Selection,
    format: Format,
    output: impl Write + Send,
) -> Result<Exported, Error> {
    let (table, filters) = selection.scan();
    let columns = match format {
        Format::Trec(_) if table == Table::Outputs => return Err(Error::NoRankings),
        Format::Trec(_) => trec::COLUMNS.to_vec(),
        _ => Vec::new(),
    };
    let rows = lake.scan(Scan { table, filters, columns, version: None }).await?;
    let events = match format {
        Format::Trec(scores) => return trec::write(rows, scores, output).await,
        Format::Ndjson => ndjson(table, rows, output).await,
        Format::Parquet => tidemark_lake::write_parquet(table, rows, output).await.map_err(|error| match error {
            tidemark_lake::WriteParquetError::Read(error) => Error::Lake(error),
            tidemark_lake::WriteParquetError::Write(error) => Error::Parquet(error),
        }),
        Format::Arrow => tidemark_lake::write_arrow(table, rows, output).await.map_err(|error| match error {
            tidemark_lake::WriteArrowError::Read(error) => Error::Lake(error),
            tidemark_lake::WriteArrowError::Write(error) => Error::Arrow(error),
        }),
    };
    Ok(Exported { events: events?, ..Exported::default() })
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
