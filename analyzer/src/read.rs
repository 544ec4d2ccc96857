//! Rows of the lake into observations, batch by batch, so that memory follows the number of queries and not of events.

mod aliases;
mod outputs;
mod retrievals;

use futures::StreamExt;
use tidemark_lake::{Filter, Lake, Scan, Table};

use crate::error::Error;
use crate::observe::Observations;
use crate::selector::{Segment, Window};
use crate::vocabulary::Vocabulary;

pub use aliases::read_aliases;
pub use outputs::join_outputs;
pub use retrievals::observe;

/// The versions of the two tables that a comparison reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Of the table of retrievals.
    pub retrievals: u64,
    /// Of the table of outputs.
    pub outputs: u64,
}

impl Versions {
    /// The newest ones.
    pub async fn newest(lake: &Lake) -> Result<Self, Error> {
        Ok(Self { retrievals: lake.version(Table::Retrievals).await?, outputs: lake.version(Table::Outputs).await? })
    }
}

/// An output that comes later than this after the window's last retrieval is not looked for.
const OUTPUT_DELAY_S: i64 = 3_600;

/// Reads a window at a version of the tables: retrievals, and the outputs of the operations that were kept.
pub async fn read_window(
    lake: &Lake,
    window: &Window,
    segment: &Segment,
    versions: Versions,
    vocabulary: &mut Vocabulary,
) -> Result<Observations, Error> {
    let mut observations = Observations::default();
    let scan = Scan {
        table: Table::Retrievals,
        filters: window.filters(),
        columns: retrievals::COLUMNS.to_vec(),
        version: Some(versions.retrievals),
    };
    let mut rows = lake.scan(scan).await?;
    while let Some(batch) = rows.next().await {
        observe(&batch?, segment, vocabulary, &mut observations)?;
    }
    let Some((from, to)) = observations.span else { return Ok(observations) };
    let scan = Scan {
        table: Table::Outputs,
        filters: vec![Filter::Between(from, to.plus_seconds(OUTPUT_DELAY_S))],
        columns: outputs::COLUMNS.to_vec(),
        version: Some(versions.outputs),
    };
    let join = outputs::Join::new(&observations);
    let mut rows = lake.scan(scan).await?;
    while let Some(batch) = rows.next().await {
        join.take(&batch?, vocabulary, &mut observations)?;
    }
    Ok(observations)
}
