//! What the store takes, what was done to it, what holds for whom, and taking a principal's events out.

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use tidemark_schema::Label;
use utoipa::ToSchema;

use super::{maybe_parsed, parsed};
use crate::audit::Record;
use crate::http::app::App;
use crate::http::body;
use crate::http::problem::{INTERNAL, Problem};
use crate::http::query::Parameters;
use crate::operations::storage::Storage;
use crate::operations::{AuditPage as Page, Erasure};

/// The most records of the audit log in one answer.
const RECORDS: usize = 1_000;

/// What uses the disk, what happens when it fills, and what can be freed
#[utoipa::path(
    get,
    path = "/v1/storage",
    tag = "operation",
    responses((status = 200, description = "Bytes by table, corpus and purpose", body = Object)),
)]
pub(crate) async fn show(State(app): State<App>) -> Result<Json<Storage>, Problem> {
    Ok(Json(app.gate.look_up(app.operations.storage(&app.caller)).await??))
}

/// What holds for a service and a principal
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PolicyParams {
    /// The service
    service: Option<String>,
    /// The principal
    principal: Option<String>,
}

/// The policy in force, as it holds for a service and a principal
#[utoipa::path(
    get,
    path = "/v1/policies",
    tag = "operation",
    params(PolicyParams),
    responses((status = 200, description = "Texts, detectors and bounds", body = Object)),
)]
pub(crate) async fn policy(
    State(app): State<App>,
    Parameters(whose): Parameters<PolicyParams>,
) -> Result<Json<serde_json::Value>, Problem> {
    let service: Option<Label> = maybe_parsed("service", whose.service.as_deref())?;
    let principal: Option<Label> = maybe_parsed("principal", whose.principal.as_deref())?;
    let effective = app.operations.effective_policy(&app.caller, service.as_ref(), principal.as_ref())?;
    serde_json::to_value(effective)
        .map(Json)
        .map_err(|error| Problem::new(&INTERNAL, "the policy cannot be shown").caused_by(&error))
}

/// Which records of the audit log
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditParams {
    /// Only this action, such as `mode`, `compaction`, `retention`, `sweep`, `erasure`
    action: Option<String>,
    /// Only records with a number after this one
    after: Option<u64>,
}

/// Records of the audit log, oldest first
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// At most 1,000 records.
    #[schema(value_type = Vec<Object>)]
    records: Vec<Record>,
    /// Where the chain of hashes is broken; empty when it is whole.
    breaks: Vec<String>,
    /// The number to give as `after` for the next page; none when this is the last.
    next: Option<u64>,
}

/// What was done to the store, and in which mode the collector was
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "operation",
    params(AuditParams),
    responses((status = 200, description = "Records, oldest first", body = AuditPage)),
)]
pub(crate) async fn audit(
    State(app): State<App>,
    Parameters(wanted): Parameters<AuditParams>,
) -> Result<Json<AuditPage>, Problem> {
    let after = wanted.after.unwrap_or_default();
    let page = app.operations.records_after(&app.caller, wanted.action.as_deref(), after, RECORDS).await?;
    let Page { records, left_out, breaks, .. } = page;
    let next = records.last().map(|record| record.number).filter(|_| left_out > 0);
    Ok(Json(AuditPage { records, breaks, next }))
}

/// Whose events are to go
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasureRequest {
    /// The principal, as events name it.
    #[schema(example = "user:4711")]
    principal: String,
}

/// Take all events of a principal out of the store, for good
///
/// Files that hold its events are rewritten, and earlier versions of the tables are deleted. The chain of evidence and the
/// audit log keep a tombstone with a keyed hash of the name.
#[utoipa::path(
    post,
    path = "/v1/erasures",
    tag = "operation",
    request_body = ErasureRequest,
    responses((status = 200, description = "They are gone", body = Object)),
)]
pub(crate) async fn create_erasure(State(app): State<App>, request: Request) -> Result<Json<Erasure>, Problem> {
    let asked: ErasureRequest = body::json(&app, request).await?;
    let principal: Label = parsed("principal", &asked.principal)?;
    // Tables that take nothing must not keep comparisons waiting.
    app.operations.empty_log(&app.caller).await?;
    let gate = app.gate.clone();
    let erase = move || async move { app.operations.erase(&app.caller, &principal).await };
    Ok(Json(gate.compute(erase).await??))
}
