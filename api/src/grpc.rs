//! OTLP over gRPC: the same spans, the same answers as `POST /v1/traces`.
//!
//! A message is there as a whole before a handler sees it, at up to [`MESSAGE_BYTES`], so only a few are received at a time. What
//! its spans take in memory is reserved once that is known, from what all bodies share.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response as HttpResponse;
use axum::routing::post;
use bytes::{Buf, Bytes};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tidemark_collector::Compression;
use tidemark_collector::decode::otlp::Encoding;
use tidemark_collector::intake::{Body as Sent, Format};
use tokio::net::TcpListener;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::Instrument;

use crate::http::{App, Problem, intake, rpc_code, spans, trace_id};

/// Bytes of one message, uncompressed. Exporters send 512 spans at a time, and those of language models are long.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Requests of one connection that are served at a time.
const STREAMS: u32 = 32;
/// How long running requests may take once the server was asked to stop.
const GRACE: Duration = Duration::from_secs(15);

/// The path of `TraceService.Export`.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Messages as bytes: what they become in memory has to be known before they are read.
struct Unread;

impl Codec for Unread {
    type Encode = ExportTraceServiceResponse;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Unread {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn encode(&mut self, answer: ExportTraceServiceResponse, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        answer.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Unread {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

struct Traces(App);

impl UnaryService<Bytes> for Traces {
    type Response = ExportTraceServiceResponse;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Self::Response>, Status>> + Send>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let app = self.0.clone();
        Box::pin(async move {
            // It was decompressed and bounded as it arrived.
            let body = Sent { bytes: request.into_inner().into(), compression: Compression::None, room: None };
            let answers = intake::take_bytes(&app, Format::Spans(Encoding::Protobuf), body).await;
            answers.and_then(|answers| spans::answer(&answers)).map(Response::new).map_err(status)
        })
    }
}

async fn export(State(app): State<App>, request: HttpRequest) -> HttpResponse {
    let mut server = Grpc::new(Unread)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(MESSAGE_BYTES);
    let response = server.unary(Traces(app), request).await.map(Body::new);
    match Status::from_header_map(response.headers()) {
        // tonic's code for a message that is too large is one that exporters try again, and the same message never fits.
        Some(status) if status.code() == Code::OutOfRange => {
            let hint = "nothing was stored; let the exporter send smaller batches";
            Status::invalid_argument(format!("{}; {hint}", status.message())).into_http()
        }
        _ => response,
    }
}

async fn unknown() -> HttpResponse {
    Status::unimplemented(format!("the only method is {EXPORT}")).into_http()
}

/// The problem as an exporter reads it.
#[expect(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn status(problem: Problem) -> Status {
    problem.log();
    let code = rpc_code(problem.status());
    match problem.retry_after_s() {
        Some(seconds) => {
            let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(seconds)));
            Status::with_error_details(code, problem.detail(), details)
        }
        None => Status::new(code, problem.detail()),
    }
}

/// Refuses what cannot be taken before it is read.
async fn admit(State(app): State<App>, request: HttpRequest, next: Next) -> HttpResponse {
    let place = match app.operations.ready_to_ingest(&app.caller) {
        Ok(()) => app.gate.message().await,
        Err(refused) => Err(refused.into()),
    };
    match place {
        Ok(_place) => next.run(request).await,
        Err(problem) => status(problem).into_http(),
    }
}

/// Gives the call its trace id, and counts it.
async fn observe(State(app): State<App>, request: HttpRequest, next: Next) -> HttpResponse {
    let span = tracing::info_span!("call", trace_id = trace_id::of(request.headers()));
    let response = next.run(request).instrument(span).await;
    // What was refused is told in the headers, what succeeded behind the message.
    let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    app.metrics.call(code);
    response
}

/// Serves until `shutdown` ends; then takes no new connections and gives running requests 15 seconds.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let timeout = app.options.request_timeout;
    let router = Router::new().route(EXPORT, post(export)).fallback(unknown);
    let router = router
        .layer(from_fn_with_state(app.clone(), admit))
        .layer(from_fn_with_state(app.clone(), observe))
        .with_state(app);
    let routes = Routes::from(router);
    let stopping = Arc::new(tokio::sync::Notify::new());
    let stopped = Arc::clone(&stopping);
    let shutdown = async move {
        shutdown.await;
        stopping.notify_one();
    };
    let mut server = tonic::transport::Server::builder().timeout(timeout).max_concurrent_streams(STREAMS);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::select! {
        served = server.add_routes(routes).serve_with_incoming_shutdown(incoming, shutdown) => served.map_err(io::Error::other),
        () = async { stopped.notified().await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("requests over gRPC were still running and are cut off");
            Ok(())
        }
    }
}
