use std::io::Write;
use std::sync::Mutex;

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use insta::assert_snapshot;
use tower_http::catch_panic::CatchPanicLayer;

use super::*;
use crate::http::layers;

#[tokio::test]
async fn an_unknown_route_is_a_problem() {
    let server = server().await;
    let answer = server.get("/v1/nothing").await;
    assert_snapshot!(serde_json::to_string_pretty(&answer.problem().1).unwrap(), @r#"
    {
      "detail": "there is no route /v1/nothing",
      "hint": "see /openapi.json for all routes",
      "status": 404,
      "title": "There is no such route",
      "type": "urn:tidemark:problem:unknown-route"
    }
    "#);
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("tidemark_http_requests_total{route=\"unmatched\",status=\"404\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_wrong_method_is_a_problem_that_names_the_right_ones() {
    let answer = server().await.get("/v1/retrievals").await;
    assert_eq!(answer.header("allow"), "POST");
    assert_snapshot!(answer.refusal(), @"405 wrong-method: this route is used in another way");
}

#[tokio::test]
async fn bad_arguments_are_problems() {
    let server = server().await;
    assert_snapshot!(server.get("/v1/corpora/handbook/diff?from=v1").await.refusal(), @"400 malformed: the parameters after the question mark: missing field `to`");
    assert_snapshot!(server.get("/v1/corpora/handbook/diff?from=v1&to=v2&examples=many").await.refusal(), @"400 malformed: the parameters after the question mark: examples: invalid digit found in string");
    assert_snapshot!(server.get("/v1/corpora/handbook/diff?from=v1&to=v2&exemples=3").await.refusal(), @"400 malformed: the parameters after the question mark: exemples: unknown field `exemples`, expected one of `from`, `to`, `examples`");
    assert_snapshot!(server.get("/v1/corpora/%ff/versions").await.refusal(), @"400 malformed: Invalid URL: Invalid UTF-8 in `corpus`");
    assert_snapshot!(server.get("/v1/corpora/..%2F..%2Fetc/versions").await.refusal(), @"422 invalid: corpus has a `.`, `..` or empty part between slashes; a name such as team/handbook is fine");
    assert_snapshot!(server.post("/v1/comparisons", "{").await.refusal(), @"400 malformed: the body is not what is expected: EOF while parsing an object at line 1 column 1");
    assert_snapshot!(server.post("/v1/comparisons", "{}").await.refusal(), @"422 invalid: the body is not what is expected: missing field `corpus` at line 1 column 2");
}

#[tokio::test]
async fn the_trace_id_is_the_callers_own_if_it_has_one() {
    let server = server().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = Request::get("/nowhere").header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer = server.send(request, Body::empty()).await;
    assert_eq!(answer.json()["trace_id"], trace);
    assert_eq!(answer.header("trace-id"), trace);
    let made = server.get("/livez").await.header("trace-id").to_owned();
    assert!(made.len() == 32 && made != trace);
}

#[tokio::test]
async fn other_hosts_and_origins_are_refused() {
    let server = server_with(Options { hosts: vec!["tidemark.internal".to_owned()], ..Options::default() }).await;
    let ask = async |host: &str| server.send(Request::get("/livez").header("host", host), Body::empty()).await;
    assert_eq!(ask("tidemark.internal:7700").await.status, 200);
    assert_snapshot!(ask("evil.example:7700").await.refusal(), @r#"403 forbidden-host: "evil.example:7700" is no host of this server"#);
    let page = Request::post("/v1/retrievals").header("origin", "https://evil.example");
    assert_snapshot!(server.send(page, retrieval(1)).await.refusal(), @r#"403 forbidden-host: pages of "https://evil.example" may not use this server"#);
    let nameless = Request::get("/livez").body(Body::empty()).unwrap();
    assert_eq!(server.router.clone().oneshot(nameless).await.unwrap().status(), 403);
}

/// Log lines of one thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_query_text_is_logged() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("off,tidemark_api=trace,tidemark_collector=trace")
        .with_writer(move || writer.clone())
        .finish();
    let server = server().await;
    // With a single subscriber, `tracing` asks that of the thread which comes first whether a line is of interest, and the
    // other tests have none: the line would be off for all. With two it asks both.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    let right = retrieval(1).replace("how do I reset my badge", "secret");
    for body in [right.clone(), right.replace("0.9", "\"secret\""), "secret".to_owned(), format!("{{{right}")] {
        server.post("/v1/retrievals", body).await;
    }
    server.get("/secret?secret=secret").await;
    server.get("/v1/traces/x/diff?secret=secret").await;
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("a request was refused"), "{logged}");
    assert!(!logged.contains("secret"), "{logged}");
}

#[tokio::test]
async fn panics_and_errors_of_the_framework_are_problems_without_their_message() {
    async fn panics(State(_): State<App>) {
        assert!(std::hint::black_box(false), "secret");
    }
    async fn fails() -> (axum::http::StatusCode, &'static str) {
        (axum::http::StatusCode::BAD_GATEWAY, "secret")
    }
    let mut server = server().await;
    let app = server.app.clone();
    server.router = Router::new()
        .route("/panics", get(panics))
        .route("/fails", get(fails))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(app.clone(), layers::observe))
        .with_state(app);
    for path in ["/panics", "/fails"] {
        let answer = server.get(path).await;
        assert!(!answer.text.contains("secret"));
        assert!(answer.refusal().starts_with("500 internal: "), "{}", answer.text);
    }
}
