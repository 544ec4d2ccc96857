//! The document at `/openapi.json`: a frame, the handlers' own descriptions, and what holds for all of them.

use std::sync::Arc;

use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr};

use super::problem::ProblemView;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tidemark",
        description = "Records what retrieval returns, compares windows and corpus versions, and names the causes of change.\n\n\
            Events are sent to `/v1/retrievals` and `/v1/outputs`; 202 means that they are on disk. They become visible to \
            questions a few seconds later. Every error is `application/problem+json` with what to do next.",
    ),
    components(schemas(ProblemView)),
    tags(
        (name = "events", description = "Sending events, and looking at those of one trace"),
        (name = "corpora", description = "What each version of a corpus holds"),
        (name = "comparisons", description = "Comparing windows of events"),
        (name = "sql", description = "Asking the tables in SQL"),
        (name = "operation", description = "How the server is"),
    ),
)]
struct Frame;

/// What is there before the routes.
pub(crate) fn frame() -> OpenApi {
    Frame::openapi()
}

/// The whole document as text.
pub(crate) fn render(mut description: OpenApi) -> Arc<str> {
    for operation in description.paths.paths.values_mut().flat_map(operations) {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description("What went wrong, and what to do next")
            .content("application/problem+json", content)
            .build();
        operation.responses.responses.insert("default".to_owned(), RefOr::T(response));
    }
    // Writing what was built from constants cannot fail; if it did, the document would be empty and its test would tell.
    description.to_pretty_json().unwrap_or_default().into()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}
