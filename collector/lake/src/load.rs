//! Many events at once: files that are as large and as well sorted as those of a merge, without a merge.
//!
//! Rows are put aside by partition, in a temporary file, until all of them are there. Then each partition is read back, sorted
//! and written as a whole: one commit of each table. What a kill loses was never said to be stored, and is there when the same
//! is loaded again.

mod spill;

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::DeltaTable;
use deltalake::arrow::array::{Array, BooleanArray, RecordBatch, StringArray, UInt32Array, cast::AsArray};
use deltalake::arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use deltalake::arrow::datatypes::Schema;
use deltalake::arrow::error::ArrowError;
use deltalake::arrow::row::{RowConverter, SortField};
use deltalake::kernel::Add;
use deltalake::writer::DeltaWriter;
use futures::TryStreamExt;
use tidemark_schema::columns::{outputs, retrievals};
use tidemark_schema::{EventId, OutputEvent, RetrievalEvent, Stored};

use self::spill::{Ranges, Spill};
use crate::append::{Appended, writer_for};
use crate::compact::TARGET_BYTES;
use crate::error::Error;
use crate::files::{Partition, live_files};
use crate::scan::Seen;
use crate::table::{Lake, Table};

/// What a load holds of each table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Bytes of rows in memory before they are put aside, and of those that are sorted at once.
    pub(crate) bytes: usize,
    /// Bytes of rows that are put aside before they are written.
    pub(crate) spilled: u64,
    /// Ids that are remembered; beyond it the table is asked.
    pub(crate) ids: usize,
}

const HELD: Held = Held { bytes: 32 << 20, spilled: 8 << 30, ids: 2_000_000 };
/// Partitions that are written at a time.
const WRITERS: usize = 2;
/// Ranges of the sort key in which rows are put aside.
const RANGES: usize = 16;
/// One of so many rows says where the others lie.
const SAMPLED: usize = 16;

/// A load on its way into the tables.
pub struct BulkLoad<'a> {
    lake: &'a Lake,
    retrievals: Waiting,
    outputs: Waiting,
}

/// What waits for one table.
struct Waiting {
    table: Table,
    held: Held,
    /// The partitions that had rows before, which may hold copies of what comes.
    before: HashSet<Partition>,
    /// What came since.
    seen: Seen,
    partitions: BTreeMap<Partition, Vec<RecordBatch>>,
    bytes: usize,
    /// Where the ranges of the sort key begin in which rows are put aside, once there are more than are held.
    bounds: Vec<String>,
    spill: Spill,
}

impl Lake {
    /// Begins to load events that may be stored already.
    pub async fn bulk_load(&self) -> Result<BulkLoad<'_>, Error> {
        self.bulk_load_within(HELD).await
    }

    pub(crate) async fn bulk_load_within(&self, held: Held) -> Result<BulkLoad<'_>, Error> {
        let retrievals = Waiting::new(self, Table::Retrievals, held).await?;
        let outputs = Waiting::new(self, Table::Outputs, held).await?;
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

    /// Writes what waits.
    pub async fn finish(mut self) -> Result<(), Error> {
        // Nothing comes any more that it could be a copy of.
        (self.retrievals.seen, self.outputs.seen) = (Seen::default(), Seen::default());
        self.retrievals.write(self.lake).await?;
        self.outputs.write(self.lake).await
    }
}

impl Waiting {
    async fn new(lake: &Lake, table: Table, held: Held) -> Result<Self, Error> {
        let before = partitions_of(lake, table).await?;
        let (seen, partitions, spill) = (Seen::default(), BTreeMap::new(), Spill::default());
        Ok(Self { table, held, before, seen, partitions, bytes: 0, bounds: Vec::new(), spill })
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
            let batch = encode(&rows).map_err(layout(self.table))?;
            taken += batch.num_rows();
            self.bytes += batch.get_array_memory_size();
            self.partitions.entry(partition).or_default().push(batch);
        }
        if self.bytes > self.held.bytes {
            if self.bounds.is_empty() {
                // The later rows are asked about the same: a sort key that grows with time falls into the last range.
                self.bounds = bounds(self.table, self.partitions.values().flatten().map(Ok), RANGES)
                    .map_err(layout(self.table))?;
            }
            self.put_aside().map_err(layout(self.table))?;
        }
        if self.spill.bytes() > self.held.spilled || self.seen.len() > self.held.ids {
            self.write(lake).await?;
            self.before = partitions_of(lake, self.table).await?;
            self.seen = Seen::default();
        }
        Ok(Appended { rows: taken, duplicates: count - taken })
    }

    fn put_aside(&mut self) -> Result<(), ArrowError> {
        for (partition, batches) in std::mem::take(&mut self.partitions) {
            let rows = joined(&batches)?;
            drop(batches);
            for range in 0..=self.bounds.len() {
                self.spill.write(&partition, range, &within(self.table, &rows, range_of(&self.bounds, range))?)?;
            }
        }
        self.bytes = 0;
        Ok(())
    }

    /// Writes all that waits in one commit.
    async fn write(&mut self, lake: &Lake) -> Result<(), Error> {
        self.put_aside().map_err(layout(self.table))?;
        let (blocks, Some(file)) = self.spill.take() else { return Ok(()) };
        let (table, bytes) = (self.table, self.held.bytes);
        let rows = blocks.values().flat_map(Ranges::values).flatten().map(|block| block.rows).sum();
        let delta = lake.load(table).await?;
        let file = Arc::new(Mutex::new(file));
        // What one writer of several has written must be known when another fails.
        let added = Arc::new(Mutex::new(Vec::new()));
        let partitions =
            futures::stream::iter(blocks.into_values().map(Ok)).try_for_each_concurrent(WRITERS, |blocks| {
                let (file, delta, added) = (file.clone(), delta.clone(), added.clone());
                let written =
                    tokio::spawn(async move { write_partition(table, &delta, (&file, &blocks), bytes).await });
                async move {
                    let failed = |error: tokio::task::JoinError| std::io::Error::other(error);
                    let files = written.await.map_err(|error| layout(table)(ArrowError::from(failed(error))))??;
                    added.lock().unwrap_or_else(PoisonError::into_inner).extend(files);
                    Ok::<_, Error>(())
                }
            });
        let outcome = partitions.await;
        let added: Vec<Add> = std::mem::take(&mut added.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = outcome {
            let written: Vec<String> = added.into_iter().map(|add| add.path).collect();
            lake.discard(table, &delta, &written).await;
            return Err(error);
        }
        lake.commit_files((table, &delta), rows, added, None).await
    }
}

fn layout(table: Table) -> impl Fn(ArrowError) -> Error {
    move |source| Error::Layout { table: table.name(), source }
}

async fn partitions_of(lake: &Lake, table: Table) -> Result<HashSet<Partition>, Error> {
    let files = live_files(table, &lake.load(table).await?).await?;
    Ok(files.into_iter().map(|file| file.partition).collect())
}

/// Writes the rows of a partition in the order of the table, range by range. A range of more than fit into memory is read in
/// ranges of its own.
async fn write_partition(
    table: Table,
    delta: &DeltaTable,
    (file, ranges): (&Mutex<File>, &Ranges),
    held: usize,
) -> Result<Vec<Add>, Error> {
    let layout = layout(table);
    let rows: usize = ranges.values().flatten().map(|block| block.rows).sum();
    let failed = |source| Error::Append { table: table.name(), rows, source: Box::new(source) };
    let columns = table.schema()?.fields().len();
    let writer = writer_for(table, delta, (rows, columns)).map_err(failed)?;
    let mut writer = writer.with_target_file_size(TARGET_BYTES);
    for blocks in ranges.values() {
        let parts = blocks.iter().map(|block| block.bytes).sum::<usize>().div_ceil(held.max(1));
        let read = blocks.iter().map(|block| spill::read(file, block));
        let bounds = if parts > 1 { bounds(table, read, parts).map_err(&layout)? } else { Vec::new() };
        for part in 0..=bounds.len() {
            let read = blocks.iter().map(|block| within(table, &spill::read(file, block)?, range_of(&bounds, part)));
            let rows = joined(&read.collect::<Result<Vec<_>, _>>().map_err(&layout)?).map_err(&layout)?;
            if rows.num_rows() > 0 {
                let sorted = sorted(table, &rows).map_err(&layout)?;
                drop(rows);
                writer.write(sorted).await.map_err(failed)?;
            }
        }
    }
    writer.flush().await.map_err(failed)
}

/// Values of the first sort column between which about as many rows lie each time.
fn bounds<R: Borrow<RecordBatch>>(
    table: Table,
    batches: impl Iterator<Item = Result<R, ArrowError>>,
    ranges: usize,
) -> Result<Vec<String>, ArrowError> {
    let mut sample = Vec::new();
    for rows in batches {
        let rows = rows?;
        let keys = first_key(table, rows.borrow())?;
        sample.extend((0..keys.len()).step_by(SAMPLED).map(|row| keys.value(row).to_owned()));
    }
    sample.sort_unstable();
    let mut bounds: Vec<String> =
        (1..ranges).filter_map(|range| sample.get(range * sample.len() / ranges).cloned()).collect();
    bounds.dedup();
    Ok(bounds)
}

fn first_key(table: Table, rows: &RecordBatch) -> Result<&StringArray, ArrowError> {
    let name = table.sort_columns().first().copied().unwrap_or_default();
    let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.ok_or_else(|| ArrowError::SchemaError(format!("the rows have no texts in the column {name}")))
}

/// Where a range begins and where it ends, which is not part of it.
type Range<'a> = (Option<&'a String>, Option<&'a String>);

fn range_of(bounds: &[String], range: usize) -> Range<'_> {
    (range.checked_sub(1).and_then(|before| bounds.get(before)), bounds.get(range))
}

/// The rows whose first key is in a range.
fn within(table: Table, rows: &RecordBatch, (from, to): Range<'_>) -> Result<RecordBatch, ArrowError> {
    if from.is_none() && to.is_none() {
        return Ok(rows.clone());
    }
    let keys = first_key(table, rows)?;
    let is_in = |key: &str| from.is_none_or(|from| from.as_str() <= key) && to.is_none_or(|to| key < to.as_str());
    let wanted: BooleanArray = (0..keys.len()).map(|row| Some(is_in(keys.value(row)))).collect();
    filter_record_batch(rows, &wanted)
}

fn joined(batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    concat_batches(&schema, batches)
}

/// Rows in the order of the table.
fn sorted(table: Table, all: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<_> = table.sort_columns().iter().filter_map(|name| all.column_by_name(name).cloned()).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    let mut order: Vec<u32> = (0..u32::try_from(all.num_rows()).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    drop(rows);
    take_record_batch(all, &UInt32Array::from(order))
}
