//! Takes the events of a principal out of the tables, for good.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use serde_json::json;
use tidemark_schema::columns::Columns;
use tidemark_schema::{Label, Timestamp};

use crate::compact::files_of;
use crate::error::Error;
use crate::files::Partition;
use crate::scan::{Filter, Scan};
use crate::table::{Lake, Table};

/// How often an erasure is tried again when other commits come first.
const ATTEMPTS: usize = 10;

/// What an erasure did to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
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

impl Lake {
    /// Rewrites the partitions that hold events of a principal, and deletes the old files together with all of earlier
    /// versions: readers of those versions fail from now on. The commits say that there was an erasure, of whom as `name`,
    /// which should tell nothing to those who may not know; the chain of evidence keeps that as its tombstone.
    pub async fn erase(&self, table: Table, principal: &Label, name: &str, now: Timestamp) -> Result<Erased, Error> {
        let mut erased = Erased { rows: 0, files: 0, swept_files: 0, version: 0 };
        for _ in 0..ATTEMPTS {
            let (partitions, rows) = self.partitions_of(table, principal).await?;
            if partitions.is_empty() {
                break;
            }
            erased.rows = erased.rows.max(rows);
            for partition in partitions {
                let delta = self.load(table).await?;
                let files = files_of(table, &delta, &partition).await?;
                let note = json!({ "action": "erasure", "principal": name });
                let rewritten = self.rewrite(table, &delta, &files, Some(principal), note, now).await?;
                erased.files += rewritten.map_or(0, |done| done.files_before as u64);
            }
        }
        let swept = self.sweep_all_removed(table, now).await?;
        Ok(Erased { swept_files: swept.removed_files, version: self.version(table).await?, ..erased })
    }

    /// The partitions that hold events of a principal, and how many events there are.
    async fn partitions_of(&self, table: Table, principal: &Label) -> Result<(BTreeSet<Partition>, u64), Error> {
        let mut columns = vec!["occurred_at"];
        columns.extend(matches!(table, Table::Retrievals).then_some("corpus"));
        let scan = Scan { table, filters: vec![Filter::Principal(principal.clone())], columns, version: None };
        let (mut partitions, mut events) = (BTreeSet::new(), 0);
        let mut rows = self.scan(scan).await?;
        while let Some(batch) = rows.try_next().await? {
            let columns = Columns::of(&batch);
            for row in 0..batch.num_rows() {
                let unreadable =
                    |_| Error::Partition { table: table.name(), path: "a row of the principal".to_owned() };
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
