//! A table in memory that answers after a while, in part, or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_schema::{EventId, Ingest, Timestamp};

use super::Numbers;
use crate::effect::{Positions, TableAnswer, TableCall};
use crate::{Batch, SinkError};

/// How much of a batch gets into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Nothing,
    /// The retrievals; the outputs are another table.
    Half,
    Everything,
}

/// What the table does with calls from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Temper {
    #[default]
    Works,
    Slow,
    Fails,
    Hangs,
    /// Anything of it, anew for each call.
    Mixed,
}

/// A call that is under way.
pub(super) struct Running {
    pub(super) ends_at: Duration,
    call: TableCall,
    extent: Extent,
    error: Option<&'static str>,
}

#[derive(Default)]
pub(super) struct Table {
    pub(super) temper: Temper,
    /// When each event was received.
    pub(super) rows: BTreeMap<EventId, Timestamp>,
    /// The first record that each kind needs again.
    committed: [u64; 2],
}

impl Table {
    pub(super) fn begin(&self, call: TableCall, now: Duration, timeout: Duration, numbers: &mut Numbers) -> Running {
        let temper = match self.temper {
            Temper::Mixed => [Temper::Works, Temper::Slow, Temper::Fails, Temper::Hangs][numbers.up_to(3)],
            same => same,
        };
        let extent = [Extent::Nothing, Extent::Half, Extent::Everything][numbers.up_to(2)];
        let millis = Duration::from_millis(numbers.up_to(40) as u64);
        let (lasts, extent, error) = match temper {
            Temper::Works | Temper::Mixed => (millis, Extent::Everything, None),
            Temper::Slow => (millis * 20, Extent::Everything, None),
            Temper::Fails => (millis, extent, Some("the store does not answer")),
            Temper::Hangs => (timeout, extent, Some("the store did not answer in time")),
        };
        Running { ends_at: now + lasts, call, extent, error }
    }

    pub(super) fn end(&mut self, running: Running) -> Result<TableAnswer, SinkError> {
        let answer = match running.call {
            TableCall::Recall { since, limit } => {
                let [retrievals, outputs] = self.committed;
                let mut received: Vec<_> = self.rows.iter().map(|(id, at)| (*at, *id)).collect();
                received.retain(|(at, _)| *at >= since);
                received.sort_unstable_by(|a, b| b.cmp(a));
                received.truncate(limit);
                TableAnswer::Recalled { positions: Positions { retrievals, outputs }, received }
            }
            TableCall::Store { batch, next } => {
                self.store(&batch, next.get(), running.extent);
                TableAnswer::Stored
            }
        };
        running.error.map_or(Ok(answer), |error| Err(error.into()))
    }

    /// The process that called is gone: some of the call may have come through.
    pub(super) fn abandon(&mut self, running: Running, numbers: &mut Numbers) {
        if let TableCall::Store { batch, next } = running.call {
            let extent = [Extent::Nothing, Extent::Half, Extent::Everything][numbers.up_to(2)];
            self.store(&batch, next.get(), extent);
        }
    }

    fn store(&mut self, batch: &Batch, next: u64, extent: Extent) {
        let retrievals = batch.retrievals.iter().map(|row| (row.event.event_id, row.received_at, row.ingest));
        let outputs = batch.outputs.iter().map(|row| (row.event.event_id, row.received_at, row.ingest));
        match extent {
            Extent::Nothing => {}
            Extent::Half => self.commit(0, retrievals.collect(), next),
            Extent::Everything => {
                self.commit(0, retrievals.collect(), next);
                self.commit(1, outputs.collect(), next);
            }
        }
    }

    /// INV-02: as the lake does it, only what is not live is looked up, so a live event must not be there yet.
    fn commit(&mut self, kind: usize, rows: Vec<(EventId, Timestamp, Ingest)>, next: u64) {
        if rows.is_empty() {
            return;
        }
        for (id, received_at, ingest) in rows {
            assert!(ingest != Ingest::Live || !self.rows.contains_key(&id), "{id} would be stored twice");
            self.rows.entry(id).or_insert(received_at);
        }
        self.committed[kind] = self.committed[kind].max(next);
    }
}
