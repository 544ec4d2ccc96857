//! Many events at once: files that are as large and as well sorted as those of a merge, without a merge.
//!
//! Rows gather by partition until they fill the memory that they may take; then the fullest partitions are written, sorted as
//! a whole, and committed together. What a kill loses was never said to be stored, and is there when the file is imported again.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use deltalake::DeltaTable;
use deltalake::arrow::array::{RecordBatch, UInt32Array};
use deltalake::arrow::compute::{concat_batches, take_record_batch};
use deltalake::arrow::datatypes::Schema;
use deltalake::arrow::error::ArrowError;
use deltalake::arrow::row::{RowConverter, SortField};
use deltalake::kernel::Add;
use tidemark_schema::columns::{outputs, retrievals};
use tidemark_schema::{EventId, OutputEvent, RetrievalEvent, Stored, Timestamp};

use crate::append::{Appended, write_partition};
use crate::compact::SMALL_BYTES;
use crate::error::Error;
use crate::files::{Partition, live_files};
use crate::scan::Seen;
use crate::table::{Lake, Table};

/// Bytes of rows that wait to be written.
const WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Ids that are remembered; beyond it the table is asked.
const IDS: usize = 2_000_000;

/// A load on its way into the tables.
pub struct BulkLoad<'a> {
    lake: &'a Lake,
    retrievals: Waiting,
    outputs: Waiting,
}

/// What waits for one table.
struct Waiting {
    table: Table,
    /// The partitions that had rows before, which may hold copies of what comes.
    before: HashSet<Partition>,
    /// What came since.
    seen: Seen,
    partitions: BTreeMap<Partition, Rows>,
    bytes: usize,
    /// The small files that were written to each partition.
    small_files: BTreeMap<Partition, usize>,
}

/// The rows of a partition.
#[derive(Default)]
struct Rows {
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Lake {
    /// Begins to load events that may be stored already.
    pub async fn bulk_load(&self) -> Result<BulkLoad<'_>, Error> {
        let retrievals = Waiting::new(self, Table::Retrievals).await?;
        let outputs = Waiting::new(self, Table::Outputs).await?;
        Ok(BulkLoad { lake: self, retrievals, outputs })
    }
}

impl BulkLoad<'_> {
    /// Takes retrievals that are not stored yet.
    pub async fn push_retrievals<E: Borrow<RetrievalEvent>>(
        &mut self,
        events: Vec<Stored<E>>,
    ) -> Result<Appended, Error> {
        let partition = |row: &Stored<E>| {
            let event: &RetrievalEvent = row.event.borrow();
            Partition { day: event.occurred_at.days(), corpus: Some(event.corpus.clone()) }
        };
        let id = |row: &Stored<E>| row.event.borrow().event_id;
        self.retrievals.push(self.lake, (events, partition, id), retrievals::encode::<E>).await
    }

    /// Takes outputs that are not stored yet.
    pub async fn push_outputs<E: Borrow<OutputEvent>>(&mut self, events: Vec<Stored<E>>) -> Result<Appended, Error> {
        let partition = |row: &Stored<E>| Partition { day: row.event.borrow().occurred_at.days(), corpus: None };
        let id = |row: &Stored<E>| row.event.borrow().event_id;
        self.outputs.push(self.lake, (events, partition, id), outputs::encode::<E>).await
    }

    /// Writes what waits, and merges the files of partitions that came in many parts.
    pub async fn finish(mut self, now: Timestamp) -> Result<(), Error> {
        for waiting in [&mut self.retrievals, &mut self.outputs] {
            waiting.write_until(self.lake, 0).await?;
            for (partition, files) in std::mem::take(&mut waiting.small_files) {
                if files > 1 {
                    self.lake.compact(waiting.table, &partition, now).await?;
                }
            }
        }
        Ok(())
    }
}

impl Waiting {
    async fn new(lake: &Lake, table: Table) -> Result<Self, Error> {
        let before = partitions_of(lake, table).await?;
        let (seen, partitions, small_files) = (Seen::default(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { table, before, seen, partitions, bytes: 0, small_files })
    }

    async fn push<E>(
        &mut self,
        lake: &Lake,
        (events, partition, id): (Vec<Stored<E>>, impl Fn(&Stored<E>) -> Partition, impl Fn(&Stored<E>) -> EventId),
        encode: impl Fn(&[Stored<E>]) -> Result<RecordBatch, ArrowError>,
    ) -> Result<Appended, Error> {
        let count = events.len();
        let mut by_partition: BTreeMap<Partition, Vec<Stored<E>>> = BTreeMap::new();
        for row in events {
            if self.seen.insert(*id(&row).as_bytes()) {
                by_partition.entry(partition(&row)).or_default().push(row);
            }
        }
        let mut asked = Vec::new();
        for (partition, rows) in by_partition.iter().filter(|(partition, _)| self.before.contains(partition)) {
            asked.extend(rows.iter().map(|row| (partition.clone(), id(row))));
        }
        if !asked.is_empty() {
            let stored = lake.stored_among(self.table, asked).await?;
            for rows in by_partition.values_mut() {
                rows.retain(|row| !stored.contains(&id(row)));
            }
        }
        let mut taken = 0;
        for (partition, rows) in by_partition.into_iter().filter(|(_, rows)| !rows.is_empty()) {
            let batch = encode(&rows).map_err(|source| Error::Layout { table: self.table.name(), source })?;
            taken += batch.num_rows();
            let bytes = batch.get_array_memory_size();
            let waiting = self.partitions.entry(partition).or_default();
            waiting.batches.push(batch);
            waiting.bytes += bytes;
            self.bytes += bytes;
        }
        if self.bytes > WAITING_BYTES {
            self.write_until(lake, WAITING_BYTES / 2).await?;
        }
        if self.seen.len() > IDS {
            self.write_until(lake, 0).await?;
            self.before = partitions_of(lake, self.table).await?;
            self.seen = Seen::default();
        }
        Ok(Appended { rows: taken, duplicates: count - taken })
    }

    /// Writes the fullest partitions in one commit until no more bytes wait.
    async fn write_until(&mut self, lake: &Lake, bytes: usize) -> Result<(), Error> {
        if self.partitions.is_empty() {
            return Ok(());
        }
        let delta = lake.load(self.table).await?;
        let (mut added, mut rows) = (Vec::new(), 0);
        while self.bytes > bytes {
            let fullest =
                self.partitions.iter().max_by_key(|(_, rows)| rows.bytes).map(|(partition, _)| partition.clone());
            let Some((partition, waiting)) = fullest.and_then(|fullest| self.partitions.remove_entry(&fullest)) else {
                break;
            };
            self.bytes -= waiting.bytes;
            rows += waiting.batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            match write(self.table, &delta, waiting).await {
                Ok(files) => {
                    let small =
                        files.iter().filter(|add| u64::try_from(add.size).is_ok_and(|bytes| bytes < SMALL_BYTES));
                    *self.small_files.entry(partition).or_default() += small.count();
                    added.extend(files);
                }
                Err(error) => {
                    let written: Vec<String> = added.into_iter().map(|add: Add| add.path).collect();
                    lake.discard(self.table, &delta, &written).await;
                    return Err(error);
                }
            }
        }
        lake.commit_files((self.table, &delta), rows, added, None).await
    }
}

async fn partitions_of(lake: &Lake, table: Table) -> Result<HashSet<Partition>, Error> {
    let files = live_files(table, &lake.load(table).await?).await?;
    Ok(files.into_iter().map(|file| file.partition).collect())
}

async fn write(table: Table, delta: &DeltaTable, rows: Rows) -> Result<Vec<Add>, Error> {
    let sorted = sorted(table, rows.batches).map_err(|source| Error::Layout { table: table.name(), source })?;
    let count = sorted.num_rows();
    let failed = |source| Error::Append { table: table.name(), rows: count, source: Box::new(source) };
    write_partition(table, delta, sorted).await.map_err(failed)
}

/// The rows of several batches in the order of the table.
fn sorted(table: Table, batches: Vec<RecordBatch>) -> Result<RecordBatch, ArrowError> {
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    let all = concat_batches(&schema, &batches)?;
    drop(batches);
    let columns: Vec<_> = table.sort_columns().iter().filter_map(|name| all.column_by_name(name).cloned()).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    let mut order: Vec<u32> = (0..u32::try_from(all.num_rows()).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    take_record_batch(&all, &UInt32Array::from(order))
}
