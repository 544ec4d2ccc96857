//! OTLP over gRPC: the same spans, the same answers as `POST /v1/traces`.
//!
//! A message is decoded before a handler sees it, so its room is reserved before that, at the size that is allowed at most.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request as HttpRequest, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response as HttpResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

use crate::http::{App, Problem, spans};

/// Bytes of one message, uncompressed. Exporters send 512 spans at a time, and those of language models are long.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Requests of one connection that are served at a time.
const STREAMS: u32 = 32;
/// How long running requests may take once the server was asked to stop.
const GRACE: Duration = Duration::from_secs(15);

struct Traces(App);

#[tonic::async_trait]
impl TraceService for Traces {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let app = &self.0;
        let versions = spans::versions(app).await.map_err(status)?;
        let (decoder, request) = (app.clone(), request.into_inner());
        let read = app.gate.decode(move || spans::read(&decoder, &request, &versions)).await.and_then(|read| read);
        let answer = spans::store(app, read.map_err(status)?).await.map_err(status)?;
        Ok(Response::new(answer))
    }
}

/// By what a sender should do: exporters try `UNAVAILABLE` again, and `INVALID_ARGUMENT` never.
#[expect(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn status(problem: Problem) -> Status {
    problem.log();
    let code = match problem.status() {
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        status if status.is_client_error() => Code::InvalidArgument,
        _ => Code::Internal,
    };
    Status::new(code, problem.detail())
}

/// Refuses what cannot be taken before it is read.
async fn reserve(State(app): State<App>, request: HttpRequest, next: Next) -> HttpResponse {
    let room = app.collector.ready().map_err(Problem::from).and_then(|()| app.gate.reserve(MESSAGE_BYTES));
    match room {
        Ok(_room) => next.run(request).await,
        Err(problem) => status(problem).into_http(),
    }
}

/// Serves until `shutdown` ends; then takes no new connections and gives running requests 15 seconds.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = TraceServiceServer::new(Traces(app.clone()))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(MESSAGE_BYTES);
    let timeout = app.options.request_timeout;
    let routes = Routes::from(Routes::new(service).into_axum_router().layer(from_fn_with_state(app, reserve)));
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
