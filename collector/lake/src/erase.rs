//! Takes the events of a principal out of the tables, for good.

use deltalake::datafusion::logical_expr::{col, lit};
use deltalake::kernel::transaction::CommitProperties;
use serde_json::json;
use tidemark_schema::{Label, Timestamp};

use crate::append::writer_properties;
use crate::error::Error;
use crate::files::NOTE;
use crate::table::{Lake, Table};

/// How often an erasure is tried again when other commits come first.
const ATTEMPTS: usize = 10;

/// What an erasure did to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Erased {
    /// Rows that are gone.
    pub rows: u64,
    /// Files that were rewritten without them.
    pub files: u64,
    /// Files that were deleted, those of earlier versions included.
    pub swept_files: u64,
    /// The version of the table that holds none of them.
    pub version: u64,
}

impl Lake {
    /// Rewrites the files that hold events of a principal, and deletes the old ones together with all files of earlier
    /// versions: readers of those versions fail from now on. The commit says that there was an erasure, of whom as `name`,
    /// which should tell nothing to those who may not know; the chain of evidence keeps that as its tombstone.
    pub async fn erase(&self, table: Table, principal: &Label, name: &str, now: Timestamp) -> Result<Erased, Error> {
        let failed = |source| Error::Maintain { table: table.name(), source: Box::new(source) };
        let mut attempts = 0;
        let (delta, metrics) = loop {
            attempts += 1;
            let note = json!({ "action": "erasure", "principal": name });
            let erased = self
                .load(table)
                .await?
                .delete()
                .with_predicate(col("principal").eq(lit(principal.as_str())))
                .with_writer_properties(writer_properties(table).map_err(|error| failed(error.into()))?)
                .with_commit_properties(CommitProperties::default().with_metadata([(NOTE.to_owned(), note)]))
                .await
                .map_err(failed);
            match erased {
                Err(error) if error.is_conflict() && attempts < ATTEMPTS => {}
                erased => break erased?,
            }
        };
        self.record_new_commits(table).await;
        let version = delta.version().unwrap_or_default();
        let swept = self.sweep_all_removed(table, now).await?;
        Ok(Erased {
            rows: metrics.num_deleted_rows.unwrap_or_default() as u64,
            files: metrics.num_removed_files as u64,
            swept_files: swept.removed_files,
            version,
        })
    }
}
