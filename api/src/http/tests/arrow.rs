//! Events as rows of Arrow IPC streams.

use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use insta::assert_snapshot;
use tidemark_collector::decode::{Context, Event, Kind, Limits, decode};
use tidemark_collector::policy::Policy;
use tidemark_schema::columns::{outputs, retrievals};
use tidemark_schema::{FingerprintKey, Ingest, Stored};

use super::*;

fn decoded(event: &str, kind: Kind) -> Event {
    let keys = FingerprintKey::new([7; 32]).into();
    let policy = Policy::verbatim();
    let context = Context { now: None, keys: &keys, policy: &policy, limits: Limits::default() };
    decode(event.as_bytes(), kind, &context).unwrap()
}

fn stored<E>(event: E) -> Stored<E> {
    Stored { received_at: NOW.parse().unwrap(), ingest: Ingest::Live, event }
}

/// Retrievals as the columns of the table, the same batch as often as asked.
fn retrievals_stream(events: &[String], batches: usize, options: IpcWriteOptions) -> Vec<u8> {
    let rows = events.iter().map(|event| match decoded(event, Kind::Retrieval) {
        Event::Retrieval(event) => stored(event),
        Event::Output(event) => panic!("{event:?}"),
    });
    let batch = retrievals::encode(&rows.collect::<Vec<_>>()).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), batch.schema_ref(), options).unwrap();
    (0..batches).for_each(|_| writer.write(&batch).unwrap());
    writer.into_inner().unwrap()
}

fn plain(events: &[String]) -> Vec<u8> {
    retrievals_stream(events, 1, IpcWriteOptions::default())
}

#[tokio::test]
async fn rows_of_outputs_are_events_too() {
    let server = server().await;
    let sent = r#"{"event_id":"o1","occurred_at":"2026-11-18T09:30:00Z","operation_id":"op-1","trace_id":"trace-1",
        "output":{"text":"four","tokens":2},"citations":["a"],"scores":{"faithful":0.5},"refusal":false}"#;
    let Event::Output(event) = decoded(sent, Kind::Output) else { panic!("a retrieval") };
    let batch = outputs::encode(&[stored(event)]).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    writer.write(&batch).unwrap();
    let answer = server.post("/v1/outputs", writer.into_inner().unwrap()).await;
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &1.into()), "{}", answer.text);
    let again = server.post("/v1/outputs", sent).await.json();
    assert_eq!(again["duplicates"], 1);
}

#[tokio::test]
async fn a_table_without_rows_is_taken() {
    let server = server().await;
    let answer = server.post("/v1/retrievals", plain(&[])).await;
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &0.into()), "{}", answer.text);
}

#[tokio::test]
async fn a_table_has_20_000_rows_at_most() {
    let server = server().await;
    let events: Vec<String> = (0..6_667).map(retrieval).collect();
    let stream = retrievals_stream(&events, 3, IpcWriteOptions::default());
    assert_snapshot!(server.post("/v1/retrievals", stream).await.refusal(), @"413 too-large: the batch has more than 20000 events; none of them was stored");
}

#[tokio::test]
async fn compressed_buffers_are_refused_and_a_compressed_body_is_not() {
    let server = server().await;
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
    // Buffers that do not become shorter are left as they are.
    let stream = retrievals_stream(&(0..200).map(retrieval).collect::<Vec<_>>(), 1, options);
    assert_snapshot!(server.post("/v1/retrievals", stream).await.refusal(), @"422 invalid: its buffers are compressed; write them as they are, and compress the whole if it has to be small");
    assert_eq!(server.post("/v1/retrievals", zstd(&plain(&[retrieval(1)]))).await.status, 202);
}

#[tokio::test]
async fn a_row_that_is_too_long_is_rejected_and_the_others_are_not() {
    let events = Limits { event_bytes: 2_000, ..Limits::default() };
    let server = server_with(Options { events, ..Options::default() }).await;
    let long = retrieval(2).replace("how do I", &"why ".repeat(600));
    let answer = server.post("/v1/retrievals", plain(&[retrieval(1), long, retrieval(3)])).await.json();
    assert_eq!(answer["accepted"], 2, "{answer}");
    assert_snapshot!(answer["events"][1], @r#"{"index":1,"line":2,"reason":"has more than 2000 bytes, the limit","status":"rejected"}"#);
}

#[tokio::test]
async fn what_rows_become_counts_among_the_bytes_in_flight() {
    let limits = crate::http::Limits { in_flight_bytes: 1024 * 1024, body_bytes: 100_000, ..Default::default() };
    let events = Limits { event_bytes: 256 * 1024, ..Limits::default() };
    let server = server_with(Options { events, limits, ..Options::default() }).await;
    let events: Vec<String> = (0..3).map(retrieval).collect();
    assert_eq!(server.post("/v1/retrievals", plain(&events)).await.status, 202);
    // Less than the limit as a table, more as what its rows become.
    let many = plain(&(0..1_500).map(retrieval).collect::<Vec<_>>());
    assert_snapshot!(server.post("/v1/retrievals", zstd(&many)).await.refusal(), @"413 too-large: the rows of the table and what they become take more than 1048576 bytes");
    let room = server.app.gate.reserve(900 * 1024).unwrap();
    assert_eq!(server.post("/v1/retrievals", plain(&events)).await.status, 503);
    drop(room);
    assert_eq!(server.post("/v1/retrievals", plain(&events)).await.status, 202);
}

#[tokio::test]
async fn columns_of_the_other_kind_are_named_once() {
    let server = server().await;
    let refusal = server.post("/v1/outputs", plain(&[retrieval(1), retrieval(2)])).await.refusal();
    assert!(refusal.starts_with("422 invalid: the table has columns that are no fields of this event: "), "{refusal}");
}
