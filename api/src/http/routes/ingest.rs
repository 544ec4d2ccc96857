//! Sending events.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use tidemark_collector::decode::{Context, Kind};
use tidemark_collector::decompress;
use tokio::sync::OwnedSemaphorePermit;

use crate::http::admission::admit;
use crate::http::app::{App, Limits};
use crate::http::batch::{BatchAnswer, Decoded, decode_batch};
use crate::http::body::{Received, pass_over, receive};
use crate::http::gate::Gate;
use crate::http::problem::{Problem, TOO_LARGE};

type Answer = Result<(StatusCode, Json<BatchAnswer>), Problem>;

/// Send retrievals: what a retriever returned for a query
///
/// One JSON object, an array of them, NDJSON, or the rows of an Arrow IPC stream, whatever `Content-Type` says; `Content-Encoding` may be `gzip` or `zstd`.
/// At most 32 MiB as sent, 64 MiB after decompression, 20,000 events, 4 MiB for one event, of whose results 1,000 are
/// kept. Each event is answered by itself; sending it again is safe.
#[utoipa::path(
    post,
    path = "/v1/retrievals",
    tag = "events",
    request_body(
        description = "Retrieval events; the contract describes their fields",
        content((Object = "application/json"), (String = "application/x-ndjson"), (String = "application/vnd.apache.arrow.stream")),
    ),
    responses(
        (status = 202, description = "At least one event is stored", body = BatchAnswer),
        (status = 400, description = "The body, or every event, is malformed; each is told of in `events`",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 413, description = "The body, its content or the number of events is beyond its limit",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 415, description = "The Content-Encoding is not supported",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 422, description = "Every event was rejected; each is told of in `events`",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 429, description = "The quota of the principal is used up; nothing was stored; send it again after `Retry-After`",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 503, description = "Too much at once, or the collector is in a degraded mode; nothing was acknowledged; send it again after `Retry-After`",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn retrievals(State(app): State<App>, request: Request) -> Answer {
    ingest(&app, Kind::Retrieval, request).await
}

/// Send outputs: what a model answered with the retrieved context
///
/// Forms, limits and answers are those of `/v1/retrievals`.
#[utoipa::path(
    post,
    path = "/v1/outputs",
    tag = "events",
    request_body(
        description = "Output events; the contract describes their fields",
        content((Object = "application/json"), (String = "application/x-ndjson"), (String = "application/vnd.apache.arrow.stream")),
    ),
    responses((status = 202, description = "At least one event is stored", body = BatchAnswer)),
)]
pub(crate) async fn outputs(State(app): State<App>, request: Request) -> Answer {
    ingest(&app, Kind::Output, request).await
}

async fn ingest(app: &App, kind: Kind, request: Request) -> Answer {
    // What would be refused after decoding is refused before it.
    if let Err(refused) = app.collector.ready() {
        pass_over(request.into_body(), app.options.limits.body_bytes).await;
        return Err(refused.into());
    }
    let received = receive(app, request, app.options.limits.body_bytes).await?;
    let decoder = app.clone();
    let (mut batch, _room) = app.gate.decode(move || decode_received(&decoder, kind, received)).await??;
    let events = std::mem::take(&mut batch.events);
    let receipt = if events.is_empty() { Vec::new() } else { app.collector.submit(events).await? };
    let (answer, problem) = batch.settle(&receipt);
    app.metrics.batch(kind, &answer);
    problem.map_or_else(|| Ok((StatusCode::ACCEPTED, Json(answer))), Err)
}

/// The batch, and the room that its events take until they are answered: after decompression they are many more bytes than
/// were sent.
fn decode_received(
    app: &App,
    kind: Kind,
    Received { bytes, compression, room }: Received,
) -> Result<(Decoded, OwnedSemaphorePermit), Problem> {
    let content = decompress(&bytes, compression, app.options.limits.content_bytes)?;
    drop((bytes, room));
    let mut room = app.gate.reserve(content.len())?;
    let now = Some(app.clock.now());
    let context = Context { now, keys: &app.keys, policy: &app.policy, limits: app.options.events };
    let Limits { batch_events, in_flight_bytes, .. } = app.options.limits;
    let mut held = content.len();
    let hold = |bytes| {
        held += bytes;
        if held > in_flight_bytes {
            let detail = format!("the rows of the table and what they become take more than {in_flight_bytes} bytes");
            return Err(Problem::new(&TOO_LARGE, detail).hint("send smaller batches"));
        }
        room.merge(app.gate.reserve(bytes)?);
        Ok(())
    };
    let batch = decode_batch(&content, kind, &context, batch_events, |event| admit(app, event), hold)?;
    let room = Gate::shrink(room, content.len() + batch.written);
    Ok((batch, room))
}
