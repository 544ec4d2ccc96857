//! Many small files of a partition into few large ones: sorted, and each event once.
//!
//! A flush writes a file per partition every few seconds. Merging them is what keeps reads fast, and it is where copies of
//! an event end for good: a copy has the same time, hence lies in the same partition.

use std::collections::BTreeMap;

use deltalake::arrow::compute::filter_record_batch;
use deltalake::datafusion::logical_expr::{col, lit};
use deltalake::datafusion::scalar::ScalarValue;
use deltalake::protocol::DeltaOperation;
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use deltalake::{DeltaTable, DeltaTableError};
use futures::StreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::{Value, json};
use tidemark_schema::columns::EVENT_DATE;
use tidemark_schema::{Label, Timestamp};

use crate::append::writer_properties;
use crate::error::Error;
use crate::files::{Change, DataFile, Partition, live_files};
use crate::scan::{Seen, conform, first_copies};
use crate::table::{Lake, Table};

/// A file of this size is large enough: reading it is bound by its rows and no longer by opening it.
pub(crate) const TARGET_BYTES: u64 = 32 * 1024 * 1024;
/// Below half of it a file is small.
const SMALL_BYTES: u64 = TARGET_BYTES / 2;
/// A partition is settled when its day is over and nothing was written to it for this long.
const SETTLED_S: i64 = 3_600;
/// A partition that still grows is merged when it has this many small files …
const SMALL_FILES: usize = 8;
/// … and they make up a third of it, so that a byte is rewritten a few times in its life and not with every merge; or when
/// it has this many of them, so that there is a bound.
const SMALL_FILES_MAX: usize = 100;

/// What one merge did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    /// Files that were merged.
    pub files_before: usize,
    /// Files that they became.
    pub files_after: usize,
    /// Rows that were kept.
    pub rows: u64,
    /// Copies of events that are gone.
    pub duplicates: u64,
    /// Bytes of the files that were merged.
    pub bytes_before: u64,
    /// Bytes of the files that they became.
    pub bytes_after: u64,
}

/// The partitions that should be merged now, oldest first.
pub fn due_for_compaction(files: &[DataFile], now: Timestamp) -> Vec<Partition> {
    let mut partitions: BTreeMap<&Partition, Vec<&DataFile>> = BTreeMap::new();
    for file in files {
        partitions.entry(&file.partition).or_default().push(file);
    }
    let due = partitions.into_iter().filter(|(partition, files)| {
        let small: Vec<_> = files.iter().filter(|file| file.bytes < SMALL_BYTES).collect();
        let newest = files.iter().map(|file| file.written_at).max();
        let settled = partition.day < now.days() && newest.is_none_or(|newest| newest.plus_seconds(SETTLED_S) <= now);
        let bytes = |files: &mut dyn Iterator<Item = u64>| files.sum::<u64>();
        let (all, of_small) =
            (bytes(&mut files.iter().map(|file| file.bytes)), bytes(&mut small.iter().map(|file| file.bytes)));
        let grown = small.len() >= SMALL_FILES && of_small.saturating_mul(3) >= all;
        (settled && small.len() >= 2) || grown || small.len() >= SMALL_FILES_MAX
    });
    due.map(|(partition, _)| partition.clone()).collect()
}

impl Lake {
    /// Merges the files of a partition in one commit. `None` if there is nothing to merge, or if another commit touched the
    /// same files in the meantime; then the next look finds what is left.
    pub async fn compact(
        &self,
        table: Table,
        partition: &Partition,
        now: Timestamp,
    ) -> Result<Option<Compacted>, Error> {
        let delta = self.load(table).await?;
        let files = files_of(table, &delta, partition).await?;
        if files.len() < 2 {
            return Ok(None);
        }
        self.rewrite(table, &delta, &files, None, json!({ "action": "compaction" }), now).await
    }

    /// Writes the rows of a partition's files anew, each event once, and without those of a principal if one is given.
    pub(crate) async fn rewrite(
        &self,
        table: Table,
        delta: &DeltaTable,
        files: &[DataFile],
        without: Option<&Label>,
        note: Value,
        now: Timestamp,
    ) -> Result<Option<Compacted>, Error> {
        let failed = |source| Error::Maintain { table: table.name(), source: Box::new(source) };
        let Some(partition) = files.first().map(|file| &file.partition) else { return Ok(None) };
        let read: u64 = files.iter().map(|file| file.rows).sum();
        let mut writer = RecordBatchWriter::for_table(delta)
            .map_err(failed)?
            .with_writer_properties(writer_properties(table, read).map_err(|error| failed(error.into()))?)
            .with_target_file_size(TARGET_BYTES);
        let merged = self.merge(table, delta, partition, without, &mut writer).await;
        let added = writer.flush().await.map_err(failed)?;
        let written: Vec<String> = added.iter().map(|add| add.path.clone()).collect();
        let (rows, duplicates) = match merged {
            Ok((rows, duplicates)) if rows + duplicates == read || (without.is_some() && rows + duplicates < read) => {
                (rows, duplicates)
            }
            Ok((rows, duplicates)) => {
                self.discard(table, delta, &written).await;
                return Err(Error::Rows { table: table.name(), expected: read, found: rows + duplicates });
            }
            Err(error) => {
                self.discard(table, delta, &written).await;
                return Err(error);
            }
        };
        let compacted = Compacted {
            files_before: files.len(),
            files_after: added.len(),
            rows,
            duplicates,
            bytes_before: files.iter().map(|file| file.bytes).sum(),
            bytes_after: added.iter().map(|add| u64::try_from(add.size).unwrap_or_default()).sum(),
        };
        let operation = match without {
            None => {
                let target_size = i64::try_from(TARGET_BYTES).unwrap_or(i64::MAX);
                DeltaOperation::Optimize { predicate: None, target_size }
            }
            // The condition is not told: it would name the principal.
            Some(_) => DeltaOperation::Delete { predicate: None },
        };
        match self.replace(table, delta, Change { removed: files, added, now, operation, note }).await {
            Ok(()) => Ok(Some(compacted)),
            Err(error) if error.is_conflict() => {
                self.discard(table, delta, &written).await;
                Ok(None)
            }
            // Whether a commit that failed is in the log cannot always be told, and then these files are all there is of
            // their rows: they are left to the sweep.
            Err(error) => Err(error),
        }
    }

    /// The rows of a partition in the order of the table, each event once, into the writer; how many were kept and how many
    /// were copies.
    async fn merge(
        &self,
        table: Table,
        delta: &DeltaTable,
        partition: &Partition,
        without: Option<&Label>,
        writer: &mut RecordBatchWriter,
    ) -> Result<(u64, u64), Error> {
        let read = |source| table.read_error(source);
        let failed = |source: DeltaTableError| Error::Maintain { table: table.name(), source: Box::new(source) };
        let provider = table.provider(delta, &self.session).await?;
        let mut frame = self.session.read_table(provider).map_err(read)?;
        frame = frame.filter(col(EVENT_DATE).eq(lit(ScalarValue::Date32(Some(partition.day))))).map_err(read)?;
        if let Some(corpus) = &partition.corpus {
            frame = frame.filter(col("corpus").eq(lit(corpus.as_str()))).map_err(read)?;
        }
        if let Some(principal) = without {
            let others = col("principal").is_null().or(col("principal").not_eq(lit(principal.as_str())));
            frame = frame.filter(others).map_err(read)?;
        }
        let order = table.sort_columns().iter().map(|name| col(*name).sort(true, false)).collect();
        let mut rows = frame.sort(order).map_err(read)?.execute_stream().await.map_err(read)?;
        let wanted = table.schema()?;
        let mut seen = Seen::default();
        let (mut kept, mut copies) = (0, 0);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(read)?;
            let first = first_copies(&batch, &mut seen)?;
            let layout = |source| Error::Layout { table: table.name(), source };
            let unique = conform(&filter_record_batch(&batch, &first).map_err(layout)?, &wanted).map_err(layout)?;
            kept += unique.num_rows() as u64;
            copies += (batch.num_rows() - unique.num_rows()) as u64;
            if unique.num_rows() > 0 {
                writer.write(unique).await.map_err(failed)?;
            }
        }
        Ok((kept, copies))
    }

    /// Removes files that were written and not committed.
    pub(crate) async fn discard(&self, table: Table, delta: &DeltaTable, paths: &[String]) {
        for path in paths {
            let removed = match Path::parse(path) {
                Ok(path) => delta.object_store().delete(&path).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = removed {
                tracing::warn!(table = table.name(), path, error, "a file that was not committed is left behind");
            }
        }
    }
}

/// The files of one partition of a table as it was loaded.
pub(crate) async fn files_of(table: Table, delta: &DeltaTable, partition: &Partition) -> Result<Vec<DataFile>, Error> {
    let files = live_files(table, delta).await?;
    Ok(files.into_iter().filter(|file| file.partition == *partition).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Whether a partition of a day with files of these sizes, written at this time, is due on 2 May at noon.
    #[track_caller]
    fn check(day: &str, written: &str, sizes: &[u64], due: bool) {
        let partition = Partition { day: Timestamp::from_date(day).unwrap().days(), corpus: None };
        let files: Vec<DataFile> = sizes
            .iter()
            .map(|bytes| DataFile {
                path: String::new(),
                partition: partition.clone(),
                bytes: *bytes,
                rows: 1,
                written_at: at(written),
                remove: deltalake::kernel::Remove::default(),
            })
            .collect();
        assert_eq!(
            !due_for_compaction(&files, at("2024-05-02T12:00:00Z")).is_empty(),
            due,
            "{day} {written} {sizes:?}"
        );
    }

    #[test]
    fn a_settled_partition_is_merged_once() {
        check("2024-05-01", "2024-05-02T00:00:01Z", &[MIB, MIB], true);
        check("2024-05-01", "2024-05-02T00:00:01Z", &[2 * MIB], false);
        check("2024-05-01", "2024-05-02T00:00:01Z", &[35 * MIB, 32 * MIB, MIB], false);
        check("2024-05-01", "2024-05-02T11:30:00Z", &[MIB, MIB], false);
    }

    #[test]
    fn a_growing_partition_is_merged_when_its_small_files_weigh() {
        check("2024-05-02", "2024-05-02T11:59:00Z", &[MIB; 7], false);
        check("2024-05-02", "2024-05-02T11:59:00Z", &[MIB; 8], true);
        check("2024-05-02", "2024-05-02T11:59:00Z", &[[64 * MIB].as_slice(), &[MIB; 8]].concat(), false);
        check("2024-05-02", "2024-05-02T11:59:00Z", &[[64 * MIB].as_slice(), &[MIB; 100]].concat(), true);
    }
}
