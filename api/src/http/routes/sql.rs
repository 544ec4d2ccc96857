//! Questions in SQL.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use futures::stream;
use serde::Deserialize;
use tidemark_lake::{SqlAnswer, SqlForm};
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::body;
use crate::http::problem::{INTERNAL, Problem};

const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
/// Whether rows were left out; in JSON it is in the body as well.
const TRUNCATED: HeaderName = HeaderName::from_static("tidemark-truncated");

/// Ask the tables in SQL
///
/// Read only, in the dialect of `DataFusion`; the tables are `retrievals` and `outputs`. At most 4 KiB of text, 30
/// seconds, 100,000 rows and 32 MiB of answer, beyond which `truncated` (and the header `tidemark-truncated`) is true. With
/// `Accept: application/vnd.apache.arrow.stream` the answer is an Arrow IPC stream. An event that was sent again while its
/// first copy was on the way may be counted twice until its partition is merged; `count(DISTINCT event_id)` is exact.
#[utoipa::path(
    post,
    path = "/v1/sql",
    tag = "sql",
    request_body = SqlRequest,
    responses(
        (status = 200, description = "The rows", content((SqlRows = "application/json"), (String = "application/vnd.apache.arrow.stream"))),
        (status = 422, description = "The query is wrong, is no query, or takes more than it may",
            body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn ask(State(app): State<App>, request: Request) -> Result<impl IntoResponse, Problem> {
    let as_arrow = request.headers().get_all(header::ACCEPT).iter().any(|accept| names(accept, ARROW_STREAM));
    let form = if as_arrow { SqlForm::ArrowStream } else { SqlForm::Json };
    let SqlRequest { query } = body::json(&app, request).await?;
    let gate = app.gate.clone();
    let asked = async move { app.operations.query(&app.caller, &query, form, app.options.limits.sql).await };
    let answer = gate.query(asked).await??;
    let truncated = HeaderValue::from_static(if answer.truncated { "true" } else { "false" });
    let (content_type, content) = match form {
        SqlForm::ArrowStream => (ARROW_STREAM, Body::from(answer.content)),
        SqlForm::Json => ("application/json", as_json(answer)?),
    };
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type)), (TRUNCATED, truncated)];
    Ok((headers, content))
}

fn names(accept: &HeaderValue, wanted: &str) -> bool {
    let Ok(accept) = accept.to_str() else { return false };
    accept.split(',').any(|one| one.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted)))
}

/// [`SqlRows`] around rows that are JSON already and many bytes, which are sent as they are.
fn as_json(answer: SqlAnswer) -> Result<Body, Problem> {
    let SqlAnswer { columns, content, truncated } = answer;
    let columns = serde_json::to_string(&columns)
        .map_err(|error| Problem::new(&INTERNAL, "the names of the columns are no JSON").caused_by(&error))?;
    let before = Bytes::from(format!(r#"{{"columns":{columns},"rows":"#));
    let after = Bytes::from(format!(r#","truncated":{truncated}}}"#));
    let parts = [before, Bytes::from(content), after].map(Ok::<_, Infallible>);
    Ok(Body::from_stream(stream::iter(parts)))
}

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlRequest {
    /// The query.
    #[schema(example = "SELECT corpus, count(*) AS events FROM retrievals GROUP BY corpus")]
    query: String,
}

/// Its answer.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what is written in parts")]
pub(crate) struct SqlRows {
    /// The names of the columns, in their order.
    columns: Vec<String>,
    /// One object for each row.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<()>,
    /// Whether rows were left out because there are more than fit.
    truncated: bool,
}
