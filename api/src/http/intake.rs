//! From a request to what became of its events, for HTTP and gRPC.

use std::sync::Arc;

use axum::extract::Request;
use tidemark_collector::intake::{Answers, Body, Format};

use super::app::App;
use super::body::{pass_over, receive};
use super::problem::Problem;
use super::registered::Versions;

/// Reads the body of a request and stores its events.
pub(crate) async fn take(app: &App, format: Format, request: Request) -> Result<Answers, Problem> {
    let most = app.options.limits.body_bytes;
    // What would be refused after decoding is refused before it.
    if let Err(refused) = app.operations.ready_to_ingest(&app.caller) {
        pass_over(request.into_body(), most).await;
        return Err(refused.into());
    }
    take_bytes(app, format, receive(app, request, most).await?).await
}

/// Stores the events of bytes that are there already.
pub(crate) async fn take_bytes(app: &App, format: Format, body: Body) -> Result<Answers, Problem> {
    let versions = versions(app, format).await?;
    let intake = Arc::clone(&app.intake);
    let read = move || intake.read(body, format, &|corpus, time| versions.at(corpus, time));
    let read = app.gate.decode(read).await??;
    let answers = app.operations.ingest(&app.caller, read).await?;
    app.metrics.ingested(&answers);
    Ok(answers)
}

/// The versions that spans may have retrieved from, if they are asked for at all.
async fn versions(app: &App, format: Format) -> Result<Arc<Versions>, Problem> {
    if matches!(format, Format::Events(_)) || !app.intake.uses_registry() {
        return Ok(Arc::default());
    }
    Ok(app.registered.versions(&app.operations, &app.caller, app.clock.now()).await?)
}
