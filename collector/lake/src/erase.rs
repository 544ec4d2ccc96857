//! Takes the events of a principal out of the tables, for good.

use std::collections::{BTreeSet, HashSet};

use deltalake::arrow::array::{BooleanArray, RecordBatch};
use deltalake::arrow::error::ArrowError;
use futures::TryStreamExt;
use serde_json::json;
use tidemark_schema::columns::{ColumnError, Columns};
use tidemark_schema::{Label, OperationId, Timestamp, TraceId};

use crate::compact::files_of;
use crate::error::Error;
use crate::files::Partition;
use crate::scan::{Filter, Scan};
use crate::table::{Lake, Table};

/// How often an erasure is tried again when other commits come first.
const ATTEMPTS: usize = 10;

/// What an erasure did to a table.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Erased {
    /// Events that are gone.
    pub rows: u64,
    /// Files that were rewritten without them.
    pub files: u64,
    /// Files that were deleted, those of earlier versions included.
    pub swept_files: u64,
    /// The version of the table that holds none of them.
    pub version: u64,
}

impl Erased {
    /// This and what was done to the same table afterwards.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            rows: self.rows + later.rows,
            files: self.files + later.files,
            swept_files: self.swept_files + later.swept_files,
            version: later.version,
        }
    }
}

/// A principal and what it did. Its events are those that name it, and those that name nobody and are of an operation or a
/// trace in which another one names it: an output often says only to which operation it belongs, and its text is still the
/// answer to somebody.
#[derive(Debug, Clone)]
pub struct Owner {
    principal: Label,
    operations: HashSet<OperationId>,
    traces: HashSet<TraceId>,
}

/// A part of the events of an owner. The nameless ones have to be erased first, in all tables: only the others tell whose
/// they are, and an erasure that was interrupted is done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Those that name nobody.
    Nameless,
    /// Those that name the principal.
    Named,
}

impl Share {
    /// In the order in which they are to be erased.
    pub const ALL: [Self; 2] = [Self::Nameless, Self::Named];
}

impl Owner {
    /// Which rows of a batch belong to a share.
    pub(crate) fn owns(&self, share: Share, batch: &RecordBatch) -> Result<BooleanArray, ColumnError> {
        let columns = Columns::of(batch);
        (0..batch.num_rows()).map(|row| self.owns_row(share, &columns, row).map(Some)).collect()
    }

    fn owns_row(&self, share: Share, columns: &Columns<'_>, row: usize) -> Result<bool, ColumnError> {
        match (share, columns.text("principal", row)?) {
            (Share::Named, principal) => Ok(principal == Some(self.principal.as_str())),
            (Share::Nameless, Some(_)) => Ok(false),
            (Share::Nameless, None) => {
                let of_trace = columns.maybe("trace_id", row)?.is_some_and(|trace| self.traces.contains(&trace));
                Ok(of_trace || self.operations.contains(&columns.parsed("operation_id", row)?))
            }
        }
    }

    fn filter(&self, share: Share) -> Filter {
        match share {
            Share::Nameless => Filter::Nobody,
            Share::Named => Filter::Principal(self.principal.clone()),
        }
    }
}

impl Lake {
    /// What a principal did, as both tables tell.
    pub async fn owner(&self, principal: &Label) -> Result<Owner, Error> {
        let mut owner = Owner { principal: principal.clone(), operations: HashSet::new(), traces: HashSet::new() };
        for table in Table::ALL {
            let filters = vec![Filter::Principal(principal.clone())];
            let columns = vec!["operation_id", "trace_id"];
            let mut rows = self.scan(Scan { table, filters, columns, version: None }).await?;
            while let Some(batch) = rows.try_next().await? {
                let columns = Columns::of(&batch);
                for row in 0..batch.num_rows() {
                    let unreadable = |error| unreadable(table, error);
                    owner.operations.insert(columns.parsed("operation_id", row).map_err(unreadable)?);
                    owner.traces.extend(columns.maybe("trace_id", row).map_err(unreadable)?);
                }
            }
        }
        Ok(owner)
    }

    /// How many events of a table an erasure would take.
    pub async fn owned(&self, table: Table, owner: &Owner, share: Share) -> Result<u64, Error> {
        Ok(self.partitions_of(table, owner, share).await?.1)
    }

    /// Rewrites the partitions that hold events of an owner, and deletes the old files together with all of earlier
    /// versions: readers of those versions fail from now on. The commits say that there was an erasure, of whom as `name`,
    /// which should tell nothing to those who may not know; the chain of evidence keeps that as its tombstone.
    pub async fn erase(
        &self,
        table: Table,
        owner: &Owner,
        share: Share,
        name: &str,
        now: Timestamp,
    ) -> Result<Erased, Error> {
        let mut erased = Erased::default();
        for _ in 0..ATTEMPTS {
            let (partitions, rows) = self.partitions_of(table, owner, share).await?;
            if partitions.is_empty() {
                break;
            }
            erased.rows = erased.rows.max(rows);
            for partition in partitions {
                let delta = self.load(table).await?;
                let files = files_of(table, &delta, &partition).await?;
                let note = json!({ "action": "erasure", "principal": name });
                let rewritten = self.rewrite(table, &delta, &files, Some((owner, share)), note, now).await?;
                erased.files += rewritten.map_or(0, |done| done.files_before as u64);
            }
        }
        let swept = self.sweep_all_removed(table, now).await?;
        Ok(Erased { swept_files: swept.removed_files, version: self.version(table).await?, ..erased })
    }

    /// The partitions that hold events of an owner, and how many events there are.
    async fn partitions_of(
        &self,
        table: Table,
        owner: &Owner,
        share: Share,
    ) -> Result<(BTreeSet<Partition>, u64), Error> {
        let mut columns = vec!["occurred_at", "principal", "operation_id", "trace_id"];
        columns.extend(matches!(table, Table::Retrievals).then_some("corpus"));
        let scan = Scan { table, filters: vec![owner.filter(share)], columns, version: None };
        let (mut partitions, mut events) = (BTreeSet::new(), 0);
        let mut rows = self.scan(scan).await?;
        while let Some(batch) = rows.try_next().await? {
            let columns = Columns::of(&batch);
            let unreadable = |error| unreadable(table, error);
            let owned = owner.owns(share, &batch).map_err(unreadable)?;
            for row in owned.values().set_indices() {
                let day = columns.time("occurred_at", row).map_err(unreadable)?.days();
                let corpus = match table {
                    Table::Retrievals => Some(columns.parsed("corpus", row).map_err(unreadable)?),
                    Table::Outputs => None,
                };
                partitions.insert(Partition { day, corpus });
                events += 1;
            }
        }
        Ok((partitions, events))
    }
}

pub(crate) fn unreadable(table: Table, error: ColumnError) -> Error {
    Error::Layout { table: table.name(), source: ArrowError::from_external_error(Box::new(error)) }
}
