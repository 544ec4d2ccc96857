//! What is stored of one trace.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use tidemark_analyzer::{Selector, TraceDiff};
use tidemark_schema::{Ingest, OutputEvent, RetrievalEvent, Stored, Timestamp, TraceId};
use utoipa::ToSchema;

use super::parsed;
use crate::http::app::App;
use crate::http::problem::{INVALID, Problem};
use crate::http::query::Parameters;

/// The retrievals and outputs of a trace
///
/// Also takes the id of an operation. An event becomes visible a few seconds after it was acknowledged.
#[utoipa::path(
    get,
    path = "/v1/traces/{id}",
    tag = "events",
    params(("id" = String, Path, description = "A trace id, or an operation id")),
    responses((status = 200, description = "What is stored of it", body = TraceView)),
)]
pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<TraceView>, Problem> {
    let id: TraceId = parsed("id", &id)?;
    let find = app.operations.trace(&app.caller, &id, app.options.limits.trace_events);
    let found = app.gate.look_up(find).await??;
    Ok(Json(TraceView {
        trace_id: id.to_string(),
        retrievals: found.retrievals.into_iter().map(StoredView::from).collect(),
        outputs: found.outputs.into_iter().map(StoredView::from).collect(),
        truncated: found.truncated,
    }))
}

/// A trace side by side with another, or with what its query got before
///
/// Without `other`, the newest earlier answer to the same query that differs; `reference` says where to look for it.
#[utoipa::path(
    get,
    path = "/v1/traces/{id}/diff",
    tag = "events",
    params(("id" = String, Path, description = "A trace id, or an operation id"), DiffParams),
    responses((
        status = 200,
        description = "Every document of either retrieval with its ranks and scores, what became of it and why",
        body = Object,
    )),
)]
pub(crate) async fn diff(
    State(app): State<App>,
    Path(id): Path<String>,
    Parameters(params): Parameters<DiffParams>,
) -> Result<Json<TraceDiff>, Problem> {
    let corpus = params.corpus.clone();
    let (other, reference) = params.parsed()?;
    let trace = parsed("id", &id)?;
    let gate = app.gate.clone();
    let diff = move || async move { app.operations.diff(&app.caller, trace, other, reference).await };
    let diff = gate.compute(diff).await??;
    match corpus {
        Some(corpus) if corpus != diff.current.corpus => {
            let detail = format!("the trace asked the corpus {}, not {corpus}", diff.current.corpus);
            Err(Problem::new(&INVALID, detail).hint("leave corpus out, or correct it"))
        }
        _ => Ok(Json(diff)),
    }
}

/// What a trace is compared with.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffParams {
    /// Another trace, or operation.
    other: Option<String>,
    /// The corpus that the trace is expected to have asked.
    corpus: Option<String>,
    /// Where earlier answers are looked for: `version:v1`, `2026-11-01..2026-11-08` or `last:7d`.
    reference: Option<String>,
}

impl DiffParams {
    fn parsed(self) -> Result<(Option<TraceId>, Option<Selector>), Problem> {
        if self.other.is_some() && self.reference.is_some() {
            let detail = "other names the trace to compare with, so reference has nothing to select";
            return Err(Problem::new(&INVALID, detail).hint("give either other or reference"));
        }
        let reference = self.reference.map(|selector| selector.parse::<Selector>()).transpose()?;
        let other = self.other.map(|other| parsed("other", &other)).transpose()?;
        Ok((other, reference))
    }
}

/// What is stored of a trace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TraceView {
    /// The id that was asked for.
    trace_id: String,
    /// Its retrievals in the format in which they are sent, with `received_at` and `ingest`.
    #[schema(value_type = Vec<Object>)]
    retrievals: Vec<StoredView<RetrievalEvent>>,
    /// The outputs of the trace and of its retrievals' operations, likewise.
    #[schema(value_type = Vec<Object>)]
    outputs: Vec<StoredView<OutputEvent>>,
    /// Whether there are more than are shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    truncated: bool,
}

/// An event in the format in which it was sent, and how it came in.
#[derive(Debug, Serialize)]
struct StoredView<E> {
    #[serde(flatten)]
    event: E,
    received_at: Timestamp,
    ingest: Ingest,
}

impl<E> From<Stored<E>> for StoredView<E> {
    fn from(Stored { received_at, ingest, event }: Stored<E>) -> Self {
        Self { event, received_at, ingest }
    }
}
