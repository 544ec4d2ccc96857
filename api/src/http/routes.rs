//! All routes. Each is described where it is handled, and `/openapi.json` is made from these descriptions.

mod comparisons;
mod corpora;
mod health;
mod ingest;
mod otlp;
mod sql;
mod storage;
mod traces;

use std::fmt::Display;
use std::str::FromStr;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::problem::Problem;
use super::{layers, openapi};

/// The routes without the layers around them.
pub(crate) fn all() -> Router<App> {
    let (router, description) = described().split_for_parts();
    let description = openapi::render(description);
    let json = [(header::CONTENT_TYPE, "application/json")];
    router
        .route("/openapi.json", get(move || std::future::ready((json, description.to_string()))))
        .fallback(layers::unknown_route)
}

/// The one list.
pub(crate) fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::frame())
        // What applications send.
        .routes(routes!(ingest::retrievals))
        .routes(routes!(ingest::outputs))
        .routes(routes!(otlp::export))
        // What people and programs ask.
        .routes(routes!(traces::show))
        .routes(routes!(traces::diff))
        .routes(routes!(corpora::versions))
        .routes(routes!(corpora::show, corpora::register))
        .routes(routes!(corpora::diff))
        .routes(routes!(comparisons::create))
        .routes(routes!(sql::ask))
        // What operators and their tools look at.
        .routes(routes!(storage::show))
        .routes(routes!(storage::policy))
        .routes(routes!(storage::audit))
        .routes(routes!(storage::create_erasure))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

/// An argument as what it stands for, or a problem that names it.
fn parsed<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::field(name, &error))
}

/// The same for one that may be left out or empty.
fn maybe_parsed<T: FromStr<Err: Display>>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    text.filter(|text| !text.is_empty()).map(|text| parsed(name, text)).transpose()
}
