//! Reading what was sent, within limits that are checked before and while it arrives.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tidemark_collector::{Compression, CompressionError};
use tokio::sync::OwnedSemaphorePermit;

use super::app::App;
use super::gate::Gate;
use super::problem::{INVALID, MALFORMED, Problem, TOO_LARGE, UNSUPPORTED_ENCODING};

/// A question in JSON is short.
const QUESTION_BYTES: usize = 64 * 1024;

/// A body, and the room it takes until that is dropped.
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) compression: Compression,
    pub(crate) room: OwnedSemaphorePermit,
}

/// Reads a body of at most `limit` bytes as it was sent, compressed or not.
pub(crate) async fn receive(app: &App, request: Request, limit: usize) -> Result<Received, Problem> {
    let encoding = content_encoding(request.headers())?;
    let announced = content_length(request.headers());
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(too_large(limit));
    }
    let room = match app.gate.reserve(announced.unwrap_or(limit)) {
        Ok(room) => room,
        Err(busy) => {
            pass_over(request.into_body(), limit).await;
            return Err(busy);
        }
    };
    let bytes = collect(request.into_body(), announced.unwrap_or_default(), limit).await?;
    let room = Gate::shrink(room, bytes.len());
    // No event and no manifest begins like a compressed file: `curl --data-binary @events.ndjson.gz` is understood.
    let compression = encoding.unwrap_or_else(|| Compression::of(&bytes));
    Ok(Received { bytes, compression, room })
}

/// How long a body that is refused may take to arrive.
const PASS_OVER: Duration = Duration::from_secs(5);

/// Takes a body that is refused without keeping it: a sender whose connection is closed while it still sends may never read
/// why.
pub(crate) async fn pass_over(body: Body, limit: usize) {
    let mut parts = body.into_data_stream();
    let arrives = async {
        let mut seen = 0;
        while let Some(Ok(part)) = parts.next().await {
            seen += part.len();
            if seen > limit {
                break;
            }
        }
    };
    if tokio::time::timeout(PASS_OVER, arrives).await.is_err() {
        tracing::debug!("a body that is refused takes too long to arrive");
    }
}

/// Reads a JSON object that asks for something.
pub(crate) async fn json<T: DeserializeOwned>(app: &App, request: Request) -> Result<T, Problem> {
    let received = receive(app, request, QUESTION_BYTES).await?;
    let content = tidemark_collector::decompress(&received.bytes, received.compression, QUESTION_BYTES)?;
    serde_json::from_slice(&content).map_err(|error| {
        let class = if error.is_data() { &INVALID } else { &MALFORMED };
        Problem::new(class, format!("the body is not what is expected: {error}"))
    })
}

async fn collect(body: Body, announced: usize, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(announced);
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| Problem::new(&MALFORMED, "the body ended early").caused_by(&error))?;
        if bytes.len() + part.len() > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than {limit} bytes");
    Problem::new(&TOO_LARGE, detail).hint("send smaller batches, or compress the body with gzip or zstd")
}

/// What the sender says about compression; none when it says nothing.
fn content_encoding(headers: &HeaderMap) -> Result<Option<Compression>, Problem> {
    let mut said = None;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let text = value.to_str().unwrap_or("?").trim().to_ascii_lowercase();
        said = Some(match (said, text.as_str()) {
            (None, "identity") => Compression::None,
            (None, "gzip" | "x-gzip") => Compression::Gzip,
            (None, "zstd") => Compression::Zstd,
            (_, other) => {
                let other: String = other.chars().take(80).collect();
                let detail = format!("{other:?} is not one of gzip, zstd and identity, of which one may be used");
                let accepted = HeaderValue::from_static("gzip, zstd, identity");
                return Err(Problem::new(&UNSUPPORTED_ENCODING, detail).header(header::ACCEPT_ENCODING, accepted));
            }
        });
    }
    Ok(said)
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl From<CompressionError> for Problem {
    fn from(error: CompressionError) -> Self {
        match error {
            CompressionError::Invalid(..) => Self::new(&MALFORMED, error.to_string())
                .caused_by(&error)
                .hint("check that the body is complete and compressed as Content-Encoding says"),
            CompressionError::TooLarge { .. } => Self::new(&TOO_LARGE, error.to_string()).hint("send smaller batches"),
        }
    }
}
