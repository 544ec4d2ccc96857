use std::collections::HashSet;
use std::pin::Pin;

use deltalake::arrow::array::{Array, BooleanArray, RecordBatch, cast::AsArray, new_null_array};
use deltalake::arrow::compute::{cast, filter_record_batch};
use deltalake::arrow::datatypes::{Schema, SchemaRef};
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::logical_expr::{Expr, col, lit};
use deltalake::datafusion::scalar::ScalarValue;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use tidemark_schema::columns::EVENT_DATE;
use tidemark_schema::{CorpusName, CorpusVersion, EventId, Fingerprint, Label, OperationId, Timestamp, TraceId};

use crate::error::Error;
use crate::table::{Lake, Table};

/// What to read.
#[derive(Debug, Clone)]
pub struct Scan {
    /// From which table.
    pub table: Table,
    /// Only rows for which all of these hold.
    pub filters: Vec<Filter>,
    /// Only these columns; none means all.
    pub columns: Vec<&'static str>,
    /// At this version of the table, or at the newest.
    pub version: Option<u64>,
}

/// A condition on rows. Values become literals of the plan, never text of a query.
#[derive(Debug, Clone)]
pub enum Filter {
    /// Events of this corpus.
    Corpus(CorpusName),
    /// Events of any of these corpora.
    Corpora(Vec<CorpusName>),
    /// Events that declare this version of the corpus.
    CorpusVersion(CorpusVersion),
    /// Events between two instants, the second excluded.
    Between(Timestamp, Timestamp),
    /// Events of any of these days since 1970.
    OnDays(Vec<i32>),
    /// Events that were received at or after an instant.
    ReceivedSince(Timestamp),
    /// Events of one query, under any of these fingerprints.
    Fingerprints(Vec<Fingerprint>),
    /// Events that carry their query's fingerprint under two keys.
    UnderTwoKeys,
    /// Events of one principal.
    Principal(Label),
    /// Events of one trace.
    Trace(TraceId),
    /// Events of one operation.
    Operation(OperationId),
}

/// Batches of rows, each event once.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<RecordBatch, Error>> + Send>>;

impl Filter {
    fn expressions(&self) -> Vec<Expr> {
        let time = |time: Timestamp| lit(ScalarValue::TimestampMicrosecond(Some(time.micros()), Some("UTC".into())));
        let day = |day: i32| lit(ScalarValue::Date32(Some(day)));
        match self {
            Self::Corpus(corpus) => vec![col("corpus").eq(lit(corpus.as_str()))],
            Self::Corpora(corpora) => {
                vec![col("corpus").in_list(corpora.iter().map(|corpus| lit(corpus.as_str())).collect(), false)]
            }
            Self::CorpusVersion(version) => vec![col("corpus_version").eq(lit(version.as_str()))],
            Self::Between(from, to) => vec![
                col("occurred_at").gt_eq(time(*from)),
                col("occurred_at").lt(time(*to)),
                // The same window in partitions, so that the others are never listed.
                col(EVENT_DATE).gt_eq(day(from.days())),
                col(EVENT_DATE).lt_eq(day(to.days())),
            ],
            Self::OnDays(days) => vec![col(EVENT_DATE).in_list(days.iter().map(|on| day(*on)).collect(), false)],
            Self::ReceivedSince(since) => vec![col("received_at").gt_eq(time(*since))],
            Self::Fingerprints(fingerprints) => {
                let list = fingerprints.iter().map(|fingerprint| lit(fingerprint.as_str())).collect();
                vec![col("query_fingerprint").in_list(list, false)]
            }
            Self::UnderTwoKeys => vec![col("query_fingerprint_previous").is_not_null()],
            Self::Principal(principal) => vec![col("principal").eq(lit(principal.as_str()))],
            Self::Trace(trace) => vec![col("trace_id").eq(lit(trace.as_str()))],
            Self::Operation(operation) => vec![col("operation_id").eq(lit(operation.as_str()))],
        }
    }
}

impl Lake {
    /// Reads rows, each event once however often it was stored: an event that was sent again while its first copy was
    /// still on the way into the table may lie there twice until the partition is compacted.
    pub async fn scan(&self, scan: Scan) -> Result<RowStream, Error> {
        let wanted = wanted_schema(scan.table, &scan.columns)?;
        let with_id = !scan.columns.is_empty() && !scan.columns.contains(&"event_id");
        let mut seen = Seen::default();
        let table = scan.table;
        let stream = self.execute(&scan, with_id).await?;
        let rows = stream.map_err(move |source| table.read_error(source)).map(move |batch| {
            let batch = batch?;
            let first = first_copies(&batch, &mut seen)?;
            let batch =
                filter_record_batch(&batch, &first).map_err(|source| Error::Layout { table: table.name(), source })?;
            conform(&batch, &wanted).map_err(|source| Error::Layout { table: table.name(), source })
        });
        Ok(Box::pin(rows))
    }

    /// Which of some ids a scan finds. Memory is that of the ids asked for, whatever the table holds.
    pub(crate) async fn found_ids(&self, scan: &Scan, wanted: &HashSet<EventId>) -> Result<HashSet<EventId>, Error> {
        let table = scan.table;
        let mut found = HashSet::new();
        let mut rows = self.execute(scan, false).await?;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|source| table.read_error(source))?;
            found.extend(event_id_column(&batch)?.iter().flatten().map(event_id).filter(|id| wanted.contains(id)));
        }
        Ok(found)
    }

    async fn execute(
        &self,
        scan: &Scan,
        with_id: bool,
    ) -> Result<BoxStream<'static, Result<RecordBatch, DataFusionError>>, Error> {
        let open = |source| scan.table.open_error(source);
        let read = |source| scan.table.read_error(source);
        let mut delta = self.load(scan.table).await?;
        if let Some(version) = scan.version {
            delta.load_version(version).await.map_err(open)?;
        }
        let provider = scan.table.provider(&delta, &self.session).await?;
        let mut frame = self.session.read_table(provider).map_err(read)?;
        let under_one_key = !frame.schema().has_column_with_unqualified_name("query_fingerprint_previous");
        if under_one_key && scan.filters.iter().any(|filter| matches!(filter, Filter::UnderTwoKeys)) {
            // A table that an earlier version of this program made has no such column, hence no such rows.
            return Ok(futures::stream::empty().boxed());
        }
        for expression in scan.filters.iter().flat_map(Filter::expressions) {
            frame = frame.filter(expression).map_err(read)?;
        }
        if !scan.columns.is_empty() {
            // A table that an earlier version of this program made may lack a column; its rows have null there.
            let present = frame.schema().clone();
            let columns = scan.columns.iter().copied().chain(with_id.then_some("event_id"));
            let columns: Vec<_> = columns.filter(|name| present.has_column_with_unqualified_name(name)).collect();
            frame = frame.select_columns(&columns).map_err(read)?;
        }
        Ok(frame.execute_stream().await.map_err(read)?.boxed())
    }
}

/// The columns that were asked for, with the types that the table declares: the engine may hand out views or
/// dictionaries in their place.
pub(crate) fn wanted_schema(table: Table, columns: &[&'static str]) -> Result<SchemaRef, Error> {
    let schema = table.schema()?;
    if columns.is_empty() {
        return Ok(schema);
    }
    let fields = columns.iter().filter_map(|name| schema.field_with_name(name).ok().cloned());
    Ok(SchemaRef::new(Schema::new(fields.collect::<Vec<_>>())))
}

pub(crate) fn conform(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = wanted.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    RecordBatch::try_new(wanted.clone(), columns.collect::<Result<_, _>>()?)
}

fn event_id(bytes: &[u8]) -> EventId {
    EventId::from_bytes(bytes.try_into().unwrap_or_default())
}

fn event_id_column(batch: &RecordBatch) -> Result<deltalake::arrow::array::BinaryArray, Error> {
    let layout = |source| Error::Layout { table: "events", source };
    let index = batch.schema_ref().index_of("event_id").map_err(layout)?;
    let column = cast(batch.column(index), &deltalake::arrow::datatypes::DataType::Binary).map_err(layout)?;
    Ok(column.as_binary::<i32>().clone())
}

/// The ids that were seen.
pub(crate) type Seen = HashSet<[u8; 16], foldhash::fast::RandomState>;

pub(crate) fn first_copies(batch: &RecordBatch, seen: &mut Seen) -> Result<BooleanArray, Error> {
    let ids = event_id_column(batch)?;
    Ok((0..ids.len()).map(|row| Some(seen.insert(ids.value(row).try_into().unwrap_or_default()))).collect())
}
