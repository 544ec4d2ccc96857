//! How the server is.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use tidemark_collector::{Health, Mode};
use tidemark_schema::Timestamp;
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
///
/// In the modes `normal` and `shedding` they are, in `read_only` and `recovering` they are not; reads work in all of them, and
/// the way back is automatic.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses(
        (status = 200, description = "They are", body = Readiness),
        (status = 503, description = "They are not; the members of `Readiness` say why",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<Readiness>, Problem> {
    let health = app.collector.health();
    let readiness = readiness(&health);
    if health.mode.takes_events() {
        return Ok(Json(readiness));
    }
    Err(Problem::new(&UNAVAILABLE, format!("no events are taken: {}", health.mode_reason))
        .hint("the collector goes on by itself once the reason is gone; what was acknowledged is safe, and reads work")
        .tells(&readiness))
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
    /// How events are taken.
    #[schema(value_type = String, example = "normal")]
    state: Mode,
    /// Why.
    reason: String,
    /// Since when.
    #[schema(value_type = String)]
    since: Timestamp,
    /// Events that are on disk and not in the table yet.
    pending_events: u64,
    /// Their bytes in the log.
    pending_bytes: u64,
    /// Bytes of the write-ahead log.
    log_bytes: u64,
    /// Whether the last flush into the table worked; while it does not, events wait in the log.
    flushing: bool,
    /// Damaged places of the write-ahead log that were found when it was opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    log_damage: Vec<String>,
    /// Records of the log that could not be read and were kept aside.
    unreadable_records: u64,
}

fn readiness(health: &Health) -> Readiness {
    Readiness {
        state: health.mode,
        reason: health.mode_reason.clone(),
        since: health.mode_since,
        pending_events: health.pending as u64,
        pending_bytes: health.pending_bytes,
        log_bytes: health.log_bytes,
        flushing: health.flushing,
        log_damage: health.damage.places.clone(),
        unreadable_records: health.unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_takes_no_events_is_read_only() {
        let health = Health {
            mode: Mode::ReadOnly,
            mode_reason: "the disk of the log is full".to_owned(),
            pending: 3,
            pending_bytes: 300,
            log_bytes: 4096,
            flushing: true,
            ..Health::default()
        };
        let shown = serde_json::to_string(&readiness(&health)).unwrap();
        insta::assert_snapshot!(shown, @r#"{"state":"read_only","reason":"the disk of the log is full","since":"2000-01-01T00:00:00Z","pending_events":3,"pending_bytes":300,"log_bytes":4096,"flushing":true,"unreadable_records":0}"#);
    }
}
