use std::sync::Arc;

use arrow_array::builder::{StringDictionaryBuilder, StringViewBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, NullArray, RecordBatch, StringArray,
    StructArray, Time32SecondArray, TimestampMicrosecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{DataType, Field};
use tidemark_schema::columns::{outputs, retrievals};
use tidemark_schema::{FingerprintKey, Ingest, Stored};

use super::*;
use crate::decode::{Context, Event, Kind, Limits, decode};
use crate::policy::Policy;

const LIMITS: RowLimits = RowLimits { row: 10_000, table: 1 << 20 };

/// The rows of a table of one batch, up to its first error.
fn read(batch: &RecordBatch, kind: Kind, limits: RowLimits) -> Result<Vec<Result<Vec<u8>, Rejection>>, TableError> {
    let batches = std::iter::once(Ok::<_, TableError>(batch.clone()));
    Table::of(batch.schema(), batches).rows(kind, limits)?.collect()
}

fn rows(batch: &RecordBatch) -> Vec<Result<Vec<u8>, Rejection>> {
    read(batch, Kind::Retrieval, LIMITS).unwrap()
}

/// What became of the only row of a column.
fn written(name: &str, column: ArrayRef) -> String {
    let batch = RecordBatch::try_from_iter_with_nullable([(name, column, true)]).unwrap();
    match rows(&batch).remove(0) {
        Ok(bytes) => String::from_utf8(bytes).unwrap(),
        Err(Rejection { field, reason, .. }) => format!("{} {reason}", field.unwrap_or_default()),
    }
}

fn event(bytes: &[u8], kind: Kind) -> Result<Event, Rejection> {
    let keys = FingerprintKey::new([7; 32]).into();
    let policy = Policy::verbatim();
    decode(bytes, kind, &Context { now: None, keys: &keys, policy: &policy, limits: Limits::default() })
}

fn stored<E>(event: E) -> Stored<E> {
    Stored { received_at: "2026-11-18T10:00:00Z".parse().unwrap(), ingest: Ingest::Live, event }
}

#[test]
fn what_the_tables_hold_is_read_back_as_the_same_events() {
    let full = br#"{"event_id":"e1","occurred_at":"2026-11-18T09:30:00.123456Z","operation_id":"op","attempt":2,"trace_id":"t",
        "span_id":"s","principal":"p","service":"svc","environment":"prod","segment":{"locale":"de"},"corpus":"wiki",
        "corpus_version":"v1","retriever":{"name":"faq","kind":"dense","version":"3","score_kind":"cosine","index":"i",
        "embedder":"e5","params":{"ef":128,"mode":"x"}},"query":{"text":"q","fingerprint":"f","previous_fingerprint":"g",
        "embedding":[0.1,-2.5]},"requested":{"top_k":5,"max_context_tokens":100,"max_age_s":60,"scope":["a"],"filter":"x"},
        "results":[{"doc_id":"d","score":0.30000000000000004,"content_hash":"b3:1","tokens":3,
        "updated_at":"2026-11-01T00:00:00Z","scope":"a"},{"doc_id":"e","score":null}],"results_total":9,"model":"m",
        "prompt_version":"p1","policy_version":"p:1","latency_ms":1.5,"cost_usd":0.25,"attributes":{"a":[1,{"b":null}]},
        "marks":["bound.results"]}"#;
    let least = br#"{"occurred_at":"2026-11-18T09:30:00Z","corpus":"wiki","query":{"fingerprint":"f"},"results":[]}"#;
    let events = [&full[..], least].map(|bytes| match event(bytes, Kind::Retrieval) {
        Ok(Event::Retrieval(event)) => stored(event),
        other => panic!("{other:?}"),
    });
    let batch = retrievals::encode(&events).unwrap();
    for (row, written) in rows(&batch).into_iter().zip(events) {
        assert_eq!(event(&row.unwrap(), Kind::Retrieval), Ok(Event::Retrieval(written.event)));
    }
    let output =
        br#"{"occurred_at":"2026-11-18T09:30:00Z","trace_id":"t","output":{"text":"four","embedding":[1],"tokens":2},
        "citations":["d"],"refusal":true,"scores":{"faithful":0.5},"feedback":-1,"model":"m"}"#;
    let least = br#"{"occurred_at":"2026-11-18T09:30:00Z","trace_id":"t","scores":{"faithful":1}}"#;
    let events = [&output[..], least].map(|bytes| match event(bytes, Kind::Output) {
        Ok(Event::Output(event)) => stored(event),
        other => panic!("{other:?}"),
    });
    let batch = outputs::encode(&events).unwrap();
    for (row, written) in read(&batch, Kind::Output, LIMITS).unwrap().into_iter().zip(events) {
        let row = row.unwrap();
        assert_eq!(Kind::of(&row), Some(Kind::Output));
        assert_eq!(event(&row, Kind::Output), Ok(Event::Output(written.event)));
    }
}

/// Rows of events in the shape of their JSON: a struct for the query, a list of structs for the results.
fn nested(scores: Vec<Option<f64>>) -> RecordBatch {
    let documents = (0..scores.len()).map(|i| format!("d{i}"));
    let results = StructArray::from(vec![
        (
            Arc::new(Field::new("doc_id", DataType::Utf8, true)),
            Arc::new(documents.map(Some).collect::<StringArray>()) as ArrayRef,
        ),
        (Arc::new(Field::new("score", DataType::Float64, true)), Arc::new(Float64Array::from(scores)) as ArrayRef),
    ]);
    let element = Arc::new(Field::new("item", results.data_type().clone(), true));
    let half = results.len() / 2;
    let lists =
        ListArray::new(element, OffsetBuffer::from_lengths([half, results.len() - half]), Arc::new(results), None);
    let query = StructArray::from(vec![(
        Arc::new(Field::new("text", DataType::Utf8, true)),
        Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef,
    )]);
    let time = 1_763_458_200_000_000;
    RecordBatch::try_from_iter([
        ("occurred_at", Arc::new(TimestampMicrosecondArray::from(vec![time, time])) as ArrayRef),
        ("corpus", Arc::new(StringArray::from(vec!["wiki", "wiki"])) as ArrayRef),
        ("query", Arc::new(query) as ArrayRef),
        ("results", Arc::new(lists) as ArrayRef),
    ])
    .unwrap()
}

#[test]
fn rows_may_have_the_shape_of_json_and_a_time_without_a_zone_is_utc() {
    let batch = nested(vec![Some(0.5), None, Some(0.25), Some(0.125)]);
    let events: Vec<_> = rows(&batch).into_iter().map(|row| event(&row.unwrap(), Kind::Retrieval)).collect();
    let Ok(Event::Retrieval(first)) = &events[0] else { panic!("{events:?}") };
    assert_eq!(first.occurred_at.to_string(), "2025-11-18T09:30:00Z");
    assert_eq!((first.query.text.as_deref(), first.results.len(), first.results[1].score), (Some("a"), 2, None));
}

#[test]
fn a_number_that_json_has_not_refuses_its_row_and_no_other() {
    let batch = nested(vec![Some(0.5), Some(0.5), Some(0.25), Some(f64::NAN)]);
    let read = rows(&batch);
    assert!(read[0].is_ok());
    assert_eq!(read[1].as_ref().unwrap_err().field.as_deref(), Some("results[1].score"));
    // A part of a batch: its lists begin in the middle of their elements.
    let read = rows(&batch.slice(1, 1));
    assert_eq!(read[0].as_ref().unwrap_err().field.as_deref(), Some("results[1].score"));
}

#[test]
fn what_would_become_large_is_refused_row_by_row_and_nothing_is_sized_by_what_it_announces() {
    let too_long = " has more than 10000 bytes, the limit";
    let text = "x".repeat(10_000);
    let mut dictionary = StringDictionaryBuilder::<Int32Type>::new();
    dictionary.append(&text).unwrap();
    assert_eq!(written("corpus", Arc::new(dictionary.finish())), too_long);
    let mut views = StringViewBuilder::new();
    views.append_value(&text);
    assert_eq!(written("corpus", Arc::new(views.finish())), too_long);
    // Nulls take no bytes, so a list may announce any number of them.
    let nulls: ArrayRef = Arc::new(NullArray::new(1 << 62));
    let element = Arc::new(Field::new("item", DataType::Null, true));
    let offsets = OffsetBuffer::new(vec![0_i64, 1 << 61].into());
    let list = arrow_array::LargeListArray::new(element, offsets, nulls.clone(), None);
    assert_eq!(written("results", Arc::new(list)), too_long);
    // Structs without a field take none either.
    let element = Arc::new(Field::new("item", DataType::Struct(arrow_schema::Fields::empty()), true));
    let empty = Arc::new(StructArray::new_empty_fields(i32::MAX as usize, None));
    let list = arrow_array::FixedSizeListArray::new(element, i32::MAX, empty, None);
    assert_eq!(written("results", Arc::new(list)), too_long);
    // Nor do the values of a dictionary that no key names.
    let keys = arrow_array::Int32Array::from(vec![None]);
    assert_eq!(written("corpus", Arc::new(arrow_array::DictionaryArray::new(keys, nulls))), "{}");
}

#[test]
fn a_row_that_is_too_large_does_not_touch_the_others() {
    let texts = StringArray::from(vec!["a".to_owned(), "x".repeat(10_000), "b".to_owned()]);
    let batch = RecordBatch::try_from_iter([("corpus", Arc::new(texts) as ArrayRef)]).unwrap();
    let read = rows(&batch);
    assert!(read[0].is_ok() && read[1].is_err() && read[2].is_ok(), "{read:?}");
}

#[test]
fn the_rows_together_are_bounded_and_so_is_what_is_looked_at_for_them() {
    // The name of a column is written for each row, and stands in the stream once.
    let named: ArrayRef = Arc::new(BooleanArray::from(vec![true; 200]));
    let fields = arrow_schema::Fields::from(vec![Field::new("x".repeat(9_000), DataType::Boolean, true)]);
    let column: ArrayRef = Arc::new(StructArray::new(fields, vec![named], None));
    let batch = RecordBatch::try_from_iter_with_nullable([("attributes", column, true)]).unwrap();
    let error = read(&batch, Kind::Retrieval, LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "the first 117 rows take more than 1048576 bytes when they are written out");
    // Columns of nulls write nothing and take time all the same.
    let nulls: Vec<_> = (0..9_000).map(|i| Field::new(format!("n{i}"), DataType::Null, true)).collect();
    let columns = nulls.iter().map(|_| Arc::new(NullArray::new(200)) as ArrayRef).collect();
    let column: ArrayRef = Arc::new(StructArray::new(nulls.into(), columns, None));
    let batch = RecordBatch::try_from_iter_with_nullable([("attributes", column, true)]).unwrap();
    assert!(matches!(read(&batch, Kind::Retrieval, LIMITS), Err(TableError::TooLarge { rows: 117, .. })));
}

#[test]
fn a_column_of_a_foreign_type_is_named() {
    let batch =
        RecordBatch::try_from_iter([("corpus", Arc::new(Time32SecondArray::from(vec![1])) as ArrayRef)]).unwrap();
    let error = read(&batch, Kind::Retrieval, LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "the column corpus is of the type Time32(s), which no field of an event has");
}

#[test]
fn columns_that_no_event_has_are_named_once_and_the_index_of_pandas_is_passed_over() {
    let numbers = || Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef;
    let results = StructArray::from(vec![(Arc::new(Field::new("colour", DataType::Int64, true)), numbers())]);
    let element = Arc::new(Field::new("item", results.data_type().clone(), true));
    let lists: ArrayRef =
        Arc::new(ListArray::new(element, OffsetBuffer::from_lengths([1, 1]), Arc::new(results), None));
    let columns = [("corpsu", numbers()), ("trace_id", numbers()), ("query_txt", numbers()), ("results", lists)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    assert_eq!(
        read(&batch, Kind::Retrieval, LIMITS).unwrap_err().to_string(),
        "the table has columns that are no fields of this event: corpsu (did you mean corpus?), query_txt, \
         results[].colour; data of your own goes into `attributes`"
    );
    let batch = RecordBatch::try_from_iter([("__index_level_0__", numbers()), ("attempt", numbers())]).unwrap();
    let batches = std::iter::once(Ok::<_, TableError>(batch.clone()));
    let mut rows = Table::of(batch.schema(), batches).rows(Kind::Output, LIMITS).unwrap();
    assert_eq!(rows.ignored(), ["__index_level_0__"]);
    assert_eq!(rows.next().unwrap().unwrap().unwrap(), br#"{"attempt":1}"#);
}

#[test]
fn the_columns_say_which_kind_of_event_they_hold() {
    let of = |schema: SchemaRef| Table::of(schema, std::iter::empty::<Result<_, TableError>>()).kind();
    assert_eq!(of(retrievals::schema().unwrap()), Some(Kind::Retrieval));
    assert_eq!(of(outputs::schema().unwrap()), Some(Kind::Output));
}

#[test]
fn numbers_are_written_as_the_field_they_stand_for_has_them() {
    let column = |numbers: Vec<f64>| Arc::new(Float64Array::from(numbers)) as ArrayRef;
    assert_eq!(written("attempt", column(vec![118.0])), r#"{"attempt":118}"#);
    assert_eq!(written("attempt", column(vec![-0.0])), r#"{"attempt":-0.0}"#);
    assert_eq!(written("attempt", column(vec![1e300])), r#"{"attempt":1e+300}"#);
    assert_eq!(written("attempt", column(vec![0.1])), r#"{"attempt":0.1}"#);
    assert_eq!(
        written("attempt", column(vec![f64::NAN])),
        "attempt is NaN or infinite; leave it null when the value is not known"
    );
    assert_eq!(written("attempt", Arc::new(arrow_array::Float32Array::from(vec![0.1]))), r#"{"attempt":0.1}"#);
    let decimal = arrow_array::Decimal128Array::from(vec![11_800]).with_precision_and_scale(5, 2).unwrap();
    assert_eq!(written("attempt", Arc::new(decimal)), r#"{"attempt":118}"#);
    // 0x7e00 is a NaN of 16 bits.
    let halves = arrow_buffer::Buffer::from(vec![0x00_u8, 0x7e]);
    let halves = arrow_array::Float16Array::new(halves.into(), None);
    assert!(written("query_embedding", Arc::new(halves)).starts_with("query.embedding is NaN"));
}

fn stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

/// The batches of a stream, or why it is refused.
fn batches_of(stream: &[u8]) -> Result<Vec<RecordBatch>, TableError> {
    ipc_stream(stream, 0)?.batches.collect()
}

#[test]
fn a_stream_is_recognised_read_and_named_when_it_ends_early() {
    let batch = nested(vec![Some(0.5), None]);
    let bytes = stream(&batch);
    assert!(is_ipc_stream(&bytes) && !is_ipc_file(&bytes) && !is_parquet(&bytes));
    assert_eq!(batches_of(&bytes).unwrap(), [batch]);
}

#[test]
fn a_stream_that_is_cut_off_or_announces_more_than_there_is_is_unreadable() {
    let bytes = stream(&nested(vec![Some(0.5), None]));
    for end in [5, 40, bytes.len() - 100] {
        assert!(matches!(batches_of(&bytes[..end]), Err(TableError::Unreadable(_))), "{end}");
    }
    // The length of the first message: 2 GiB must not be taken before they have come.
    let long = [&bytes[..4], &i32::MAX.to_le_bytes(), &bytes[8..]].concat();
    assert!(matches!(batches_of(&long), Err(TableError::Unreadable(_))));
}

#[test]
fn a_file_is_read_by_its_footer_which_may_not_announce_more_than_there_is() {
    let batch = nested(vec![Some(0.5), None]);
    let mut writer = FileWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    assert!(is_ipc_file(&bytes) && !is_ipc_stream(&bytes));
    let read = |bytes: &[u8]| {
        ipc_file(std::io::Cursor::new(bytes), 0).and_then(|table| table.batches.collect::<Result<Vec<_>, _>>())
    };
    assert_eq!(read(&bytes).unwrap(), [batch]);
    let reason = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    let (footer, length) = (bytes.len() - 10, bytes.len() - 10..bytes.len() - 6);
    let announced = |length: i32| [&bytes[..footer], &length.to_le_bytes(), &bytes[footer + 4..]].concat();
    assert_eq!(reason(&announced(i32::MAX)), "the table cannot be read: its footer is longer than the file");
    let start = footer - u32::from_le_bytes(bytes[length].try_into().unwrap()) as usize;
    let block = arrow_ipc::root_as_footer(&bytes[start..footer]).unwrap().recordBatches().unwrap().get(0).0;
    let place = start + bytes[start..].windows(24).position(|part| part == block).unwrap();
    let long = [&bytes[..place + 16], &(1_i64 << 50).to_le_bytes(), &bytes[place + 24..]].concat();
    let expected = format!("its blocks say that they are longer than the {} bytes of the file", bytes.len());
    assert_eq!(reason(&long), format!("the table cannot be read: {expected}"));
    let short = [&bytes[..place + 16], &8_i64.to_le_bytes(), &bytes[place + 24..]].concat();
    assert_eq!(reason(&short), "the table cannot be read: a message has a longer body than its block");
}

#[test]
fn a_batch_without_bytes_is_a_batch_also_at_the_end() {
    let nulls = Arc::new(NullArray::new(3)) as ArrayRef;
    let batch = RecordBatch::try_from_iter_with_nullable([("segment", nulls, true)]).unwrap();
    let read = |bytes: &[u8]| batches_of(bytes).unwrap().iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
    let bytes = stream(&batch);
    assert_eq!(read(&bytes), [3]);
    // The same without the eight bytes that end a stream, and a stream that has a schema alone.
    assert_eq!(read(&bytes[..bytes.len() - 8]), [3]);
    let empty = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap().into_inner().unwrap();
    assert_eq!(read(&empty[..empty.len() - 8]), [0; 0]);
}

#[test]
fn buffers_that_lie_upon_each_other_are_refused() {
    let numbers = |first: i64| Arc::new((first..first + 40).map(Some).collect::<Int64Array>()) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("attempt", numbers(1)), ("results_total", numbers(50))]).unwrap();
    let mut bytes = stream(&batch);
    // The second buffer of values, 40 numbers of 8 bytes: its offset is the length of the first, its length comes last.
    let length = 320_i64.to_le_bytes();
    let place = bytes.windows(8).rposition(|part| part == length).unwrap();
    assert_eq!(bytes[place - 8..place], length);
    bytes[place..place + 8].copy_from_slice(&100_000_i64.to_le_bytes());
    let error = batches_of(&bytes).unwrap_err();
    let expected = "the table cannot be read: its buffers say that they are longer than the body in which they lie";
    assert_eq!(error.to_string(), expected);
}

const ROWS: usize = 2_000;

/// Columns of each layout.
fn layouts() -> Vec<ArrayRef> {
    let numbers = || Arc::new((0..ROWS).map(|row| i64::try_from(row).ok()).collect::<Int64Array>()) as ArrayRef;
    let texts = || Arc::new((0..ROWS).map(|row| Some(row.to_string())).collect::<StringArray>()) as ArrayRef;
    let element = Arc::new(Field::new("item", DataType::Int64, true));
    let single = OffsetBuffer::from_lengths([1; ROWS]);
    let key = Arc::new(Field::new("key", DataType::Utf8, false));
    let pairs = StructArray::from(vec![(key, texts()), (element.clone(), numbers())]);
    let entries = Arc::new(Field::new("entries", pairs.data_type().clone(), false));
    let places = arrow_array::Int32Array::from(vec![0; ROWS]);
    vec![
        Arc::new(NullArray::new(ROWS)),
        numbers(),
        texts(),
        Arc::new(pairs.clone()),
        Arc::new(ListArray::new(element.clone(), single.clone(), numbers(), None)),
        Arc::new(arrow_array::FixedSizeListArray::new(element, 1, numbers(), None)),
        Arc::new(arrow_array::MapArray::new(entries, single, pairs, None, false)),
        Arc::new(arrow_array::DictionaryArray::new(places, texts())),
    ]
}

/// The rows that are read of a batch of columns of each layout, one with a text of so many bytes in each row, and one more.
fn show(bytes: usize, column: impl Fn(ArrayRef) -> ArrayRef) -> Result<usize, String> {
    let mut views = StringViewBuilder::new();
    let text = views.append_block("x".repeat(bytes).into_bytes().into());
    (0..ROWS).for_each(|_| views.try_append_view(text, 0, u32::try_from(bytes).unwrap()).unwrap());
    let columns = layouts().into_iter().chain([column(Arc::new(views.finish())), layouts().remove(1)]);
    let columns = columns.enumerate().map(|(place, column)| (format!("c{place}"), column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    batches_of(&stream(&batch))
        .map(|batches| batches.iter().map(RecordBatch::num_rows).sum())
        .map_err(|error| error.to_string())
}

#[test]
fn views_that_show_one_text_over_and_over_are_refused_wherever_they_stand() {
    let refused = "the table cannot be read: its views show more than 64 times what they lie in; write plain texts";
    let check = |column: &dyn Fn(ArrayRef) -> ArrayRef| {
        assert_eq!(show(1_000, column), Ok(ROWS));
        assert_eq!(show(50_000, column), Err(refused.to_owned()));
    };
    check(&|views| views);
    check(&|views| Arc::new(arrow_array::DictionaryArray::new(arrow_array::Int32Array::from(vec![0; ROWS]), views)));
    check(&|views| {
        let field = Arc::new(Field::new("text", DataType::Utf8View, true));
        let texts = StructArray::from(vec![(field, views)]);
        let element = Arc::new(Field::new("item", texts.data_type().clone(), true));
        Arc::new(ListArray::new(element, OffsetBuffer::from_lengths([1; ROWS]), Arc::new(texts), None))
    });
}

#[test]
fn a_schema_is_bounded_in_columns_and_names() {
    let reason = |columns: Vec<(String, ArrayRef)>| {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
        ipc_stream(&*stream(&batch.unwrap()), 0).err().unwrap().to_string()
    };
    let null = || Arc::new(NullArray::new(1)) as ArrayRef;
    let many = (0..5_000).map(|column| (format!("c{column}"), null())).collect();
    assert_eq!(reason(many), "the table cannot be read: it has more than 4096 columns");
    let long = vec![("x".repeat(257), null())];
    assert_eq!(reason(long), "the table cannot be read: the name of a column has more than 256 bytes");
}
