use std::future::Future;
use std::sync::Arc;

use tidemark_schema::{EventId, OutputEvent, RetrievalEvent, Stored, Timestamp};

use crate::decode::{Event, Kind};

/// Events on their way into the tables.
#[derive(Debug, Default)]
pub struct Batch {
    /// Retrievals.
    pub retrievals: Vec<Stored<Arc<RetrievalEvent>>>,
    /// Outputs.
    pub outputs: Vec<Stored<Arc<OutputEvent>>>,
}

impl Batch {
    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.retrievals.len() + self.outputs.len()
    }

    /// Takes an event in.
    pub fn push(&mut self, row: Stored<Event>) {
        let Stored { received_at, ingest, event } = row;
        match event {
            Event::Retrieval(event) => self.retrievals.push(Stored { received_at, ingest, event }),
            Event::Output(event) => self.outputs.push(Stored { received_at, ingest, event }),
        }
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why the tables did not take a batch.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Where events go: the lake in production, a double that fails on purpose in tests.
pub trait EventSink: Send + Sync + 'static {
    /// Stores a batch and, in the same commit of each table, that `writer` needs no record before `next` again.
    fn append(&self, batch: Batch, writer: &str, next: u64) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// The first record of `writer` that the table of a kind does not hold; `None` if it holds none.
    fn committed(&self, kind: Kind, writer: &str) -> impl Future<Output = Result<Option<u64>, SinkError>> + Send;

    /// The newest `limit` events that were received at or after `since`.
    fn received_since(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Timestamp, EventId)>, SinkError>> + Send;
}
