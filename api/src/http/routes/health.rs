//! How the server is.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use tidemark_collector::Health;
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::metrics;
use crate::http::problem::{INTERNAL, Problem, UNAVAILABLE};

/// Whether the process is up
#[utoipa::path(
    get,
    path = "/livez",
    tag = "operation",
    responses((status = 200, description = "It is", body = String, content_type = "text/plain")),
)]
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether events are taken
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses((status = 200, description = "They are; 503 when the log cannot be written", body = Readiness)),
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<Readiness>, Problem> {
    match readiness(&app.collector.health()) {
        ready @ Readiness { state: WriteState::Normal, .. } => Ok(Json(ready)),
        unready => Err(Problem::new(&UNAVAILABLE, "the write-ahead log cannot be written")
            .hint(
                "check the disk of the log, then restart the server: what was acknowledged is read from the log again",
            )
            .tells(&unready)),
    }
}

/// Counters and gauges in the text format that Prometheus reads
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, description = "All metrics", body = String, content_type = "application/openmetrics-text")),
)]
pub(crate) async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let text = app.metrics.encode();
    let text = text.map_err(|error| Problem::new(&INTERNAL, "the metrics cannot be written").caused_by(&error))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
}

/// How the collector is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether events can be written.
    state: WriteState,
    /// Events that are on disk and not in the table yet.
    pending_events: u64,
    /// Bytes of the write-ahead log.
    log_bytes: u64,
    /// Whether the last flush into the table worked; while it does not, events wait in the log.
    flushing: bool,
}

/// Whether events can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WriteState {
    /// They can.
    Normal,
    /// The log takes none; what is stored can be read.
    ReadOnly,
}

fn readiness(health: &Health) -> Readiness {
    Readiness {
        state: if health.writable { WriteState::Normal } else { WriteState::ReadOnly },
        pending_events: health.pending as u64,
        log_bytes: health.log_bytes,
        flushing: health.flushing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_takes_no_events_is_read_only() {
        let health = Health { writable: false, pending: 3, log_bytes: 4096, flushing: true, ..Health::default() };
        let shown = serde_json::to_string(&readiness(&health)).unwrap();
        assert_eq!(shown, r#"{"state":"read_only","pending_events":3,"log_bytes":4096,"flushing":true}"#);
        assert_eq!(readiness(&Health { writable: true, ..health }).state, WriteState::Normal);
    }
}
