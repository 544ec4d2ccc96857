//! What each version of a corpus holds.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidemark_collector::intake::Body;
use tidemark_corpus::{CorpusVersionRecord, DiffSummary, NewVersion, Registered};
use tidemark_schema::{CorpusName, CorpusVersion, Timestamp};
use utoipa::ToSchema;

use super::{maybe_parsed, parsed};
use crate::http::app::App;
use crate::http::body::receive;
use crate::http::manifest;
use crate::http::problem::{INVALID, NOT_FOUND, Problem};
use crate::http::query::Parameters;

/// How many examples of each kind a diff may name.
const EXAMPLES_MAX: usize = 1_000;
/// The longest `source`.
const SOURCE_BYTES: usize = 1_024;

/// The versions of a corpus
///
/// By the time of their registration, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/corpora/{corpus}/versions",
    tag = "corpora",
    params(("corpus" = String, Path, description = "A slash in the name is written %2F"), PageParams),
    responses((status = 200, description = "A page of them", body = VersionPage)),
)]
pub(crate) async fn versions(
    State(app): State<App>,
    Path(corpus): Path<String>,
    Parameters(page): Parameters<PageParams>,
) -> Result<Json<VersionPage>, Problem> {
    let corpus: CorpusName = parsed("corpus", &corpus)?;
    let records = app.operations.versions(&app.caller, Some(&corpus)).await?;
    if records.is_empty() {
        let hint = "correct the name, or register a version: POST /v1/corpora/{corpus}/versions/{version}";
        return Err(Problem::new(&NOT_FOUND, format!("no version of corpus {corpus} is registered")).hint(hint));
    }
    page.of(records).map(Json)
}

/// One version of a corpus
#[utoipa::path(
    get,
    path = "/v1/corpora/{corpus}/versions/{version}",
    tag = "corpora",
    params(
        ("corpus" = String, Path, description = "A slash in the name is written %2F"),
        ("version" = String, Path, description = "A slash in the name is written %2F"),
    ),
    responses((status = 200, description = "What is on record", body = VersionView)),
)]
pub(crate) async fn show(
    State(app): State<App>,
    Path((corpus, version)): Path<(String, String)>,
) -> Result<Json<VersionView>, Problem> {
    let (corpus, version) = (parsed("corpus", &corpus)?, parsed("version", &version)?);
    Ok(Json(app.operations.version(&app.caller, &corpus, &version).await?.into()))
}

/// Register a version of a corpus
///
/// The body is its manifest: NDJSON with one entry per document or chunk, plain or compressed with gzip or zstd. At most
/// 64 MiB as sent, 256 MiB after decompression, a million entries. `tidemark corpus register` on the machine of the store
/// takes more, and Parquet files. Registering the same content again is fine.
#[utoipa::path(
    post,
    path = "/v1/corpora/{corpus}/versions/{version}",
    tag = "corpora",
    params(
        ("corpus" = String, Path, description = "A slash in the name is written %2F"),
        ("version" = String, Path, description = "A slash in the name is written %2F"),
        RegisterParams,
    ),
    request_body(
        description = "The manifest; required in each entry are `doc_id` and `content_hash`",
        content((String = "application/x-ndjson")),
    ),
    responses(
        (status = 201, description = "It is on record", body = RegistrationView),
        (status = 200, description = "It was on record with the same content; the record stays as it was",
            body = RegistrationView),
        (status = 409, description = "It is on record with other content",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn register(
    State(app): State<App>,
    Path((corpus, version)): Path<(String, String)>,
    Parameters(params): Parameters<RegisterParams>,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let new = params.version(&corpus, &version, app.clock.now())?;
    let location = request.uri().path().to_owned();
    let limits = app.options.limits;
    let Body { bytes, compression, room: _room } = receive(&app, request, limits.manifest_body_bytes).await?;
    let gate = app.gate.clone();
    let register = move || async move {
        let manifest = manifest::read(&bytes, compression, &limits)?;
        drop(bytes);
        app.operations.register_version(&app.caller, new, manifest).await.map_err(Problem::from)
    };
    let registered = gate.compute(register).await??;
    let status = if registered.already_registered { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, [(header::LOCATION, location)], Json(RegistrationView::from(registered))))
}

/// What changed from one version of a corpus to another
#[utoipa::path(
    get,
    path = "/v1/corpora/{corpus}/diff",
    tag = "corpora",
    params(("corpus" = String, Path, description = "A slash in the name is written %2F"), DiffParams),
    responses((status = 200, description = "Counts, and some documents of each kind", body = DiffView)),
)]
pub(crate) async fn diff(
    State(app): State<App>,
    Path(corpus): Path<String>,
    Parameters(params): Parameters<DiffParams>,
) -> Result<Json<DiffView>, Problem> {
    let corpus: CorpusName = parsed("corpus", &corpus)?;
    let (from, to) = (parsed("from", &params.from)?, parsed("to", &params.to)?);
    let examples = params.examples.min(EXAMPLES_MAX);
    let gate = app.gate.clone();
    let diff = move || async move { app.operations.diff_versions(&app.caller, &corpus, [&from, &to]).await };
    Ok(Json(gate.compute(diff).await??.summary(examples).into()))
}

/// Which part of a list is wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// How many at most, up to 1,000.
    #[serde(default = "PageParams::usual_limit")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: usize,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl PageParams {
    fn usual_limit() -> usize {
        100
    }

    /// The page, given the whole list. The cursor is the last version of the page before: versions are never removed.
    fn of(&self, mut records: Vec<CorpusVersionRecord>) -> Result<VersionPage, Problem> {
        if let Some(cursor) = &self.cursor {
            let last = records.iter().position(|record| record.version.as_str() == cursor);
            let last = last.ok_or_else(|| {
                Problem::new(&INVALID, "cursor is none of this list").hint("begin again without cursor")
            })?;
            records.drain(..=last);
        }
        let limit = self.limit.clamp(1, 1_000);
        let more = records.len() > limit;
        records.truncate(limit);
        let next_cursor = records.last().filter(|_| more).map(|record| record.version.to_string());
        Ok(VersionPage { versions: records.into_iter().map(VersionView::from).collect(), next_cursor })
    }
}

/// What is known of a version besides its manifest.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RegisterParams {
    /// The version it was made from; has to be registered.
    parent: Option<String>,
    /// The embedding model.
    embedder: Option<String>,
    /// The index or collection that serves it.
    index: Option<String>,
    /// Where the manifest came from.
    source: Option<String>,
}

impl RegisterParams {
    fn version(self, corpus: &str, version: &str, now: Timestamp) -> Result<NewVersion, Problem> {
        let mut new = NewVersion::named(parsed("corpus", corpus)?, parsed("version", version)?, now);
        new.parent = maybe_parsed::<CorpusVersion>("parent", self.parent.as_deref())?;
        new.embedder = maybe_parsed("embedder", self.embedder.as_deref())?;
        new.index = maybe_parsed("index", self.index.as_deref())?;
        new.source = self.source.filter(|source| !source.is_empty());
        match &new.source {
            Some(source) if source.len() > SOURCE_BYTES => {
                let reason = format!("has {} bytes, the limit is {SOURCE_BYTES}", source.len());
                Err(Problem::field("source", &reason))
            }
            _ => Ok(new),
        }
    }
}

/// Which versions are compared.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffParams {
    /// The older version.
    from: String,
    /// The newer version.
    to: String,
    /// How many documents of each kind are named, up to 1,000.
    #[serde(default = "DiffParams::usual_examples")]
    #[param(default = 10, maximum = 1000)]
    examples: usize,
}

impl DiffParams {
    fn usual_examples() -> usize {
        10
    }
}

/// A part of the versions of a corpus.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionPage {
    versions: Vec<VersionView>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What is on record about a version of a corpus. What is not known is null.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionView {
    corpus: String,
    version: String,
    /// The version it was made from.
    parent: Option<String>,
    /// The Merkle root of its manifest: two versions of the same root hold the same.
    #[schema(example = "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")]
    root: String,
    /// How many documents or chunks it holds.
    entries: u64,
    /// The embedding model.
    embedder: Option<String>,
    /// The index or collection that serves it.
    index: Option<String>,
    /// How the index was built and is searched.
    index_params: BTreeMap<String, Value>,
    /// Where the manifest came from.
    source: Option<String>,
    /// Who registered it.
    creator: Option<String>,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// `registered`, `active` or `retired`.
    #[schema(value_type = String)]
    state: tidemark_corpus::State,
}

impl From<CorpusVersionRecord> for VersionView {
    fn from(record: CorpusVersionRecord) -> Self {
        Self {
            corpus: record.corpus.to_string(),
            version: record.version.to_string(),
            parent: record.parent.map(|parent| parent.to_string()),
            root: record.root.to_string(),
            entries: record.entries,
            embedder: record.embedder.map(|embedder| embedder.to_string()),
            index: record.index.map(|index| index.to_string()),
            index_params: record.index_params,
            source: record.source,
            creator: record.creator.map(|creator| creator.to_string()),
            created_at: record.created_at,
            state: record.state,
        }
    }
}

/// A version is on record.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegistrationView {
    record: VersionView,
    /// Whether it was there before.
    already_registered: bool,
    /// What was said differently this time; the record stays as it was.
    kept: Vec<String>,
}

impl From<Registered> for RegistrationView {
    fn from(registered: Registered) -> Self {
        Self {
            record: registered.record.into(),
            already_registered: registered.already_registered,
            kept: registered.kept.into_iter().map(str::to_owned).collect(),
        }
    }
}

/// What changed from one version to another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiffView {
    /// Documents that only the newer version has.
    added: u64,
    /// Documents that only the older version has.
    removed: u64,
    /// Documents with other content.
    modified: u64,
    /// Documents with the same content.
    unchanged: u64,
    /// How many of the unchanged have another scope.
    rescoped: u64,
    /// How many of the unchanged have another vector.
    revectored: u64,
    examples: ExamplesView,
}

/// The first documents of each kind, in the order of their ids.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExamplesView {
    added: Vec<String>,
    removed: Vec<String>,
    modified: Vec<String>,
}

impl From<DiffSummary> for DiffView {
    fn from(summary: DiffSummary) -> Self {
        let texts = |ids: Vec<tidemark_schema::DocumentId>| ids.iter().map(ToString::to_string).collect();
        let DiffSummary { added, removed, modified, unchanged, rescoped, revectored, examples } = summary;
        let examples = ExamplesView {
            added: texts(examples.added),
            removed: texts(examples.removed),
            modified: texts(examples.modified),
        };
        Self { added, removed, modified, unchanged, rescoped, revectored, examples }
    }
}
