use std::borrow::Borrow;
use std::collections::{BTreeSet, HashSet};

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::error::ArrowError;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, Transaction};
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::parquet::schema::types::ColumnPath;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use deltalake::{DeltaTable, DeltaTableError};
use tidemark_schema::columns::{outputs, retrievals};
use tidemark_schema::{CorpusName, EventId, Ingest, OutputEvent, RetrievalEvent, Stored};

use crate::error::Error;
use crate::files::Partition;
use crate::scan::{Filter, Scan};
use crate::table::{Lake, Table};

/// How far a writer has come in its log. It is committed together with the rows, so that after a crash the table itself
/// says what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The writer's name: one per log, never shared.
    pub writer: String,
    /// The first record of the log that is not in the table.
    pub next: u64,
}

/// A condition on partitions becomes a level of the plan for each of them, and the plan has to fit on the stack.
const PARTITIONS_OF_A_LOOKUP: usize = 32;

/// What one call of [`Lake::append`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Rows that were committed.
    pub rows: usize,
    /// Rows that were left out because their event is stored already.
    pub duplicates: usize,
}

impl Lake {
    /// Commits retrieval events, with the position of the log they came from.
    ///
    /// Rows are sorted by partition, fingerprint and time, so that one query's history lies together. Events that are not
    /// [`Ingest::Live`] may be resends of something older than any window of recent ids; those are looked up in the
    /// partitions they would land in, and left out if they are there.
    pub async fn append_retrievals<E: Borrow<RetrievalEvent> + Send + Sync>(
        &self,
        mut events: Vec<Stored<E>>,
        position: Option<Position>,
    ) -> Result<Appended, Error> {
        fn of<E: Borrow<RetrievalEvent>>(row: &Stored<E>) -> &RetrievalEvent {
            row.event.borrow()
        }
        let before = events.len();
        let partition =
            |event: &RetrievalEvent| Partition { day: event.occurred_at.days(), corpus: Some(event.corpus.clone()) };
        let asked = old(&events).map(of).map(|event| (partition(event), event.event_id)).collect();
        let mut known = self.stored_among(Table::Retrievals, asked).await?;
        events.retain(|row| row.ingest == Ingest::Live || known.insert(of(row).event_id));
        events.sort_by(|a, b| {
            let (a, b) = (of(a), of(b));
            a.corpus
                .cmp(&b.corpus)
                .then_with(|| a.occurred_at.days().cmp(&b.occurred_at.days()))
                .then_with(|| a.query.fingerprint.cmp(&b.query.fingerprint))
                .then_with(|| (a.occurred_at, a.event_id).cmp(&(b.occurred_at, b.event_id)))
        });
        let rows = events.len();
        let together = |a: &Stored<E>, b: &Stored<E>| {
            let (a, b) = (of(a), of(b));
            a.corpus == b.corpus && a.occurred_at.days() == b.occurred_at.days()
        };
        let partitions = events.chunk_by(together).map(retrievals::encode::<E>);
        self.commit(Table::Retrievals, rows, partitions, position).await?;
        Ok(Appended { rows, duplicates: before - rows })
    }

    /// Commits output events, with the position of the log they came from. As [`Lake::append_retrievals`], sorted by
    /// operation.
    pub async fn append_outputs<E: Borrow<OutputEvent> + Send + Sync>(
        &self,
        mut events: Vec<Stored<E>>,
        position: Option<Position>,
    ) -> Result<Appended, Error> {
        fn of<E: Borrow<OutputEvent>>(row: &Stored<E>) -> &OutputEvent {
            row.event.borrow()
        }
        let before = events.len();
        let partition = |event: &OutputEvent| Partition { day: event.occurred_at.days(), corpus: None };
        let asked = old(&events).map(of).map(|event| (partition(event), event.event_id)).collect();
        let mut known = self.stored_among(Table::Outputs, asked).await?;
        events.retain(|row| row.ingest == Ingest::Live || known.insert(of(row).event_id));
        events.sort_by(|a, b| {
            let (a, b) = (of(a), of(b));
            a.occurred_at
                .days()
                .cmp(&b.occurred_at.days())
                .then_with(|| a.operation_id.cmp(&b.operation_id))
                .then_with(|| (a.occurred_at, a.event_id).cmp(&(b.occurred_at, b.event_id)))
        });
        let rows = events.len();
        let together = |a: &Stored<E>, b: &Stored<E>| of(a).occurred_at.days() == of(b).occurred_at.days();
        let partitions = events.chunk_by(together).map(outputs::encode::<E>);
        self.commit(Table::Outputs, rows, partitions, position).await?;
        Ok(Appended { rows, duplicates: before - rows })
    }

    /// How far a writer's log has been committed to a table; `None` if it never was.
    pub async fn committed(&self, table: Table, writer: &str) -> Result<Option<u64>, Error> {
        let delta = self.load(table).await?;
        let open = |source| table.open_error(source);
        let snapshot = delta.snapshot().map_err(open)?.snapshot();
        let version = snapshot.transaction_version(delta.log_store().as_ref(), writer).await.map_err(open)?;
        Ok(version.and_then(|next| u64::try_from(next).ok()))
    }

    /// Which of some events are stored: a copy has the same time, hence lies in the same partition, so only those partitions
    /// are read.
    pub(crate) async fn stored_among(
        &self,
        table: Table,
        mut asked: Vec<(Partition, EventId)>,
    ) -> Result<HashSet<EventId>, Error> {
        asked.sort();
        let mut partitions: Vec<&Partition> = asked.iter().map(|(partition, _)| partition).collect();
        partitions.dedup();
        let wanted = asked.iter().map(|(_, id)| *id).collect();
        let mut found = HashSet::new();
        for some in partitions.chunks(PARTITIONS_OF_A_LOOKUP) {
            let days: BTreeSet<i32> = some.iter().map(|partition| partition.day).collect();
            let corpora: BTreeSet<&CorpusName> =
                some.iter().filter_map(|partition| partition.corpus.as_ref()).collect();
            let mut filters = vec![Filter::OnDays(days.into_iter().collect())];
            if !corpora.is_empty() {
                filters.push(Filter::Corpora(corpora.into_iter().cloned().collect()));
            }
            let scan = Scan { table, filters, columns: vec!["event_id"], version: None };
            found.extend(self.found_ids(&scan, &wanted).await?);
        }
        Ok(found)
    }

    /// Commits rows that come partition by partition. The log's position is told by the same commit, so whatever number
    /// of partitions there are, all of them are in the table or none.
    async fn commit(
        &self,
        table: Table,
        rows: usize,
        partitions: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send,
        position: Option<Position>,
    ) -> Result<(), Error> {
        if rows == 0 {
            // Positions may lag behind: a replay of records that hold nothing for this table adds nothing to it.
            return Ok(());
        }
        let failed = |source: DeltaTableError| Error::Append { table: table.name(), rows, source: Box::new(source) };
        let delta = self.load(table).await?;
        let mut added = Vec::new();
        for partition in partitions {
            let written = match partition {
                Ok(batch) => write_partition(table, &delta, batch).await.map_err(failed),
                Err(source) => Err(Error::Layout { table: table.name(), source }),
            };
            match written {
                Ok(adds) => added.extend(adds),
                Err(error) => {
                    // On a full disk the next try needs the room.
                    let written: Vec<String> = added.into_iter().map(|add: Add| add.path).collect();
                    self.discard(table, &delta, &written).await;
                    return Err(error);
                }
            }
        }
        self.commit_files((table, &delta), rows, added, position).await
    }

    /// Commits files that were written.
    pub(crate) async fn commit_files(
        &self,
        (table, delta): (Table, &DeltaTable),
        rows: usize,
        added: Vec<Add>,
        position: Option<Position>,
    ) -> Result<(), Error> {
        let failed = |source: DeltaTableError| Error::Append { table: table.name(), rows, source: Box::new(source) };
        let mut commit = CommitProperties::default();
        if let Some(Position { writer, next }) = position {
            commit =
                commit.with_application_transaction(Transaction::new(writer, i64::try_from(next).unwrap_or(i64::MAX)));
        }
        let partition_by = table.partition_columns().iter().map(ToString::to_string).collect();
        let operation =
            DeltaOperation::Write { mode: SaveMode::Append, partition_by: Some(partition_by), predicate: None };
        // Whether a commit that failed is in the log cannot always be told, so its files are left to the sweep.
        CommitBuilder::from(commit)
            .with_actions(added.into_iter().map(Action::Add).collect())
            .build(Some(delta.snapshot().map_err(failed)?), delta.log_store(), operation)
            .await
            .map_err(failed)?;
        self.record_new_commits(table).await;
        Ok(())
    }
}

/// What writes some rows of so many columns into files of a table.
pub(crate) fn writer_for(
    table: Table,
    delta: &DeltaTable,
    (rows, wanted): (usize, usize),
) -> Result<RecordBatchWriter, DeltaTableError> {
    let properties = writer_properties(table, rows as u64)?;
    let writer = RecordBatchWriter::for_table(delta)?.with_writer_properties(properties);
    let there = writer.arrow_schema().fields().len();
    if there < wanted {
        // The writer would leave out what the table has no column for.
        let msg = format!(
            "the table has {there} columns and the rows have {wanted}; start `tidemark serve` once to add them"
        );
        return Err(DeltaTableError::SchemaMismatch { msg });
    }
    Ok(writer)
}

/// Writes the rows of one partition and closes its file before the next is opened: a writer holds a buffer for each column
/// and a Bloom filter for some, and senders choose how many partitions their events fall into.
async fn write_partition(table: Table, delta: &DeltaTable, rows: RecordBatch) -> Result<Vec<Add>, DeltaTableError> {
    let mut writer = writer_for(table, delta, (rows.num_rows(), rows.num_columns()))?;
    writer.write(rows).await?;
    writer.flush().await
}

fn old<E>(events: &[Stored<E>]) -> impl Iterator<Item = &Stored<E>> {
    events.iter().filter(|row| row.ingest != Ingest::Live)
}

/// A larger dictionary is given up for plain values: it holds the names and the hashes of a hundred thousand documents.
const DICTIONARY_BYTES: usize = 2 * 1024 * 1024;
/// Rows that take more bytes than this are a group.
const GROUP_BYTES: usize = 12 * 1024 * 1024;

/// Zstandard and dictionaries for everything; Bloom filters on what a single event is looked up by, as large as `rows` rows
/// (or those of one row group) need: they take their memory before the first row.
pub(crate) fn writer_properties(
    table: Table,
    rows: u64,
) -> Result<WriterProperties, deltalake::parquet::errors::ParquetError> {
    // A dictionary is read once for a group of rows, so that few large ones are read faster. But a group is held in memory
    // until it is written, and a row of retrievals holds a whole ranking.
    let group = match table {
        Table::Retrievals => 64 * 1024,
        Table::Outputs => 128 * 1024,
    };
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_dictionary_enabled(true)
        .set_bloom_filter_enabled(false)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_max_row_group_row_count(Some(group))
        .set_max_row_group_bytes(Some(GROUP_BYTES));
    for column in ["trace_id", "operation_id"] {
        properties = properties
            .set_column_bloom_filter_enabled(ColumnPath::from(column), true)
            .set_column_bloom_filter_max_ndv(ColumnPath::from(column), rows.clamp(1, group as u64));
    }
    Ok(properties.build())
}
