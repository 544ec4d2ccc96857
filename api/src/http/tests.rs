//! The routes, asked without a socket: a real store in a temporary directory, a real collector, a clock that stands.

mod arrow;
mod comparisons;
mod corpora;
mod events;
mod keeping;
mod limits;
mod operation;
mod otlp;
mod problems;
mod sql;
mod traces;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request, header};
use serde_json::Value;
use tempfile::TempDir;
use tidemark_collector::Settings;
use tidemark_collector::policy::Policy;
use tidemark_lake::Location;
use tidemark_schema::ManualClock;
use tower::ServiceExt;

use super::{App, Options, router};
use crate::operations::Operations;
use crate::store::LocalDirectories;

const NOW: &str = "2026-11-18T10:00:00Z";

struct Server {
    app: App,
    router: Router,
    _directory: TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

async fn server() -> Server {
    server_with(Options::default()).await
}

async fn server_with(options: Options) -> Server {
    server_under(Policy::default(), options).await
}

async fn server_under(policy: Policy, options: Options) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::parse(directory.path().to_str().unwrap(), std::iter::empty()).unwrap();
    let directories = LocalDirectories { state: None, keys: Some(directory.path().join("keys")) };
    let clock = Arc::new(ManualClock::at(NOW.parse().unwrap()));
    let operations = Operations::on(location, directories, clock.clone()).unwrap().with_policy(Arc::new(policy));
    let stores = operations.stores();
    // Tests flush by hand, so that what is visible does not depend on how fast they run.
    let settings =
        Settings { flush_interval: Duration::from_hours(1), ..Settings::in_directory(stores.log_directory()) };
    let collector = Arc::new(operations.start_collector(settings).await.unwrap());
    let keys = stores.keys().load_or_create().await.unwrap();
    let app = App::new(operations.clone(), keys, collector, clock, options);
    Server { app: app.clone(), router: router(app), _directory: directory }
}

impl Server {
    async fn send(&self, request: Builder, body: impl Into<Body>) -> Answer {
        let named = request.headers_ref().unwrap().contains_key(header::HOST);
        let request = if named { request } else { request.header(header::HOST, "localhost:7700") };
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        // Answers in protobuf are no text.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(path), body).await
    }

    async fn post_encoded(&self, path: &str, encoding: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(path).header(header::CONTENT_ENCODING, encoding), body).await
    }

    async fn flush(&self) {
        self.app.collector.flush().await.unwrap();
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }

    /// The answer without what differs from run to run, after a look at what every problem has.
    #[track_caller]
    fn problem(&self) -> (u16, Value) {
        let mut problem = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["trace_id"], self.header("trace-id"));
        assert!(problem["type"].as_str().unwrap().starts_with("urn:tidemark:problem:"));
        for member in ["title", "detail", "hint"] {
            assert!(!problem[member].as_str().unwrap().is_empty(), "{member}");
        }
        problem.as_object_mut().unwrap().remove("trace_id");
        (self.status, problem)
    }

    /// Status, kind and detail of a problem.
    #[track_caller]
    fn refusal(&self) -> String {
        let (status, problem) = self.problem();
        let kind = problem["type"].as_str().unwrap().rsplit(':').next().unwrap();
        format!("{status} {kind}: {}", problem["detail"].as_str().unwrap())
    }
}

/// A retrieval that differs from others by its number alone.
fn retrieval(number: usize) -> String {
    format!(
        r#"{{"event_id":"e{number}","occurred_at":"2026-11-18T09:30:00Z","operation_id":"op-{number}","trace_id":"trace-{number}","corpus":"handbook","query":{{"text":"how do I reset my badge"}},"results":[{{"doc_id":"a","score":0.9}},{{"doc_id":"b","score":0.8}}]}}"#
    )
}

fn gzip(content: &[u8]) -> Vec<u8> {
    use std::io::Write;

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 3).unwrap()
}
