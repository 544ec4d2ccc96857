//! The files that a table consists of.

use deltalake::DeltaTable;
use deltalake::kernel::Remove;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add};
use deltalake::protocol::DeltaOperation;
use futures::TryStreamExt;
use serde_json::Value;
use tidemark_schema::columns::EVENT_DATE;
use tidemark_schema::{CorpusName, Timestamp};

use crate::error::Error;
use crate::table::{Lake, Table};

/// Which partition of a table; the table of outputs has no corpus.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The day since 1970.
    pub day: i32,
    /// The corpus.
    pub corpus: Option<CorpusName>,
}

/// One Parquet file that a table consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Its place under the table's root.
    pub path: String,
    /// The partition it belongs to.
    pub partition: Partition,
    /// Its length.
    pub bytes: u64,
    /// How many rows it holds, copies included.
    pub rows: u64,
    /// When it was written.
    pub written_at: Timestamp,
    pub(crate) remove: Remove,
}

impl Lake {
    /// The files of a table, by partition and path.
    pub async fn files(&self, table: Table) -> Result<Vec<DataFile>, Error> {
        live_files(table, &self.load(table).await?).await
    }

    /// Removes the files of a table for which `gone` holds, in one commit that reads nothing; gives them. What the commit is
    /// for is told in `note`.
    pub(crate) async fn remove_where(
        &self,
        table: Table,
        gone: impl Fn(&DataFile) -> bool,
        operation: DeltaOperation,
        note: impl FnOnce(&[DataFile]) -> Value,
        now: Timestamp,
    ) -> Result<Vec<DataFile>, Error> {
        let delta = self.load(table).await?;
        let removed: Vec<DataFile> = live_files(table, &delta).await?.into_iter().filter(gone).collect();
        if !removed.is_empty() {
            let note = note(&removed);
            self.replace(table, &delta, Change { removed: &removed, added: Vec::new(), now, operation, note }).await?;
        }
        Ok(removed)
    }

    /// Replaces files by others in one commit that readers see whole. What the commit is for is told in `note`.
    pub(crate) async fn replace(&self, table: Table, delta: &DeltaTable, change: Change<'_>) -> Result<(), Error> {
        let Change { removed, added, now, operation, note } = change;
        // Merging alone changes no row.
        let data_change = !matches!(operation, DeltaOperation::Optimize { .. });
        let removes = removed.iter().map(|file| {
            let deletion_timestamp = Some(now.micros() / 1_000);
            Action::Remove(Remove { data_change, deletion_timestamp, ..file.remove.clone() })
        });
        let adds = added.into_iter().map(|add| Action::Add(Add { data_change, ..add }));
        let failed = |source| Error::Maintain { table: table.name(), source: Box::new(source) };
        CommitBuilder::from(CommitProperties::default().with_metadata([(NOTE.to_owned(), note)]))
            .with_actions(removes.chain(adds).collect())
            .build(Some(delta.snapshot().map_err(failed)?), delta.log_store(), operation)
            .await
            .map_err(failed)?;
        self.record_new_commits(table).await;
        Ok(())
    }
}

/// Under which name a commit says what it was for.
pub(crate) const NOTE: &str = "tidemark";

/// Files of a table that give way to others.
pub(crate) struct Change<'a> {
    pub(crate) removed: &'a [DataFile],
    /// None when the rows go for good.
    pub(crate) added: Vec<Add>,
    pub(crate) now: Timestamp,
    pub(crate) operation: DeltaOperation,
    pub(crate) note: Value,
}

/// The files of a table as it was loaded, by partition and path.
pub(crate) async fn live_files(table: Table, delta: &DeltaTable) -> Result<Vec<DataFile>, Error> {
    let open = |source| table.open_error(source);
    let snapshot = delta.snapshot().map_err(open)?.snapshot();
    let log = delta.log_store();
    let mut files = Vec::new();
    let mut views = snapshot.file_views(log.as_ref(), None);
    while let Some(view) = views.try_next().await.map_err(open)? {
        let values = view.partition_values_map();
        let value = |column: &str| values.get(column).and_then(Option::as_deref);
        let day = value(EVENT_DATE).and_then(|date| Timestamp::from_date(date).ok()).map(Timestamp::days);
        let corpus = value("corpus").and_then(|corpus| corpus.parse().ok());
        let path = view.object_store_path().to_string();
        let (Some(day), true) = (day, corpus.is_some() == (table == Table::Retrievals)) else {
            return Err(Error::Partition { table: table.name(), path });
        };
        files.push(DataFile {
            path,
            partition: Partition { day, corpus },
            bytes: u64::try_from(view.size()).unwrap_or_default(),
            rows: view.num_records().unwrap_or_default() as u64,
            written_at: of_millis(view.modification_time()),
            // The time is that of the commit which removes it.
            remove: Remove { deletion_timestamp: None, ..view.remove_action(true) },
        });
    }
    files.sort_by(|a, b| (&a.partition, &a.path).cmp(&(&b.partition, &b.path)));
    Ok(files)
}

/// An instant of the log in milliseconds, held inside of what can be stored.
pub(crate) fn of_millis(millis: i64) -> Timestamp {
    let micros = millis.saturating_mul(1_000).clamp(Timestamp::MIN.micros(), Timestamp::MAX.micros());
    Timestamp::from_micros(micros).unwrap_or(Timestamp::MIN)
}
