//! What happens around every handler, outermost last.

use std::any::Any;

use axum::body::to_bytes;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tracing::Instrument;

use super::app::App;
use super::host::{self, Refused};
use super::problem::{
    FORBIDDEN_HOST, INTERNAL, INVALID, MALFORMED, NOT_FOUND, Problem, TIMEOUT, TOO_LARGE, UNKNOWN_ROUTE, WRONG_METHOD,
};
use super::trace_id;

/// The route of what has none, so that made-up paths do not become labels.
const UNMATCHED: &str = "unmatched";

/// Refuses what does not ask for this server by a name of its own.
pub(crate) async fn check_host(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    match host::check(request.uri(), request.headers(), &app.options.hosts) {
        Ok(()) => Ok(next.run(request).await),
        Err(Refused::Host(name)) if name.is_empty() => Err(Problem::new(&FORBIDDEN_HOST, "the request names no host")),
        Err(Refused::Host(name)) => Err(Problem::new(&FORBIDDEN_HOST, format!("{name:?} is no host of this server"))),
        Err(Refused::Origin(origin)) => {
            let detail = format!("pages of {origin:?} may not use this server");
            Err(Problem::new(&FORBIDDEN_HOST, detail).hint("open the pages of this server itself, or use a program"))
        }
    }
}

/// Ends what takes too long. What runs on blocking threads goes on, and keeps its place, until it is done.
pub(crate) async fn bound_time(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    let limit = app.options.request_timeout;
    let answer = tokio::time::timeout(limit, next.run(request)).await;
    answer.map_err(|_| Problem::new(&TIMEOUT, format!("it was not done after {} seconds", limit.as_secs_f64())))
}

/// The answer when a handler panics. The message was printed by the panic hook and goes nowhere else.
pub(crate) fn panicked(_payload: Box<dyn Any + Send + 'static>) -> Response {
    Problem::new(&INTERNAL, "the server met a condition that it does not expect").into_response()
}

/// The answer for paths that are no route.
pub(crate) async fn unknown_route(request: Request) -> Problem {
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::new(&UNKNOWN_ROUTE, format!("there is no route {path}"))
}

/// Gives the request its trace id, counts and times it, and writes and logs its problem if it ends in one.
pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let trace_id = trace_id::of(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str).to_owned();
    // The path and its query are not logged: they come from outside and may hold anything.
    let span = tracing::info_span!("request", trace_id, method = request.method().as_str(), route);
    let mut response = async {
        match problem_of(next.run(request).await).await {
            Ok(response) => response,
            Err(problem) => {
                problem.log();
                problem.render(&trace_id)
            }
        }
    }
    .instrument(span)
    .await;
    if let Ok(value) = HeaderValue::try_from(&trace_id) {
        response.headers_mut().insert("trace-id", value);
    }
    app.metrics.request(route, response.status(), start.elapsed());
    response
}

/// Errors of ours are there with their cause; those of the framework are a status and a text.
async fn problem_of(mut response: Response) -> Result<Response, Problem> {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Err(problem);
    }
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return Ok(response);
    }
    let text = to_bytes(std::mem::take(response.body_mut()), 4096).await.unwrap_or_default();
    Err(of_status(status, &String::from_utf8_lossy(&text)))
}

fn of_status(status: StatusCode, text: &str) -> Problem {
    let class = match status {
        StatusCode::NOT_FOUND => &NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED => &WRONG_METHOD,
        StatusCode::PAYLOAD_TOO_LARGE => &TOO_LARGE,
        StatusCode::UNPROCESSABLE_ENTITY => &INVALID,
        status if status.is_client_error() => &MALFORMED,
        _ => &INTERNAL,
    };
    match text {
        "" if status == StatusCode::METHOD_NOT_ALLOWED => Problem::new(class, "this route is used in another way"),
        "" => Problem::new(class, status.canonical_reason().unwrap_or("the request failed").to_lowercase()),
        // What failed inside is for the log.
        text if status.is_server_error() => Problem::new(class, "the request failed").caused_by(&Answered(text.into())),
        text => Problem::new(class, text),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Answered(String);
