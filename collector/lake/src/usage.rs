//! What the tables take on disk.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use object_store::ObjectStore;
use serde::Serialize;

use crate::error::Error;
use crate::files::Partition;
use crate::table::{Lake, Table};
use crate::verify::{is_data, list};

/// What a table takes on disk, in bytes and files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Which table.
    pub table: &'static str,
    /// Rows in its files, copies included.
    pub rows: u64,
    /// Files that it consists of.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were removed from it, or never committed, and wait to be swept.
    pub removed_files: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Bytes of its log.
    pub log_bytes: u64,
    /// Bytes of its chain of evidence.
    pub evidence_bytes: u64,
    /// The same by partition, oldest first.
    #[serde(skip)]
    pub partitions: BTreeMap<Partition, PartitionUsage>,
}

/// What a partition takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PartitionUsage {
    /// Files.
    pub files: u64,
    /// Rows, copies included.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Usage {
    /// Everything that the table takes on disk.
    pub fn total_bytes(&self) -> u64 {
        self.bytes + self.removed_bytes + self.log_bytes + self.evidence_bytes
    }
}

impl Lake {
    /// What a table takes on disk, with its log and its evidence.
    pub async fn usage(&self, table: Table) -> Result<Usage, Error> {
        let delta = self.load(table).await?;
        let mut usage = Usage {
            table: table.name(),
            rows: 0,
            files: 0,
            bytes: 0,
            removed_files: 0,
            removed_bytes: 0,
            log_bytes: 0,
            evidence_bytes: self.pieces(table).await?.iter().map(|piece| piece.bytes).sum(),
            partitions: BTreeMap::new(),
        };
        let mut objects = list(table, delta.object_store().as_ref()).await?;
        for file in crate::files::live_files(table, &delta).await? {
            objects.remove(&file.path);
            let partition = usage.partitions.entry(file.partition).or_default();
            for (rows, files, bytes) in [
                (&mut usage.rows, &mut usage.files, &mut usage.bytes),
                (&mut partition.rows, &mut partition.files, &mut partition.bytes),
            ] {
                *rows += file.rows;
                *files += 1;
                *bytes += file.bytes;
            }
        }
        for (path, object) in objects {
            if is_data(&path) {
                usage.removed_files += 1;
                usage.removed_bytes += object.size;
            } else {
                usage.log_bytes += object.size;
            }
        }
        Ok(usage)
    }

    /// Bytes of everything under a folder of the store, such as `corpora`.
    pub async fn bytes_under(&self, folder: &str) -> Result<u64, Error> {
        let (store, prefix) = self.location.object_store()?;
        let failed = |source| Error::Objects { what: folder.to_owned(), source };
        store
            .list(Some(&prefix.join(folder)))
            .try_fold(0, async |sum, object| Ok(sum + object.size))
            .await
            .map_err(failed)
    }
}
