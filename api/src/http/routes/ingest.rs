//! Sending events.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use tidemark_collector::decode::Kind;
use tidemark_collector::intake::Format;

use crate::http::app::App;
use crate::http::batch::{BatchAnswer, settle};
use crate::http::intake;
use crate::http::problem::Problem;

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
    let answers = intake::take(app, Format::Events(kind), request).await?;
    Ok((StatusCode::ACCEPTED, Json(settle(answers)?)))
}
