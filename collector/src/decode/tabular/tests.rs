use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringDictionaryBuilder, StringViewBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, ListArray, NullArray, RecordBatch, StringArray, StructArray,
    Time32SecondArray, TimestampMicrosecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field};
use tidemark_schema::columns::{outputs, retrievals};
use tidemark_schema::{FingerprintKey, Ingest, Stored};

use super::*;
use crate::decode::{Context, Event, Kind, Limits, decode};
use crate::policy::Policy;

const LIMIT: u64 = 1 << 20;

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
    for (row, written) in rows(&batch, LIMIT).unwrap().into_iter().zip(events) {
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
    for (row, written) in rows(&batch, LIMIT).unwrap().into_iter().zip(events) {
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
    let events: Vec<_> =
        rows(&batch, LIMIT).unwrap().into_iter().map(|row| event(&row.unwrap(), Kind::Retrieval)).collect();
    let Ok(Event::Retrieval(first)) = &events[0] else { panic!("{events:?}") };
    assert_eq!(first.occurred_at.to_string(), "2025-11-18T09:30:00Z");
    assert_eq!((first.query.text.as_deref(), first.results.len(), first.results[1].score), (Some("a"), 2, None));
}

#[test]
fn a_number_that_json_has_not_refuses_its_row_and_no_other() {
    let batch = nested(vec![Some(0.5), Some(0.5), Some(0.25), Some(f64::NAN)]);
    let read = rows(&batch, LIMIT).unwrap();
    assert!(read[0].is_ok());
    assert_eq!(read[1].as_ref().unwrap_err().field.as_deref(), Some("results[1].score"));
    // A part of a batch: its lists begin in the middle of their elements.
    let read = rows(&batch.slice(1, 1), LIMIT).unwrap();
    assert_eq!(read[0].as_ref().unwrap_err().field.as_deref(), Some("results[1].score"));
}

#[track_caller]
fn check_refused(column: ArrayRef, problem: &str) {
    let batch = RecordBatch::try_from_iter_with_nullable([("corpus", column, true)]).unwrap();
    assert_eq!(rows(&batch, 10_000).unwrap_err().to_string(), problem);
}

#[test]
fn what_would_become_large_is_refused_before_it_is_written_out() {
    let text = "x".repeat(1_000);
    let mut dictionary = StringDictionaryBuilder::<Int32Type>::new();
    (0..50).for_each(|_| drop(dictionary.append(&text)));
    check_refused(Arc::new(dictionary.finish()), "50 rows would take more than 10000 bytes when they are written out");
    let mut views = StringViewBuilder::new().with_deduplicate_strings();
    (0..50).for_each(|_| views.append_value(&text));
    check_refused(Arc::new(views.finish()), "50 rows would take more than 10000 bytes when they are written out");
    check_refused(
        Arc::new(NullArray::new(1_000_000)),
        "1000000 rows would take more than 10000 bytes when they are written out",
    );
    let mut lists = ListBuilder::new(arrow_array::builder::NullBuilder::new());
    lists.values().append_nulls(1_000_000);
    lists.append(true);
    check_refused(Arc::new(lists.finish()), "1 rows would take more than 10000 bytes when they are written out");
}

#[test]
fn a_column_of_a_foreign_type_is_named() {
    let indices = arrow_array::Int32Array::from(vec![0]);
    let numbers = arrow_array::DictionaryArray::new(indices, Arc::new(Int64Array::from(vec![1])));
    check_refused(
        Arc::new(numbers),
        "the column corpus is of the type Dictionary(Int32, Int64), which no field of an event has",
    );
    // Times of day are no field of an event either; that is told by the field.
    let batch =
        RecordBatch::try_from_iter([("corpus", Arc::new(Time32SecondArray::from(vec![1])) as ArrayRef)]).unwrap();
    assert!(event(rows(&batch, LIMIT).unwrap()[0].as_ref().unwrap(), Kind::Retrieval).is_err());
}

fn stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn a_stream_is_recognised_read_and_named_when_it_ends_early() {
    let batch = nested(vec![Some(0.5), None]);
    let bytes = stream(&batch);
    assert!(is_ipc_stream(&bytes) && !is_ipc_file(&bytes) && !is_parquet(&bytes));
    refuse_compressed(&bytes).unwrap();
    let read: Vec<_> = ipc_stream(std::io::Cursor::new(bytes.clone())).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, [batch]);
    for end in [5, 40, bytes.len() - 100] {
        assert!(matches!(refuse_compressed(&bytes[..end]), Err(TableError::Unreadable(_))), "{end}");
    }
}
