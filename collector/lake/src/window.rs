//! The rows of a window, as fast as its files allow.
//!
//! A comparison reads every row of two windows, and with them tens of millions of document ids. It needs no query engine for
//! that: which files belong to a window is said by their partitions, and its edges are instants. So the files are read
//! directly, and the texts in lists, which repeat most, are handed out as the dictionaries in which the files hold them: who
//! reads them looks at each text once for a dictionary and not once for a row.

use std::sync::Arc;

use deltalake::arrow::array::{
    BooleanArray, Datum, RecordBatch, Scalar, StringArray, TimestampMicrosecondArray, new_null_array,
};
use deltalake::arrow::compute::kernels::cmp::{eq, gt_eq, lt};
use deltalake::arrow::compute::{and, filter_record_batch};
use deltalake::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::datasource::listing::PartitionedFile;
use deltalake::datafusion::datasource::physical_plan::parquet::{
    DefaultParquetFileReaderFactory, ParquetFileReaderFactory,
};
use deltalake::datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use deltalake::parquet::arrow::arrow_reader::{
    ArrowPredicate, ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, RowFilter,
};
use deltalake::parquet::arrow::async_reader::AsyncFileReader;
use deltalake::parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::metadata::ParquetMetaData;
use deltalake::parquet::file::statistics::Statistics;
use deltalake::parquet::schema::types::SchemaDescriptor;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use tidemark_schema::{CorpusName, CorpusVersion, Timestamp};

use crate::error::Error;
use crate::files::{DataFile, Partition, live_files};
use crate::scan::{RowStream, Seen, first_copies, wanted_schema};
use crate::table::{BATCH_ROWS, Lake, Table};

/// Which rows of a window to read.
#[derive(Debug, Clone)]
pub struct WindowScan {
    /// From which table.
    pub table: Table,
    /// Only events of this corpus.
    pub corpus: Option<CorpusName>,
    /// Only events that declare this version of the corpus.
    pub corpus_version: Option<CorpusVersion>,
    /// Only events between two instants, the second excluded.
    pub between: Option<(Timestamp, Timestamp)>,
    /// These columns; `event_id`, by which copies are told apart, is among them.
    pub columns: Vec<&'static str>,
    /// Of the structs in lists all members but these.
    pub without: Vec<&'static str>,
    /// Columns of texts, or of maps of texts, that come as dictionaries as well.
    pub dictionaries: Vec<&'static str>,
    /// Members that may be left out where a file holds nothing in them.
    pub optional: Vec<&'static str>,
    /// At this version of the table.
    pub version: u64,
}

impl Lake {
    /// Reads the rows of a window, each event once, as [`Lake::scan`] does. Texts inside of lists of structs come as
    /// dictionaries, and those of columns that are asked for so.
    pub async fn scan_window(&self, scan: WindowScan) -> Result<RowStream, Error> {
        let table = scan.table;
        let mut delta = self.load(table).await?;
        delta.load_version(scan.version).await.map_err(|source| table.open_error(source))?;
        let files = live_files(table, &delta).await?.into_iter().filter(|file| scan.admits(&file.partition));
        let files: Vec<DataFile> = files.collect();
        // A copy of an event has the same time, hence lies in the same partition.
        let partitions: Vec<Vec<DataFile>> =
            files.chunk_by(|a, b| a.partition == b.partition).map(<[DataFile]>::to_vec).collect();
        let source = Arc::new(Source {
            wanted: wanted_schema(table, &scan.columns)?,
            scan,
            reader: DefaultParquetFileReaderFactory::new(delta.log_store().object_store(None)),
        });
        let rows = futures::stream::iter(partitions).map(move |files| {
            let (source, mut seen) = (source.clone(), Seen::default());
            let opened = futures::stream::iter(files).then({
                let source = source.clone();
                move |file| source.clone().open(file)
            });
            opened.try_flatten().and_then(move |batch| std::future::ready(source.finish(&batch, &mut seen)))
        });
        Ok(Box::pin(rows.flatten()))
    }
}

impl WindowScan {
    fn admits(&self, partition: &Partition) -> bool {
        let day = |(from, to): (Timestamp, Timestamp)| (from.days()..=to.days()).contains(&partition.day);
        (self.corpus.is_none() || self.corpus == partition.corpus) && self.between.is_none_or(day)
    }

    /// The instants to look for in a partition: none where the whole day lies between them.
    fn edges(&self, partition: &Partition) -> Option<(Timestamp, Timestamp)> {
        self.between.filter(|(from, to)| {
            let from_the_start = from.days() < partition.day || (from.days() == partition.day && from.is_midnight());
            !(from_the_start && to.days() > partition.day)
        })
    }

    /// What decides which rows are read, before their other columns are looked at.
    fn row_filter(&self, partition: &Partition, schema: &SchemaDescriptor) -> RowFilter {
        let mut predicates: Vec<Box<dyn ArrowPredicate>> = Vec::new();
        if let Some((from, to)) = self.edges(partition) {
            let (from, to) = (instant(from), instant(to));
            predicates
                .push(predicate(schema, "occurred_at", move |times| and(&gt_eq(times, &from)?, &lt(times, &to)?)));
        }
        if let Some(version) = &self.corpus_version {
            let version = StringArray::new_scalar(version.as_str());
            predicates.push(predicate(schema, "corpus_version", move |versions| eq(versions, &version)));
        }
        RowFilter::new(predicates)
    }
}

fn instant(time: Timestamp) -> impl Datum + Send + 'static {
    let array = TimestampMicrosecondArray::from_value(time.micros(), 1).with_timezone("UTC");
    Scalar::new(array)
}

fn predicate(
    schema: &SchemaDescriptor,
    column: &'static str,
    mut holds: impl FnMut(&dyn Datum) -> Result<BooleanArray, ArrowError> + Send + 'static,
) -> Box<dyn ArrowPredicate> {
    let mask = ProjectionMask::columns(schema, [column]);
    Box::new(ArrowPredicateFn::new(mask, move |batch| match batch.column_by_name(column) {
        Some(values) => holds(values),
        // A table that an earlier version of this program made may lack a column; its rows have null there.
        None => Ok(BooleanArray::from(vec![false; batch.num_rows()])),
    }))
}

/// What is read of each file, and how.
struct Source {
    scan: WindowScan,
    wanted: SchemaRef,
    reader: DefaultParquetFileReaderFactory,
}

impl Source {
    async fn open(self: Arc<Self>, file: DataFile) -> Result<RowStream, Error> {
        let table = self.scan.table;
        let failed = move |source: ParquetError| table.read_error(source.into());
        let mut stored = PartitionedFile::new(String::new(), file.bytes);
        stored.object_meta.location = Path::parse(&file.path)
            .map_err(|error| Error::Objects { what: file.path.clone(), source: error.into() })?;
        let reader = self.reader.create_reader(0, stored, None, &ExecutionPlanMetricsSet::new());
        let mut reader: Box<dyn AsyncFileReader> = reader.map_err(|source| table.read_error(source))?;
        let stored = ArrowReaderMetadata::load_async(&mut reader, ArrowReaderOptions::new()).await.map_err(failed)?;
        let options =
            ArrowReaderOptions::new().with_schema(with_dictionaries(stored.schema(), &self.scan.dictionaries));
        let metadata = ArrowReaderMetadata::try_new(stored.metadata().clone(), options).map_err(failed)?;
        let schema = metadata.metadata().file_metadata().schema_descr_ptr();
        let projection = self.projection(metadata.metadata());
        let rows = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
            .with_batch_size(BATCH_ROWS)
            .with_projection(projection)
            .with_row_filter(self.scan.row_filter(&file.partition, &schema))
            .build()
            .map_err(failed)?;
        Ok(Box::pin(rows.map_err(failed)))
    }

    /// The columns that are wanted, but for those in which a file holds nothing.
    fn projection(&self, file: &ParquetMetaData) -> ProjectionMask {
        let schema = file.file_metadata().schema_descr();
        let is_empty = |at: usize| {
            file.row_groups().iter().all(|group| {
                let column = group.column(at);
                let nulls = column.statistics().and_then(Statistics::null_count_opt);
                nulls.is_some_and(|nulls| i64::try_from(nulls) == Ok(column.num_values()))
            })
        };
        let wanted = schema.columns().iter().enumerate().filter(|(at, column)| match column.path().parts() {
            [name] => self.scan.columns.contains(&name.as_str()) && !is_empty(*at),
            // A list of which nothing is read would have no lengths.
            [name, .., leaf] if self.scan.columns.contains(&name.as_str()) => {
                let is_left_out = self.scan.optional.contains(&leaf.as_str()) && is_empty(*at);
                !is_left_out && !self.scan.without.contains(&leaf.as_str())
            }
            _ => false,
        });
        ProjectionMask::leaves(schema, wanted.map(|(at, _)| at))
    }

    /// The first copies of events, with the columns that were asked for in their order.
    fn finish(&self, batch: &RecordBatch, seen: &mut Seen) -> Result<RecordBatch, Error> {
        let layout = |source| Error::Layout { table: self.scan.table.name(), source };
        let first = first_copies(batch, seen)?;
        let batch = if first.has_false() { filter_record_batch(batch, &first).map_err(layout)? } else { batch.clone() };
        let (fields, columns): (Vec<FieldRef>, Vec<_>) = self
            .wanted
            .fields()
            .iter()
            .map(|field| match batch.schema_ref().column_with_name(field.name()) {
                Some((at, stored)) => (FieldRef::new(stored.clone()), batch.column(at).clone()),
                None => (field.clone(), new_null_array(field.data_type(), batch.num_rows())),
            })
            .unzip();
        RecordBatch::try_new(SchemaRef::new(Schema::new(fields)), columns).map_err(layout)
    }
}

/// The schema of a file with the texts of some columns, and those in lists of structs, as dictionaries.
fn with_dictionaries(schema: &Schema, columns: &[&str]) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::List(element) => match element.data_type() {
            DataType::Struct(_) => typed(field, DataType::List(of_dictionaries(element))),
            _ => field.clone(),
        },
        DataType::Map(entries, sorted) if columns.contains(&field.name().as_str()) => {
            typed(field, DataType::Map(of_dictionaries(entries), *sorted))
        }
        DataType::Utf8 if columns.contains(&field.name().as_str()) => as_dictionary(field),
        _ => field.clone(),
    });
    SchemaRef::new(Schema::new_with_metadata(fields.collect::<Fields>(), schema.metadata().clone()))
}

/// A struct with its texts as dictionaries.
fn of_dictionaries(structs: &FieldRef) -> FieldRef {
    match structs.data_type() {
        DataType::Struct(members) => typed(structs, DataType::Struct(members.iter().map(as_dictionary).collect())),
        _ => structs.clone(),
    }
}

fn as_dictionary(field: &FieldRef) -> FieldRef {
    match field.data_type() {
        DataType::Utf8 => typed(field, DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
        _ => field.clone(),
    }
}

fn typed(field: &Field, data_type: DataType) -> FieldRef {
    FieldRef::new(field.clone().with_data_type(data_type))
}
