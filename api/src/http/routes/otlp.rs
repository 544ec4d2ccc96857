//! Spans of OpenTelemetry over HTTP.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use prost::Message;
use serde_json::json;
use tidemark_collector::decode::otlp::Encoding;
use tidemark_collector::intake::Format;

use crate::http::app::App;
use crate::http::intake;
use crate::http::problem::{Problem, UNSUPPORTED_MEDIA_TYPE};
use crate::http::spans;

const PROTOBUF: &str = "application/x-protobuf";

/// Send spans of OpenTelemetry
///
/// An `ExportTraceServiceRequest` of OTLP 1.x in protobuf or JSON; `Content-Encoding` may be `gzip` or `zstd`. Spans of
/// retrievers, rerankers and language models (`OpenInference`, or OpenTelemetry's conventions for generative AI) become
/// events; the others are passed over. What is refused is told in `partial_success`. Limits are those of `/v1/retrievals`.
#[utoipa::path(
    post,
    path = "/v1/traces",
    tag = "events",
    request_body(
        description = "ExportTraceServiceRequest",
        content((String = "application/x-protobuf"), (Object = "application/json")),
    ),
    responses(
        (status = 200, description = "ExportTraceServiceResponse, in the form of the request: what could be taken is on disk",
            content((String = "application/x-protobuf"), (Object = "application/json"))),
        (status = 400, description = "The body cannot be read; nothing was stored. To protobuf the answer is a google.rpc.Status",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 429, description = "The quota of the principal is used up; nothing was stored; send it again after `Retry-After`",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
        (status = 503, description = "Too much at once, or the collector is in a degraded mode; send it again after `Retry-After`",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn export(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let encoding = encoding(request.headers())?;
    let answer = intake::take(&app, Format::Spans(encoding), request).await;
    let answer = answer.and_then(|answers| spans::answer(&answers));
    match encoding {
        // What is not said is left out, as in all JSON of protobuf.
        Encoding::Json => answer.map(|answer| match answer.partial_success {
            None => Json(json!({})).into_response(),
            // 64-bit integers are texts there.
            Some(partial) => Json(json!({ "partialSuccess": {
                "rejectedSpans": partial.rejected_spans.to_string(), "errorMessage": partial.error_message,
            } }))
            .into_response(),
        }),
        Encoding::Protobuf => {
            let answer = answer.map_err(Problem::in_protobuf)?;
            Ok(([(header::CONTENT_TYPE, PROTOBUF)], answer.encode_to_vec()).into_response())
        }
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        PROTOBUF | "application/protobuf" => Ok(Encoding::Protobuf),
        "application/json" => Ok(Encoding::Json),
        other => {
            let other: String = other.chars().take(80).collect();
            let detail = format!("spans are sent as {PROTOBUF} or application/json, and Content-Type says {other:?}");
            Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail))
        }
    }
}
