use insta::assert_snapshot;

use super::*;
use crate::http::Limits;

fn limited(limits: Limits) -> Options {
    Options { limits, ..Options::default() }
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_refused_before_it_is_read() {
    let server = server().await;
    let announced = Request::post("/v1/retrievals").header(header::CONTENT_LENGTH, 40 * 1024 * 1024);
    assert_snapshot!(server.send(announced, Body::empty()).await.refusal(), @"413 too-large: the body is larger than 33554432 bytes");
}

#[tokio::test]
async fn a_body_that_does_not_say_how_long_it_is_is_cut_off_at_the_limit() {
    let server = server_with(limited(Limits { body_bytes: 1_000, ..Limits::default() })).await;
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 100]));
    assert_snapshot!(server.post("/v1/retrievals", Body::from_stream(endless)).await.refusal(), @"413 too-large: the body is larger than 1000 bytes");
}

#[tokio::test]
async fn a_gzip_bomb_is_stopped() {
    let server = server().await;
    let bomb = gzip(&vec![b' '; 65 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    assert_snapshot!(server.post_encoded("/v1/retrievals", "gzip", bomb).await.refusal(), @"413 too-large: the content is larger than 67108864 bytes after decompression");
}

#[tokio::test]
async fn a_batch_has_20_000_events_at_most() {
    let server = server().await;
    let line = "{}\n";
    assert_snapshot!(server.post("/v1/retrievals", line.repeat(20_001)).await.refusal(), @"413 too-large: the batch has more than 20000 events; none of them was stored");
    assert_eq!(server.post("/v1/retrievals", line.repeat(20_000)).await.status, 422);
}

#[tokio::test]
async fn an_event_that_is_too_long_is_rejected_and_the_others_are_not() {
    let server = server().await;
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(5_000_000));
    let answer = server.post("/v1/retrievals", format!("{}\n{long}\n{}", retrieval(1), retrieval(2))).await.json();
    assert_eq!(answer["accepted"], 2);
    assert_snapshot!(answer["events"][1], @r#"{"index":1,"line":2,"reason":"has 5000008 bytes, the limit is 4194304","status":"rejected"}"#);
}

#[tokio::test]
async fn unknown_encodings_are_refused_with_what_is_accepted() {
    let server = server().await;
    let answer = server.post_encoded("/v1/retrievals", "br", retrieval(1)).await;
    assert_eq!(answer.header("accept-encoding"), "gzip, zstd, identity");
    assert_snapshot!(answer.refusal(), @r#"415 unsupported-encoding: "br" is not one of gzip, zstd and identity, of which one may be used"#);
    let answer = server.post_encoded("/v1/retrievals", "gzip, zstd", retrieval(1)).await;
    assert_snapshot!(answer.refusal(), @r#"415 unsupported-encoding: "gzip, zstd" is not one of gzip, zstd and identity, of which one may be used"#);
}

#[tokio::test]
async fn a_body_that_is_not_in_the_encoding_it_claims_is_malformed() {
    let server = server().await;
    for encoding in ["gzip", "zstd"] {
        let answer = server.post_encoded("/v1/retrievals", encoding, retrieval(1)).await;
        assert_eq!(answer.status, 400, "{}", answer.refusal());
    }
    let mut cut_off = gzip(retrieval(1).as_bytes());
    cut_off.truncate(cut_off.len() / 2);
    assert_snapshot!(server.post_encoded("/v1/retrievals", "gzip", cut_off).await.refusal(), @"400 malformed: the content is not valid Gzip");
}

#[tokio::test]
async fn without_a_free_decoder_a_batch_is_turned_away() {
    let limits = Limits { decoders: 0, patience: Duration::from_millis(10), ..Limits::default() };
    let server = server_with(limited(limits)).await;
    let answer = server.post("/v1/retrievals", retrieval(1)).await;
    assert_eq!(answer.header("retry-after"), "2");
    assert_snapshot!(answer.refusal(), @"503 busy: too many other bodies are being decoded");
}

#[tokio::test]
async fn a_body_takes_room_for_what_is_in_it() {
    let limits = Limits { in_flight_bytes: 1024 * 1024, ..Limits::default() };
    let server = server_with(limited(limits)).await;
    let small = gzip(&vec![b' '; 2 * 1024 * 1024]);
    let request = Request::post("/v1/retrievals").header(header::CONTENT_LENGTH, small.len());
    assert_snapshot!(server.send(request, small).await.refusal(), @"503 busy: the requests that are being served hold too many bytes for this one");
}

/// A body of which nothing ever comes.
fn idle() -> Body {
    Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>())
}

#[tokio::test]
async fn uploads_that_stand_still_keep_nobody_out() {
    let server = server().await;
    let whole = 32 * 1024 * 1024;
    let idle = (0..4).map(|number| {
        let request = Request::post("/v1/retrievals");
        let request = if number < 2 { request } else { request.header(header::CONTENT_LENGTH, whole) };
        server.send(request, idle())
    });
    let mut idle = futures::future::join_all(idle);
    // Long enough for all of them to be asked once.
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut idle).await.is_err(), "they wait for their bodies");
    assert_eq!(server.post("/v1/retrievals", retrieval(1)).await.status, 202);
    assert_eq!(server.post("/v1/sql", r#"{"query":"SELECT 1"}"#).await.status, 200);
}

#[tokio::test]
async fn a_collector_that_is_full_is_busy() {
    let server = server().await;
    let App { operations, clock, .. } = server.app.clone();
    let settings = Settings {
        pending_events: 2,
        flush_interval: Duration::from_hours(1),
        ..Settings::in_directory(operations.stores().state().join("other-log"))
    };
    let collector = Arc::new(operations.start_collector(settings).await.unwrap());
    let keys = operations.stores().keys().load_or_create().await.unwrap();
    let app = App::new(operations, keys, collector, clock, Options::default());
    let small = Server { router: router(app.clone()), app, _directory: tempfile::tempdir().unwrap() };
    let pair = |first| format!("{}\n{}", retrieval(first), retrieval(first + 1));
    assert_eq!(small.post("/v1/retrievals", pair(1)).await.status, 202);
    let answer = small.post("/v1/retrievals", pair(3)).await;
    assert_eq!(answer.header("retry-after"), "2");
    // How many bytes they take besides is for each build to say.
    assert!(answer.refusal().starts_with("503 busy: events are refused for now, the collector is shedding: 2 events of at most 2 wait for the tables, "), "{}", answer.refusal());
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let options = Options { request_timeout: Duration::from_millis(20), ..Options::default() };
    let server = server_with(options).await;
    let silent = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answer = server.post("/v1/retrievals", silent).await;
    assert_eq!(answer.header("retry-after"), "10");
    assert_snapshot!(answer.refusal(), @"503 timeout: it was not done after 0.02 seconds");
}
