use std::collections::{BTreeSet, HashSet};

use deltalake::DeltaTableError;
use deltalake::arrow::array::RecordBatch;
use deltalake::kernel::Transaction;
use deltalake::kernel::transaction::CommitProperties;
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::parquet::schema::types::ColumnPath;
use tidemark_schema::columns::{outputs, retrievals};
use tidemark_schema::{CorpusName, EventId, Ingest, OutputEvent, RetrievalEvent, Stored};

use crate::error::Error;
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
    /// Rows are sorted by corpus, fingerprint and time, so that one query's history lies together. Events that are not
    /// [`Ingest::Live`] may be resends of something older than any window of recent ids; those are looked up in the
    /// partitions they would land in, and left out if they are there.
    pub async fn append_retrievals(
        &self,
        mut events: Vec<Stored<RetrievalEvent>>,
        position: Option<Position>,
    ) -> Result<Appended, Error> {
        let before = events.len();
        let mut corpora: Vec<CorpusName> = old(&events).map(|e| e.event.corpus.clone()).collect();
        corpora.sort();
        corpora.dedup();
        let asked = old(&events).map(|row| (row.event.occurred_at.days(), row.event.event_id)).collect();
        let mut known = self.stored_among(Table::Retrievals, asked, corpora).await?;
        events.retain(|row| row.ingest == Ingest::Live || known.insert(row.event.event_id));
        events.sort_by(|a, b| {
            let key = |row: &Stored<RetrievalEvent>| (row.event.occurred_at, row.event.event_id);
            a.event
                .corpus
                .cmp(&b.event.corpus)
                .then_with(|| a.event.query.fingerprint.cmp(&b.event.query.fingerprint))
                .then_with(|| key(a).cmp(&key(b)))
        });
        let rows = events.len();
        let batch = retrievals::encode(&events).map_err(|source| Error::Layout { table: "retrievals", source })?;
        self.commit(Table::Retrievals, batch, position).await?;
        Ok(Appended { rows, duplicates: before - rows })
    }

    /// Commits output events, with the position of the log they came from. As [`Lake::append_retrievals`], sorted by
    /// operation.
    pub async fn append_outputs(
        &self,
        mut events: Vec<Stored<OutputEvent>>,
        position: Option<Position>,
    ) -> Result<Appended, Error> {
        let before = events.len();
        let asked = old(&events).map(|row| (row.event.occurred_at.days(), row.event.event_id)).collect();
        let mut known = self.stored_among(Table::Outputs, asked, Vec::new()).await?;
        events.retain(|row| row.ingest == Ingest::Live || known.insert(row.event.event_id));
        events.sort_by(|a, b| {
            let key = |row: &Stored<OutputEvent>| (row.event.occurred_at, row.event.event_id);
            a.event.operation_id.cmp(&b.event.operation_id).then_with(|| key(a).cmp(&key(b)))
        });
        let rows = events.len();
        let batch = outputs::encode(&events).map_err(|source| Error::Layout { table: "outputs", source })?;
        self.commit(Table::Outputs, batch, position).await?;
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

    /// Which of some events, each with its day, are stored: a copy has the same time, hence lies in the same partition, so
    /// only those partitions are read.
    async fn stored_among(
        &self,
        table: Table,
        asked: Vec<(i32, EventId)>,
        corpora: Vec<CorpusName>,
    ) -> Result<HashSet<EventId>, Error> {
        if asked.is_empty() {
            return Ok(HashSet::new());
        }
        let days: BTreeSet<i32> = asked.iter().map(|(day, _)| *day).collect();
        let wanted = asked.into_iter().map(|(_, id)| id).collect();
        let mut filters = vec![Filter::OnDays(days.into_iter().collect())];
        if !corpora.is_empty() {
            filters.push(Filter::Corpora(corpora));
        }
        self.found_ids(&Scan { table, filters, columns: vec!["event_id"], version: None }, &wanted).await
    }

    async fn commit(&self, table: Table, batch: RecordBatch, position: Option<Position>) -> Result<(), Error> {
        let rows = batch.num_rows();
        if rows == 0 {
            // Positions may lag behind: a replay of records that hold nothing for this table adds nothing to it.
            return Ok(());
        }
        let failed = |source: DeltaTableError| Error::Append { table: table.name(), rows, source: Box::new(source) };
        let delta = self.load(table).await?;
        let mut commit = CommitProperties::default();
        if let Some(Position { writer, next }) = position {
            commit =
                commit.with_application_transaction(Transaction::new(writer, i64::try_from(next).unwrap_or(i64::MAX)));
        }
        delta
            .write([batch])
            .with_writer_properties(writer_properties(table).map_err(|error| failed(error.into()))?)
            .with_commit_properties(commit)
            .await
            .map_err(failed)?;
        self.record_new_commits(table).await;
        Ok(())
    }
}

fn old<E>(events: &[Stored<E>]) -> impl Iterator<Item = &Stored<E>> {
    events.iter().filter(|row| row.ingest != Ingest::Live)
}

/// Zstandard and dictionaries for everything; Bloom filters on what a single event is looked up by.
pub(crate) fn writer_properties(table: Table) -> Result<WriterProperties, deltalake::parquet::errors::ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_dictionary_enabled(true)
        .set_bloom_filter_enabled(false);
    for column in ["trace_id", "operation_id"] {
        properties = properties.set_column_bloom_filter_enabled(ColumnPath::from(column), true);
    }
    if table == Table::Retrievals {
        properties = properties.set_max_row_group_row_count(Some(16 * 1024));
    }
    Ok(properties.build())
}
