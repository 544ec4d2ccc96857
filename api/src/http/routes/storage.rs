//! What the store takes, what was done to it, what holds for whom, and taking a principal's events out.

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use tidemark_schema::Label;
use utoipa::ToSchema;

use super::{maybe_parsed, parsed};
use crate::audit::Record;
use crate::erasure::{Erasure, erase};
use crate::http::app::App;
use crate::http::body;
use crate::http::problem::{INTERNAL, Problem};
use crate::http::query::Parameters;
use crate::storage::{Storage, storage};
use crate::wire;

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
    let rules = wire::rules(app.policy.retention());
    let report = app.gate.look_up(storage(&app.store, &rules)).await?;
    Ok(Json(report.map_err(tidemark_analyzer::Error::from)?))
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
    let effective = serde_json::to_value(app.policy.describe(service.as_ref(), principal.as_ref()));
    effective.map(Json).map_err(|error| Problem::new(&INTERNAL, "the policy cannot be shown").caused_by(&error))
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
    let log = app.store.audit();
    let contents = tokio::task::spawn_blocking(move || log.read()).await;
    let unreadable =
        |error: &dyn std::error::Error| Problem::new(&INTERNAL, "the audit log cannot be read").caused_by(error);
    let contents = contents.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))?;
    let mut records: Vec<Record> = contents
        .records
        .into_iter()
        .filter(|record| wanted.after.is_none_or(|after| record.number > after))
        .filter(|record| wanted.action.as_ref().is_none_or(|action| record.action == *action))
        .take(RECORDS + 1)
        .collect();
    let more = records.len() > RECORDS;
    records.truncate(RECORDS);
    let next = records.last().map(|record| record.number).filter(|_| more);
    Ok(Json(AuditPage { records, breaks: contents.breaks, next }))
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
    app.collector.forget_flushed().await?;
    let erased = app
        .gate
        .compute({
            let app = app.clone();
            move || async move { erase(&app.store, &app.keys.current, &principal, "server", app.clock.now()).await }
        })
        .await?;
    Ok(Json(erased.map_err(tidemark_analyzer::Error::from)?))
}
