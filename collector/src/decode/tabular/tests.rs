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
use tidemark_schema::{FingerprintKey, Finite, Ingest, Label, Stored};

use super::*;
use crate::accept::accept;
use crate::decode::{Context, Event, Kind, Limits, decode};
use crate::policy::Policy;

const LIMITS: RowLimits = RowLimits { row: 10_000, table: 1 << 20 };

/// The rows of a table of one batch, up to its first error.
fn read(batch: &RecordBatch, kind: Kind, limits: RowLimits) -> Result<Vec<Result<EventDraft, Rejection>>, TableError> {
    let batches = std::iter::once(Ok::<_, TableError>(batch.clone()));
    Table::of(batch.schema(), batches).rows(kind, limits)?.collect()
}

fn rows(batch: &RecordBatch) -> Vec<Result<EventDraft, Rejection>> {
    read(batch, Kind::Retrieval, LIMITS).unwrap()
}

/// The least that an event has, with another column besides or in place of one of them.
fn with(name: &str, column: ArrayRef) -> RecordBatch {
    let rows = column.len();
    let texts = |text: &str| Arc::new(StringArray::from(vec![text; rows])) as ArrayRef;
    let ids = Arc::new(StringArray::from(vec!["a"; rows])) as ArrayRef;
    let element = Arc::new(Field::new("item", DataType::Utf8, true));
    let results = ListArray::new(element, OffsetBuffer::from_lengths(vec![1; rows]), ids, None);
    let least = [
        ("occurred_at", Arc::new(Int64Array::from(vec![1_763_458_200; rows])) as ArrayRef),
        ("corpus", texts("wiki")),
        ("query", texts("why")),
        ("results", Arc::new(results) as ArrayRef),
    ];
    let others = least.into_iter().filter(|(there, _)| *there != name);
    let columns = others.chain([(name, column)]).map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// What a column became in the first row, or why that is no event.
fn became(name: &str, column: ArrayRef, field: &str) -> String {
    match rows(&with(name, column)).remove(0) {
        Ok(draft) => serde_json::to_value(draft).unwrap().pointer(field).unwrap().to_string(),
        Err(Rejection { field, reason, .. }) => format!("{} {reason}", field.unwrap_or_default()),
    }
}

fn context(policy: &Policy, read: impl FnOnce(&Context<'_>) -> Result<Event, Rejection>) -> Result<Event, Rejection> {
    let keys = FingerprintKey::new([7; 32]).into();
    read(&Context { now: None, keys: &keys, policy, limits: Limits::default() })
}

fn accepted(row: Result<EventDraft, Rejection>) -> Result<Event, Rejection> {
    context(&Policy::verbatim(), |context| accept(row?, context))
}

fn event(bytes: &[u8], kind: Kind) -> Result<Event, Rejection> {
    context(&Policy::verbatim(), |context| decode(bytes, kind, context))
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
        assert_eq!(accepted(row), Ok(Event::Retrieval(written.event)));
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
        assert_eq!(accepted(row), Ok(Event::Output(written.event)));
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
    let events: Vec<_> = rows(&batch).into_iter().map(accepted).collect();
    let Ok(Event::Retrieval(first)) = &events[0] else { panic!("{events:?}") };
    assert_eq!(first.occurred_at.to_string(), "2025-11-18T09:30:00Z");
    assert_eq!(first.marks.iter().map(Label::as_str).collect::<Vec<_>>(), ["time.assumed_utc"]);
    assert_eq!((first.query.text.as_deref(), first.results.len(), first.results[1].score), (Some("a"), 2, None));
}

#[test]
fn a_score_that_is_no_number_is_not_known_and_its_row_is_kept() {
    // Also in a part of a batch: its lists begin in the middle of their elements.
    let batch = nested(vec![Some(0.5), Some(0.5), Some(0.25), Some(f64::NAN)]).slice(1, 1);
    let Ok(Event::Retrieval(event)) = accepted(rows(&batch).remove(0)) else { panic!("no retrieval") };
    let scores: Vec<_> = event.results.iter().map(|result| result.score.map(Finite::get)).collect();
    assert_eq!(scores, [Some(0.25), None]);
    assert!(event.marks.iter().any(|mark| mark.as_str() == "number.not_finite"));
}

#[test]
fn an_event_is_the_same_however_its_columns_are_laid_out() {
    let texts = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let of = |columns: Vec<(&str, ArrayRef)>| {
        let columns = [("event_id", texts("e1")), ("corpus", texts("wiki"))].into_iter().chain(columns);
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        accepted(rows(&batch).remove(0)).unwrap()
    };
    let seconds = || Arc::new(Int64Array::from(vec![1_763_458_200])) as ArrayRef;
    let plain = of(vec![
        ("occurred_at", seconds()),
        ("query", texts(r#"{"text": "why"}"#)),
        ("results", texts(r#"[{"doc_id": "a", "score": 0.5}, {"doc_id": "b", "score": NaN}]"#)),
        ("retriever", texts(r#"{"name": "bm25", "params": {"k1": 1.2}}"#)),
        ("segment", texts(r#"{"locale": "de"}"#)),
    ]);
    let milliseconds: ArrayRef = Arc::new(Float64Array::from(vec![1_763_458_200_000.0]));
    let flat = of(vec![
        ("occurred_at", milliseconds),
        ("query.text", texts("why")),
        ("results", texts(r#"[{"doc_id": "a", "score": "0.5"}, {"doc_id": "b", "score": "nan"}]"#)),
        ("retriever_name", texts("bm25")),
        ("retriever.params.k1", Arc::new(Float64Array::from(vec![1.2]))),
        ("segment.locale", texts("de")),
    ]);
    assert_eq!(plain, flat);
    let error = read(
        &RecordBatch::try_from_iter([("query_text", texts("a")), ("query.text", texts("b"))]).unwrap(),
        Kind::Retrieval,
        LIMITS,
    );
    let expected = "the table has columns that are no fields of this event: query.text (another column holds query.text \
        already); data of your own goes into `attributes`";
    assert_eq!(error.unwrap_err().to_string(), expected);
}

#[test]
fn rows_without_an_id_are_the_same_event_when_they_hold_the_same() {
    let id = |batch: RecordBatch| accepted(rows(&batch).remove(0)).unwrap().event_id();
    let texts = |text: Option<&str>| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    assert_eq!(id(with("trace_id", texts(None))), id(with("corpus", texts(Some("wiki")))));
    assert_ne!(id(with("trace_id", texts(Some("t")))), id(with("trace_id", texts(None))));
}

#[test]
fn what_would_become_large_is_refused_row_by_row_and_nothing_is_sized_by_what_it_announces() {
    let too_long = " has more than 10000 bytes, the limit";
    let text = "x".repeat(10_000);
    let mut dictionary = StringDictionaryBuilder::<Int32Type>::new();
    dictionary.append(&text).unwrap();
    assert_eq!(became("corpus", Arc::new(dictionary.finish()), ""), too_long);
    let mut views = StringViewBuilder::new();
    views.append_value(&text);
    assert_eq!(became("corpus", Arc::new(views.finish()), ""), too_long);
    // Nulls take no bytes, so a list may announce any number of them. None is a document.
    let nulls: ArrayRef = Arc::new(NullArray::new(1 << 62));
    let element = Arc::new(Field::new("item", DataType::Null, true));
    let offsets = OffsetBuffer::new(vec![0_i64, 1 << 61].into());
    let list = arrow_array::LargeListArray::new(element, offsets, nulls.clone(), None);
    let endless = "results[0] is null; expected an object with `doc_id`, or the id of a document";
    assert_eq!(became("results", Arc::new(list), ""), endless);
    // Structs without a field take none either.
    let element = Arc::new(Field::new("item", DataType::Struct(arrow_schema::Fields::empty()), true));
    let empty = Arc::new(StructArray::new_empty_fields(i32::MAX as usize, None));
    let list = arrow_array::FixedSizeListArray::new(element, i32::MAX, empty, None);
    assert_eq!(became("results", Arc::new(list), ""), "results[0].doc_id is missing");
    // Nor do the values of a dictionary that no key names.
    let keys = arrow_array::Int32Array::from(vec![None]);
    assert_eq!(became("corpus", Arc::new(arrow_array::DictionaryArray::new(keys, nulls)), ""), "corpus is missing");
}

#[test]
fn a_row_that_is_too_large_does_not_touch_the_others() {
    let texts = StringArray::from(vec!["a".to_owned(), "x".repeat(10_000), "b".to_owned()]);
    let batch = with("query_text", Arc::new(texts));
    let batch = batch.project(&[0, 1, 3, 4]).unwrap();
    let read = rows(&batch);
    assert!(read[0].is_ok() && read[1].is_err() && read[2].is_ok(), "{read:?}");
}

#[test]
fn the_rows_together_are_bounded_and_so_is_what_is_looked_at_for_them() {
    // The name of a column is written for each row, and stands in the stream once.
    let named: ArrayRef = Arc::new(BooleanArray::from(vec![true; 200]));
    let fields = arrow_schema::Fields::from(vec![Field::new("x".repeat(9_000), DataType::Boolean, true)]);
    let column: ArrayRef = Arc::new(StructArray::new(fields, vec![named], None));
    let batch = with("attributes", column);
    let error = read(&batch, Kind::Retrieval, LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "the first 117 rows take more than 1048576 bytes when they are written out");
    // Columns of nulls write nothing and take time all the same.
    let nulls: Vec<_> = (0..9_000).map(|i| Field::new(format!("n{i}"), DataType::Null, true)).collect();
    let columns = nulls.iter().map(|_| Arc::new(NullArray::new(200)) as ArrayRef).collect();
    let column: ArrayRef = Arc::new(StructArray::new(nulls.into(), columns, None));
    let batch = with("attributes", column);
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
    let batch = with("__index_level_0__", numbers());
    let batches = std::iter::once(Ok::<_, TableError>(batch.clone()));
    let mut rows = Table::of(batch.schema(), batches).rows(Kind::Retrieval, LIMITS).unwrap();
    assert_eq!(rows.ignored(), ["__index_level_0__"]);
    assert!(rows.all(|row| row.unwrap().is_ok()));
}

#[test]
fn the_columns_say_which_kind_of_event_they_hold() {
    let of = |schema: SchemaRef| Table::of(schema, std::iter::empty::<Result<_, TableError>>()).kind();
    assert_eq!(of(retrievals::schema().unwrap()), Some(Kind::Retrieval));
    assert_eq!(of(outputs::schema().unwrap()), Some(Kind::Output));
}

#[test]
fn numbers_are_read_as_the_field_they_stand_for_has_them() {
    let column = |number: f64| Arc::new(Float64Array::from(vec![number])) as ArrayRef;
    let check = |name: &str, column: ArrayRef, expected: &str| {
        assert_eq!(became(name, column, &format!("/{name}")), expected);
    };
    check("attempt", column(118.0), "118");
    check("attempt", column(-0.0), "attempt is -0.0; expected a whole number that is not negative");
    check("attempt", column(0.1), "attempt is 0.1; expected a whole number that is not negative");
    check("latency_ms", column(1e300), "1e+300");
    check("latency_ms", column(0.1), "0.1");
    check("latency_ms", Arc::new(arrow_array::Float32Array::from(vec![0.1])), "0.1");
    check("latency_ms", Arc::new(arrow_array::UInt64Array::from(vec![u64::MAX])), "1.8446744073709552e+19");
    let decimal = arrow_array::Decimal128Array::from(vec![11_800]).with_precision_and_scale(5, 2).unwrap();
    check("attempt", Arc::new(decimal), "118");
    let decimal = arrow_array::Decimal128Array::from(vec![11_850]).with_precision_and_scale(5, 2).unwrap();
    check("cost_usd", Arc::new(decimal), "118.5");
    check(
        "latency_ms",
        Arc::new(StringArray::from(vec!["high"])),
        "latency_ms is the text \"high\"; expected a number",
    );
}

#[test]
fn times_are_read_in_every_unit_and_those_of_a_wrong_one_are_refused() {
    let check = |column: ArrayRef, expected: &str| assert_eq!(became("occurred_at", column, "/occurred_at"), expected);
    let right = "\"2025-11-18T09:30:00Z\"";
    let micros = || TimestampMicrosecondArray::from(vec![1_763_458_200_000_000]);
    check(Arc::new(micros()), right);
    check(Arc::new(micros().with_timezone("Asia/Kolkata")), right);
    check(Arc::new(Int64Array::from(vec![1_763_458_200_000])), right);
    check(Arc::new(StringArray::from(vec!["2025-11-18T10:30:00+01:00"])), right);
    check(Arc::new(arrow_array::Date32Array::from(vec![20_410])), "\"2025-11-18T00:00:00Z\"");
    // Seconds that were taken for microseconds: the time would be right as a count, and is not what the column says.
    let seconds = TimestampMicrosecondArray::from(vec![1_763_458_200]).with_timezone("UTC");
    let refused = became("occurred_at", Arc::new(seconds), "");
    assert!(refused.starts_with("occurred_at 1970-01-01T00:29:23Z lies outside"), "{refused}");
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
