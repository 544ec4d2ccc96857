//! The HTTP API.
//!
//! The way of one request, from outside to inside (`layers`): it gets a trace id and a place in the metrics, its panics
//! are caught, its time is bounded, its `Host` is checked, and then its handler (`routes`) runs: typed arguments in, one or
//! two calls into the crates below, a view out. A handler fails with a `Problem`; the outermost layer writes it as
//! `application/problem+json`, so that no error leaves in any other form, whoever made it.
//!
//! Bodies are read through `body` (bounded, by length and by what is in flight) and decoded on blocking threads through
//! `gate` (bounded in number). What a batch of events becomes is decided in `batch`, without any I/O.
//!
//! What is absent: credentials. Therefore only requests that name a loopback host, or one of [`Options::hosts`], are
//! served: a web page cannot reach a server on this machine by rebinding its own name to it.

mod app;
mod batch;
mod body;
mod gate;
mod host;
pub(crate) mod intake;
mod layers;
mod manifest;
mod metrics;
mod openapi;
mod problem;
mod query;
mod registered;
mod routes;
pub(crate) mod spans;
#[cfg(test)]
mod tests;
pub(crate) mod trace_id;

use std::io;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower_http::catch_panic::CatchPanicLayer;

pub use app::{App, Limits, Options};
pub(crate) use problem::{Problem, rpc_code};

/// How long running requests may take once the server was asked to stop.
const GRACE: Duration = Duration::from_secs(15);

/// All routes, ready to be served.
pub fn router(app: App) -> Router {
    // The last layer is the outermost one.
    routes::all()
        .layer(from_fn_with_state(app.clone(), layers::check_host))
        .layer(from_fn_with_state(app.clone(), layers::bound_time))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(app.clone(), layers::observe))
        .with_state(app)
}

/// Serves until `shutdown` ends; then takes no new connections and gives running requests 15 seconds.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let shutdown = async move {
        shutdown.await;
        if stopping.send(()).is_err() {
            tracing::debug!("the server had stopped before it was asked to");
        }
    };
    // Answers are small and written at once: there is nothing to wait for before sending them.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let grace = async {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(shutdown) => served,
        () = grace => {
            tracing::warn!("requests were still running and are cut off");
            Ok(())
        }
    }
}
