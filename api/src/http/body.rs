//! Reading what was sent, within limits that are checked before and while it arrives.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tidemark_collector::intake::{Body as Sent, Full, Room};
use tidemark_collector::{Compression, CompressionError};

use super::app::App;
use super::gate::Gate;
use super::problem::{BUSY, INVALID, MALFORMED, Problem, TIMEOUT, TOO_LARGE, UNSUPPORTED_ENCODING};

/// A question in JSON is short.
const QUESTION_BYTES: usize = 64 * 1024;

/// The first room that a body takes; each further time it takes as much again as it has.
const FIRST_ROOM: usize = 64 * 1024;
/// How long a sender may be silent.
const SILENCE: Duration = Duration::from_secs(10);

/// Reads a body of at most `limit` bytes as it was sent, compressed or not.
///
/// Room is taken as the bytes arrive: what is announced, or could come, is no reason to turn others away.
pub(crate) async fn receive(app: &App, request: Request, limit: usize) -> Result<Sent, Problem> {
    let encoding = content_encoding(request.headers())?;
    let announced = content_length(request.headers());
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(too_large(limit));
    }
    let mut parts = request.into_body().into_data_stream();
    let (bytes, mut room) = match collect(&app.gate, &mut parts, announced, limit, SILENCE).await {
        Ok(collected) => collected,
        Err(problem) => {
            if problem.is_busy() {
                pass_over_parts(parts, limit).await;
            }
            return Err(problem);
        }
    };
    room.shrink(bytes.len());
    // No event and no manifest begins like a compressed file: `curl --data-binary @events.ndjson.gz` is understood.
    let compression = encoding.unwrap_or_else(|| Compression::of(&bytes));
    Ok(Sent { bytes, compression, room: Some(room) })
}

/// How long a body that is refused may take to arrive.
const PASS_OVER: Duration = Duration::from_secs(5);

/// Takes a body that is refused without keeping it: a sender whose connection is closed while it still sends may never read
/// why.
pub(crate) async fn pass_over(body: Body, limit: usize) {
    pass_over_parts(body.into_data_stream(), limit).await;
}

async fn pass_over_parts(mut parts: BodyDataStream, limit: usize) {
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

/// The bytes of a body, and room for as many as are allocated for them.
async fn collect(
    gate: &Gate,
    parts: &mut BodyDataStream,
    announced: Option<usize>,
    limit: usize,
    silence: Duration,
) -> Result<(Vec<u8>, Room), Problem> {
    // What cannot be taken now is refused before it has arrived.
    let mut room = gate.reserve(announced.unwrap_or_default())?;
    room.shrink(0);
    let mut bytes = Vec::new();
    let most = announced.unwrap_or(limit);
    while let Some(part) = tokio::time::timeout(silence, parts.next()).await.map_err(|_| silent(silence))? {
        let part = part.map_err(|error| Problem::new(&MALFORMED, "the body ended early").caused_by(&error))?;
        let length = bytes.len() + part.len();
        if length > limit {
            return Err(too_large(limit));
        }
        if length > bytes.capacity() {
            let capacity = (2 * bytes.capacity()).max(FIRST_ROOM).min(most).max(length);
            room.merge(gate.reserve(capacity - bytes.capacity())?);
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&part);
    }
    Ok((bytes, room))
}

fn silent(silence: Duration) -> Problem {
    let detail = format!("no byte of the body came for {} seconds", silence.as_secs_f32());
    Problem::new(&TIMEOUT, detail).hint("send the body without pauses, or in smaller requests")
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

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        Self::new(&BUSY, full.to_string())
    }
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

#[cfg(test)]
mod tests {
    use tidemark_collector::intake::Memory;

    use super::*;
    use crate::http::Limits;

    const MIB: usize = 1024 * 1024;

    fn stream(parts: &[usize]) -> BodyDataStream {
        let parts: Vec<_> = parts.iter().map(|bytes| Ok::<_, std::io::Error>(vec![b' '; *bytes])).collect();
        Body::from_stream(futures::stream::iter(parts)).into_data_stream()
    }

    async fn check(announced: Option<usize>, parts: &[usize], expected: Result<usize, u16>) {
        let gate = Gate::new(&Limits::default(), Memory::new(3 * MIB), None);
        let collected = collect(&gate, &mut stream(parts), announced, 4 * MIB, SILENCE).await;
        let found = collected.map(|(bytes, room)| {
            assert!(room.bytes() >= bytes.capacity(), "{} are not counted", bytes.capacity());
            bytes.len()
        });
        assert_eq!(found.map_err(|problem| problem.status().as_u16()), expected, "{announced:?} {parts:?}");
        assert!(gate.reserve(3 * MIB).is_ok(), "room is kept after the body is gone");
    }

    #[tokio::test]
    async fn a_body_takes_room_for_what_has_arrived_of_it() {
        check(None, &[], Ok(0)).await;
        check(None, &[10, 10], Ok(20)).await;
        check(Some(20), &[10, 10], Ok(20)).await;
        check(Some(10), &[10, 10], Ok(20)).await;
        check(None, &[100_000; 15], Ok(1_500_000)).await;
        check(Some(3 * MIB), &[MIB; 3], Ok(3 * MIB)).await;
        check(Some(3 * MIB + 1), &[MIB; 3], Err(503)).await;
        check(None, &[MIB; 4], Err(503)).await;
        check(None, &[5 * MIB], Err(413)).await;
    }

    #[tokio::test]
    async fn a_sender_that_falls_silent_is_told_so_and_gives_its_room_back() {
        let gate = Gate::new(&Limits::default(), Memory::new(MIB), None);
        let first = futures::stream::iter([Ok::<_, std::io::Error>(vec![b' '; MIB / 2])]);
        let mut parts = Body::from_stream(first.chain(futures::stream::pending())).into_data_stream();
        let problem = collect(&gate, &mut parts, None, MIB, Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(problem.detail(), "no byte of the body came for 0.02 seconds");
        assert!(gate.reserve(MIB).is_ok());
    }
}
