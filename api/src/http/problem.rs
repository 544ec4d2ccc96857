//! Every error that leaves the server, as RFC 9457 describes it.
//!
//! Handlers return a [`Problem`]; the outermost layer adds the trace id, writes it and logs its cause. Here is the one map
//! from [`ErrorKind`] to a status.

use std::error::Error;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use tidemark_lake::SqlError;
use tidemark_schema::ErrorKind;
use tonic::Code;
use utoipa::ToSchema;

use crate::operations;
use crate::store::StoreError;

/// A kind of problem: what its type, title and status are, and what to do about it when nothing better is known.
#[derive(Debug)]
pub(crate) struct Class {
    slug: &'static str,
    title: &'static str,
    status: StatusCode,
    hint: &'static str,
    retry_after_s: Option<u16>,
}

const fn class(slug: &'static str, title: &'static str, status: StatusCode, hint: &'static str) -> Class {
    Class { slug, title, status, hint, retry_after_s: None }
}

const fn passing(slug: &'static str, title: &'static str, retry_after_s: u16, hint: &'static str) -> Class {
    Class { slug, title, status: StatusCode::SERVICE_UNAVAILABLE, hint, retry_after_s: Some(retry_after_s) }
}

const SEE_OPENAPI: &str = "compare the request with its description in /openapi.json";

pub(crate) static MALFORMED: Class =
    class("malformed", "The request cannot be read", StatusCode::BAD_REQUEST, SEE_OPENAPI);
pub(crate) static FORBIDDEN_HOST: Class = class(
    "forbidden-host",
    "This host is not served",
    StatusCode::FORBIDDEN,
    "ask for a loopback name such as 127.0.0.1, or have this name configured as a host of the server",
);
pub(crate) static FORBIDDEN: Class =
    class("forbidden", "The caller may not do that", StatusCode::FORBIDDEN, "ask for the right; a retry is no use");
pub(crate) static NOT_FOUND: Class =
    class("not-found", "There is no such thing", StatusCode::NOT_FOUND, "list what there is, and correct the name");
pub(crate) static UNKNOWN_ROUTE: Class =
    class("unknown-route", "There is no such route", StatusCode::NOT_FOUND, "see /openapi.json for all routes");
pub(crate) static WRONG_METHOD: Class = class(
    "wrong-method",
    "The route has no such method",
    StatusCode::METHOD_NOT_ALLOWED,
    "the Allow header names the methods of this route",
);
pub(crate) static CONFLICT: Class =
    class("conflict", "The present state forbids it", StatusCode::CONFLICT, "read the present state, then decide");
pub(crate) static TOO_LARGE: Class =
    class("too-large", "The request is too large", StatusCode::PAYLOAD_TOO_LARGE, "send it in smaller parts");
pub(crate) static UNSUPPORTED_ENCODING: Class = class(
    "unsupported-encoding",
    "This Content-Encoding is not supported",
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "compress the body with gzip or zstd, or not at all",
);
pub(crate) static UNSUPPORTED_MEDIA_TYPE: Class = class(
    "unsupported-media-type",
    "This Content-Type is not supported",
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "send one of the forms that /openapi.json names for this route",
);
pub(crate) static INVALID: Class = class(
    "invalid",
    "A value is not allowed",
    StatusCode::UNPROCESSABLE_ENTITY,
    "correct the value; a retry is no use",
);
pub(crate) static INTERNAL: Class = class(
    "internal",
    "The server failed",
    StatusCode::INTERNAL_SERVER_ERROR,
    "this is a defect: report it with the trace_id, under which the server's log tells the cause",
);
pub(crate) static CORRUPT: Class = class(
    "corrupt",
    "Stored data is damaged",
    StatusCode::INTERNAL_SERVER_ERROR,
    "run `tidemark doctor`, then restore what it names",
);
pub(crate) static BUSY: Class = passing("busy", "Too much at once", 2, "send the request again after Retry-After");
pub(crate) static OVER_QUOTA: Class = class(
    "over-quota",
    "The quota is used up",
    StatusCode::TOO_MANY_REQUESTS,
    "send the events again after Retry-After, or have the policy allow more events_per_second",
);
pub(crate) static UNAVAILABLE: Class =
    passing("unavailable", "Something the server needs does not answer", 10, "try again; if it stays, check the store");
pub(crate) static TIMEOUT: Class = passing(
    "timeout",
    "The request took too long",
    10,
    "send it again, in smaller parts if it was large: an event that was stored in the meantime is told as duplicate",
);

/// What went wrong, for the client; and why, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Box<Fields>);

#[derive(Debug, Clone)]
struct Fields {
    class: &'static Class,
    detail: String,
    hint: Option<String>,
    cause: Option<String>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    protobuf: bool,
}

/// What OTLP answers to protobuf with: `google.rpc.Status`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct RpcStatus {
    /// Of `google.rpc.Code`; the status of HTTP says the same.
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Problem {
    pub(crate) fn new(class: &'static Class, detail: impl Into<String>) -> Self {
        Self(Box::new(Fields {
            class,
            detail: detail.into(),
            hint: None,
            cause: None,
            members: Map::new(),
            headers: Vec::new(),
            protobuf: false,
        }))
    }

    /// A field that cannot be what it is.
    pub(crate) fn field(name: &str, error: &impl std::fmt::Display) -> Self {
        Self::new(&INVALID, format!("{name} {error}"))
    }

    /// Any error of the crates below, by what its caller should do.
    fn of(kind: ErrorKind, error: &(dyn Error + 'static), hint: Option<String>) -> Self {
        let class = match kind {
            ErrorKind::Invalid => &INVALID,
            ErrorKind::Forbidden => &FORBIDDEN,
            ErrorKind::NotFound => &NOT_FOUND,
            ErrorKind::Conflict => &CONFLICT,
            ErrorKind::Busy => &BUSY,
            ErrorKind::Unavailable => &UNAVAILABLE,
            ErrorKind::Corrupt => &CORRUPT,
            ErrorKind::Internal => &INTERNAL,
        };
        let mut problem = Self::new(class, error.to_string()).caused_by(error);
        problem.0.hint = hint;
        problem
    }

    /// What to do next, when there is something better to say than for its class.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// What the log shall say; it never reaches the client.
    pub(crate) fn caused_by(mut self, error: &dyn Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        self.0.cause = Some(text);
        self
    }

    /// After how many seconds a retry may work.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, seconds.into())
    }

    /// After how many seconds it may, if it may at all.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        let said = self.0.headers.iter().rev().find(|(name, _)| name == header::RETRY_AFTER);
        let said = said.and_then(|(_, value)| value.to_str().ok()?.parse().ok());
        said.or(self.0.class.retry_after_s.map(Into::into))
    }

    /// What this problem tells besides: the fields of a view become its members.
    pub(crate) fn tells(mut self, view: &impl Serialize) -> Self {
        if let Ok(Value::Object(members)) = serde_json::to_value(view) {
            self.0.members.extend(members);
        }
        self
    }

    /// A header of the answer.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// For a client that reads protobuf and nothing else.
    pub(crate) fn in_protobuf(mut self) -> Self {
        self.0.protobuf = true;
        self
    }

    /// What went wrong this time.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Writes it into the log of the server.
    pub(crate) fn log(&self) {
        let (status, cause) = (self.status().as_u16(), self.cause().unwrap_or_default());
        if self.is_busy() {
            // Under load there are many of these, and nothing is wrong with the server.
            tracing::warn!(status, problem = self.slug(), cause, "a request was turned away");
        } else if self.status().is_server_error() {
            tracing::error!(status, problem = self.slug(), cause, "a request failed");
        } else {
            tracing::debug!(status, problem = self.slug(), cause, "a request was refused");
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.class.status
    }

    pub(crate) fn slug(&self) -> &'static str {
        self.0.class.slug
    }

    /// Whether it is load alone that stands in the way.
    pub(crate) fn is_busy(&self) -> bool {
        self.slug() == BUSY.slug
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The answer to the client.
    pub(crate) fn render(self, trace_id: &str) -> Response {
        let Fields { class, detail, hint, members, headers, protobuf, cause: _ } = *self.0;
        if protobuf {
            return in_protobuf(class, &detail, hint.as_deref().unwrap_or(class.hint), headers);
        }
        let body = ProblemView {
            r#type: format!("urn:tidemark:problem:{}", class.slug),
            title: class.title.to_owned(),
            status: class.status.as_u16(),
            detail,
            hint: hint.unwrap_or_else(|| class.hint.to_owned()),
            trace_id: trace_id.to_owned(),
            members,
        };
        let mut response = (class.status, Json(body)).into_response();
        let content_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        if let Some(seconds) = class.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.headers_mut().extend(headers);
        response
    }
}

/// By what a sender should do: exporters try `UNAVAILABLE` again, `RESOURCE_EXHAUSTED` only if they are told when, and
/// `INVALID_ARGUMENT` never (<https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-throttling>).
pub(crate) fn rpc_code(status: StatusCode) -> Code {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        status if status.is_client_error() => Code::InvalidArgument,
        _ => Code::Internal,
    }
}

fn in_protobuf(class: &Class, detail: &str, hint: &str, headers: Vec<(HeaderName, HeaderValue)>) -> Response {
    let status = RpcStatus { code: rpc_code(class.status).into(), message: format!("{detail} ({hint})") };
    let content_type = [(header::CONTENT_TYPE, "application/x-protobuf")];
    let mut response = (class.status, content_type, prost::Message::encode_to_vec(&status)).into_response();
    if let Some(seconds) = class.retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response.headers_mut().extend(headers);
    response
}

/// Carried to the outermost layer, which renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// An error (RFC 9457). Some kinds have members of their own: a batch of which no event was accepted tells of each in
/// `events`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemView {
    /// Which kind of problem: `urn:tidemark:problem:` and a name that does not change.
    #[schema(example = "urn:tidemark:problem:not-found")]
    r#type: String,
    /// The kind in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What went wrong this time.
    detail: String,
    /// What to do next.
    hint: String,
    /// Under which id the server's log knows the request; also the header `trace-id`.
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    trace_id: String,
    #[serde(flatten)]
    #[schema(ignore)]
    members: Map<String, Value>,
}

impl From<tidemark_collector::Error> for Problem {
    fn from(error: tidemark_collector::Error) -> Self {
        if matches!(error, tidemark_collector::Error::TooLarge { .. }) {
            return Self::new(&TOO_LARGE, error.to_string()).hint(error.hint());
        }
        let problem = Self::of(error.kind(), &error, Some(error.hint().to_owned()));
        match error.retry_after_s() {
            Some(seconds) => problem.retry_after(seconds),
            None => problem,
        }
    }
}

impl From<operations::Error> for Problem {
    fn from(error: operations::Error) -> Self {
        match error {
            operations::Error::Collector(error) => error.into(),
            // Where the files lie is nothing for a client.
            operations::Error::Lake(error)
            | operations::Error::Store(StoreError::Lake(error))
            | operations::Error::Sql(SqlError::Store(error)) => tidemark_analyzer::Error::from(error).into(),
            operations::Error::Keys(error) => {
                Self::new(&CONFLICT, "the fingerprint keys cannot be used").caused_by(&error).hint(error.hint())
            }
            error => Self::of(error.kind(), &error, error.hint()),
        }
    }
}

impl From<tidemark_corpus::Error> for Problem {
    fn from(error: tidemark_corpus::Error) -> Self {
        Self::of(error.kind(), &error, error.hint())
    }
}

impl From<tidemark_analyzer::Error> for Problem {
    fn from(error: tidemark_analyzer::Error) -> Self {
        Self::of(error.kind(), &error, error.hint())
    }
}
