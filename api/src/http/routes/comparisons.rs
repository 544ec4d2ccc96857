//! Comparing two windows.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use serde::Deserialize;
use tidemark_analyzer::{Report, Segment};
use utoipa::ToSchema;

use super::parsed;
use crate::http::app::App;
use crate::http::body;
use crate::http::problem::Problem;
use crate::operations::Comparison;

/// Compare two windows of a corpus
///
/// Does the same query get different context, and why? The report names its windows, corpus versions and table version;
/// the same comparison gives the same report.
#[utoipa::path(
    post,
    path = "/v1/comparisons",
    tag = "comparisons",
    request_body = ComparisonRequest,
    responses((
        status = 200,
        description = "The report, as the contract describes it: verdicts, causes with their shares, the queries that changed most",
        body = Object,
    )),
)]
pub(crate) async fn create(State(app): State<App>, request: Request) -> Result<Json<Report>, Problem> {
    let asked: ComparisonRequest = body::json(&app, request).await?;
    let corpus = parsed("corpus", &asked.corpus)?;
    let segment = Segment::new(asked.segment)?;
    let windows = [asked.reference.as_str(), asked.current.as_str()];
    let comparison = Comparison::new(&corpus, windows, segment, app.options.comparison, app.clock.now())?;
    let compare = Box::pin(app.operations.compare(&app.caller, comparison));
    Ok(Json(app.gate.compute(move || compare).await??))
}

/// Which windows to compare.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComparisonRequest {
    /// The corpus.
    #[schema(example = "handbook")]
    corpus: String,
    /// The window that is compared with: `version:v1`, `2026-11-01..2026-11-08`, `last:7d` or `before:7d`, which are the 7 days
    /// before the other window.
    #[schema(example = "version:2026-11-11")]
    reference: String,
    /// The window that is judged.
    #[schema(example = "version:2026-11-18")]
    current: String,
    /// Only the traffic with these keys and values.
    #[serde(default)]
    #[schema(example = json!({"locale": "de"}))]
    segment: BTreeMap<String, String>,
}
