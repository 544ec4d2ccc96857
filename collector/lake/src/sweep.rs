//! Deletes what no reader needs any more: files that were removed from a table, files that were never committed, and old
//! parts of the table's log.

use std::collections::BTreeSet;

use deltalake::checkpoints::{cleanup_expired_logs_for, create_checkpoint};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::Serialize;
use tidemark_schema::Timestamp;

use crate::error::Error;
use crate::files::{live_files, of_millis};
use crate::table::{Lake, Table};
use crate::verify::{commit_version, is_data, list};

/// A file that no commit names may belong to a commit that is about to be made; after this long it does not.
const UNCOMMITTED_S: i64 = 3_600;
/// The log is shortened when it has this many versions, since that needs a checkpoint.
const LOG_VERSIONS: usize = 64;

/// What a sweep freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Swept {
    /// Files that had been removed from the table.
    pub removed_files: u64,
    /// Files that were never committed.
    pub uncommitted_files: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Files of the table's log.
    pub log_files: u64,
}

impl Lake {
    /// Deletes files that were removed from a table more than `keep_s` seconds ago, files that no commit has named for an
    /// hour, and versions of the log that are older than `keep_s`. Readers of a version that is older than that may fail.
    pub async fn sweep(&self, table: Table, now: Timestamp, keep_s: i64) -> Result<Swept, Error> {
        let until = now.plus_seconds(-keep_s);
        let mut swept = self.sweep_files(table, until, now.plus_seconds(-keep_s.max(UNCOMMITTED_S))).await?;
        swept.log_files = self.shorten_log(table, until).await?;
        Ok(swept)
    }

    /// Files that no commit names: what an interrupted write left, or what is about to be committed.
    pub async fn uncommitted(&self, table: Table) -> Result<Vec<String>, Error> {
        let chain = self.recorded_chain(table).await?;
        let objects = list(table, self.load(table).await?.object_store().as_ref()).await?;
        let paths = objects.into_keys().filter(|path| is_data(path) && !chain.knows(path));
        Ok(paths.map(|path| format!("{}/{path}", table.name())).collect())
    }

    /// Deletes all files that were ever removed from a table, whoever may still read an earlier version.
    pub(crate) async fn sweep_all_removed(&self, table: Table, now: Timestamp) -> Result<Swept, Error> {
        self.sweep_files(table, Timestamp::MAX, now.plus_seconds(-UNCOMMITTED_S)).await
    }

    async fn sweep_files(
        &self,
        table: Table,
        removed_until: Timestamp,
        uncommitted_until: Timestamp,
    ) -> Result<Swept, Error> {
        let chain = self.recorded_chain(table).await?;
        let delta = self.load(table).await?;
        let store = delta.object_store();
        // What readers see is never deleted, whatever the chain says: it may have been damaged.
        let read: BTreeSet<String> = live_files(table, &delta).await?.into_iter().map(|file| file.path).collect();
        let mut swept = Swept::default();
        let mut gone = Vec::new();
        for (path, object) in list(table, store.as_ref()).await? {
            if !is_data(&path) || read.contains(&path) || chain.live.contains_key(&path) {
                continue;
            }
            let removed_at = chain.removed.get(&path).map(|(at, _)| *at);
            let written_at = of_millis(object.last_modified.timestamp_millis());
            let due = match removed_at {
                Some(at) => at <= removed_until,
                None => written_at <= uncommitted_until,
            };
            if !due {
                continue;
            }
            let location = Path::parse(&path).map_err(object_store::Error::from);
            let deleted = match location {
                Ok(location) => store.delete(&location).await,
                Err(error) => Err(error),
            };
            match deleted {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(Error::Objects { what: format!("{}/{path}", table.name()), source }),
            }
            *(if removed_at.is_some() { &mut swept.removed_files } else { &mut swept.uncommitted_files }) += 1;
            swept.bytes += object.size;
            gone.push(path);
        }
        self.remove_empty_folders(table, &gone);
        Ok(swept)
    }

    /// Makes a checkpoint and deletes the versions of the log before it that are older than `until`.
    async fn shorten_log(&self, table: Table, until: Timestamp) -> Result<u64, Error> {
        let delta = self.load(table).await?;
        let failed = |source| Error::Maintain { table: table.name(), source: Box::new(source) };
        let version = delta.version().unwrap_or_default();
        let objects = list(table, delta.object_store().as_ref()).await?;
        let commits = objects.keys().filter(|path| commit_version(path).is_some()).count();
        if commits < LOG_VERSIONS {
            return Ok(0);
        }
        create_checkpoint(&delta, None).await.map_err(failed)?;
        let log = delta.log_store();
        let cleaned = cleanup_expired_logs_for(version, log.as_ref(), until.micros() / 1_000, None).await;
        Ok(cleaned.map_err(failed)? as u64)
    }

    /// A local disk keeps the folders of partitions whose last file is gone.
    fn remove_empty_folders(&self, table: Table, gone: &[String]) {
        let Some(root) = self.location.directory().map(|store| store.join(table.name())) else { return };
        for path in gone {
            let mut folder = root.join(path);
            while folder.pop() && folder != root && folder.starts_with(&root) {
                // A folder that is not empty stays, and so do those above it.
                if std::fs::remove_dir(&folder).is_err() {
                    break;
                }
            }
        }
    }
}
