//! Rows of the lake into observations, batch by batch, so that memory follows the number of queries and not of events.

mod aliases;
mod dictionary;
mod documents;
mod outputs;
mod retrievals;
mod rows;

use arrow_array::RecordBatch;
use futures::StreamExt;
use tidemark_lake::{Lake, RowStream, Table, WindowScan};
use tokio::task::JoinSet;

use crate::aliases::Aliases;
use crate::error::Error;
use crate::observe::Observations;
use crate::selector::{Segment, Window};
use crate::vocabulary::Vocabulary;

pub use aliases::read_aliases;
pub use outputs::join_outputs;
pub(crate) use retrievals::TENANT_KEYS;
pub use retrievals::{Reader, observe};

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

/// Reads two windows at a version of the tables, side by side: retrievals, and the outputs of the operations that were kept.
pub async fn read_windows(
    lake: &Lake,
    windows: [&Window; 2],
    segment: &Segment,
    versions: Versions,
    aliases: Aliases,
) -> Result<(Vocabulary, Observations, Observations), Error> {
    let [before, after] = windows.map(|window| Box::pin(read_window(lake, window, segment, versions, aliases.clone())));
    let (before, after) = futures::try_join!(before, after)?;
    let (mut vocabulary, before) = (before.vocabulary, before.observations);
    let after = after.observations.renumber(&vocabulary.absorb(after.vocabulary));
    Ok((vocabulary, before, after))
}

/// What is made of the rows of a window.
struct Read {
    reader: Reader,
    vocabulary: Vocabulary,
    observations: Observations,
    join: Option<outputs::Join>,
    /// Whether rows are outputs by now.
    are_outputs: bool,
}

impl Read {
    fn take(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        if !self.are_outputs {
            return self.reader.observe(batch, &mut self.vocabulary, &mut self.observations);
        }
        let join = self.join.get_or_insert_with(|| outputs::Join::new(&self.observations));
        join.take(batch, &mut self.vocabulary, &mut self.observations)
    }
}

async fn read_window(
    lake: &Lake,
    window: &Window,
    segment: &Segment,
    versions: Versions,
    aliases: Aliases,
) -> Result<Read, Error> {
    let scan = WindowScan {
        table: Table::Retrievals,
        corpus: Some(window.corpus.clone()),
        corpus_version: window.version.clone(),
        between: window.between(),
        columns: retrievals::COLUMNS.to_vec(),
        without: vec!["rank"],
        dictionaries: retrievals::repeated(),
        optional: documents::OPTIONAL.to_vec(),
        version: versions.retrievals,
    };
    let empty = Read {
        reader: Reader::new(segment.clone()),
        vocabulary: Vocabulary::with_aliases(aliases),
        observations: Observations::default(),
        join: None,
        are_outputs: false,
    };
    let mut read = through(lake.scan_window(scan).await?, empty).await?;
    let Some((from, to)) = read.observations.span else { return Ok(read) };
    let scan = WindowScan {
        table: Table::Outputs,
        corpus: None,
        corpus_version: None,
        between: Some((from, to.plus_seconds(OUTPUT_DELAY_S))),
        columns: outputs::COLUMNS.to_vec(),
        without: Vec::new(),
        dictionaries: Vec::new(),
        optional: Vec::new(),
        version: versions.outputs,
    };
    read.are_outputs = true;
    through(lake.scan_window(scan).await?, read).await
}

/// Batches that wait between the thread that decodes files and the one that reads the rows.
const WAITING: usize = 2;

/// Reads rows on one thread, while the next ones are decoded on another.
async fn through(mut rows: RowStream, mut read: Read) -> Result<Read, Error> {
    let (send, mut receive) = tokio::sync::mpsc::channel(WAITING);
    let worker = tokio::task::spawn_blocking(move || {
        while let Some(batch) = receive.blocking_recv() {
            read.take(&batch?)?;
        }
        Ok(read)
    });
    // Ends with its set, so that nothing is read any more when nobody waits for this.
    let mut decoding = JoinSet::new();
    decoding.spawn(async move {
        while let Some(batch) = rows.next().await {
            // Closed: the worker has failed, and says why.
            if send.send(batch).await.is_err() {
                break;
            }
        }
    });
    match worker.await {
        Ok(read) => read,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::Stopped),
    }
}
