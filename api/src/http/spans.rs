//! Spans of OpenTelemetry, however they arrive: into events, into the log, into OTLP's answer.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tidemark_collector::Verdict;
use tidemark_collector::decode::otlp::{self, Encoding, Malformed, Spans};
use tidemark_collector::decode::{Context, Event, Kind};
use tokio::sync::OwnedSemaphorePermit;

use super::admission::{OverQuota, admit};
use super::app::App;
use super::problem::{MALFORMED, OVER_QUOTA, Problem, TOO_LARGE};
use super::registered::Versions;

/// Refused spans that an answer names; the others are counted.
const NAMED: usize = 5;

/// A request whose spans were looked at one by one.
pub(crate) struct Read {
    spans: Spans,
    over_quota: Vec<OverQuota>,
}

/// The versions that spans may have retrieved from, if they are asked for at all.
async fn versions(app: &App) -> Result<Arc<Versions>, Problem> {
    if !app.options.sources.uses_registry() {
        return Ok(Arc::default());
    }
    Ok(app.registered.versions(&app.operations, &app.caller, app.clock.now()).await?)
}

/// Reads a request and stores its spans. `content` makes the bytes of it, on the thread that reads them.
pub(crate) async fn take(
    app: &App,
    encoding: Encoding,
    content: impl FnOnce() -> Result<Vec<u8>, Problem> + Send + 'static,
) -> Result<ExportTraceServiceResponse, Problem> {
    let versions = versions(app).await?;
    let reader = app.clone();
    let (read, _room) = app.gate.decode(move || parse(&reader, encoding, content()?, &versions)).await??;
    store(app, read).await
}

/// The spans, and the room they take until they are answered.
fn parse(
    app: &App,
    encoding: Encoding,
    content: Vec<u8>,
    versions: &Versions,
) -> Result<(Read, OwnedSemaphorePermit), Problem> {
    let hint = "compare Content-Type with what is sent; nothing was stored";
    let malformed = |malformed: Malformed| Problem::new(&MALFORMED, malformed.to_string()).hint(hint);
    let (size, most) = (otlp::size(&content, encoding).map_err(malformed)?, app.options.limits.content_bytes);
    if size > most {
        let detail =
            format!("the spans would take {size} bytes of memory, the limit is {most}; none of them was stored");
        return Err(Problem::new(&TOO_LARGE, detail).hint("let the exporter send smaller batches"));
    }
    let room = app.gate.reserve(size)?;
    let request = otlp::parse(&content, encoding).map_err(malformed)?;
    drop(content);
    Ok((read(app, &request, versions)?, room))
}

/// Reads the spans of a request. This computes, and belongs on a thread for that.
fn read(app: &App, request: &ExportTraceServiceRequest, versions: &Versions) -> Result<Read, Problem> {
    let (count, most) = (otlp::count(request), app.options.limits.batch_events);
    if count > most {
        let detail = format!("the request has {count} spans, the limit is {most}; none of them was stored");
        return Err(Problem::new(&TOO_LARGE, detail).hint("let the exporter send smaller batches"));
    }
    let now = Some(app.clock.now());
    let context = Context { now, keys: &app.keys, policy: &app.policy, limits: app.options.events };
    let version_at = |corpus: &_, time| versions.at(corpus, time);
    let mut spans = otlp::decode_spans(request, &app.options.sources, &version_at, &app.embeddings, &context);
    let mut over_quota = Vec::new();
    spans.events.retain(|event| match admit(app, event) {
        Ok(()) => true,
        Err(refusal) => {
            over_quota.push(refusal);
            false
        }
    });
    Ok(Read { spans, over_quota })
}

/// Puts the events into the log, and says what became of all spans.
async fn store(app: &App, read: Read) -> Result<ExportTraceServiceResponse, Problem> {
    let Read { mut spans, over_quota } = read;
    let events = std::mem::take(&mut spans.events);
    // Only an answer that refuses everything makes an exporter send it again: a success must not be repeated, whatever it says
    // of some of the spans.
    let longest = over_quota.iter().filter_map(|refusal| refusal.retry_after_s).max();
    if let (true, Some(seconds)) = (events.is_empty(), longest) {
        app.metrics.spans(&Spans::default(), 0, over_quota.len());
        let detail = over_quota.first().map_or_else(String::new, |refusal| refusal.reason.clone());
        return Err(Problem::new(&OVER_QUOTA, detail).retry_after(seconds));
    }
    let told: Vec<(Kind, u32, Vec<String>)> = events.iter().map(told).collect();
    let receipt = if events.is_empty() { Vec::new() } else { app.collector.submit(events).await? };
    for ((kind, truncated, marks), verdict) in told.into_iter().zip(&receipt) {
        app.metrics.event(kind, *verdict == Verdict::Duplicate, truncated, &marks);
    }
    app.metrics.spans(&spans, receipt.len(), over_quota.len());
    Ok(ExportTraceServiceResponse { partial_success: partial_success(&spans, &over_quota) })
}

fn told(event: &Event) -> (Kind, u32, Vec<String>) {
    (event.kind(), event.truncated_results(), event.marks().iter().map(ToString::to_string).collect())
}

/// None when nothing was refused: exporters log whatever is said here.
fn partial_success(spans: &Spans, over_quota: &[OverQuota]) -> Option<ExportTracePartialSuccess> {
    let refused = spans.rejections.len() + over_quota.len();
    if refused == 0 {
        return None;
    }
    let rejected = spans.rejections.iter().map(|(span, rejection)| {
        let field = rejection.field.as_ref().map(|field| format!("{field} ")).unwrap_or_default();
        format!("span {span}: {field}{}", rejection.reason)
    });
    let mut lines: Vec<String> =
        rejected.chain(over_quota.iter().map(|refusal| refusal.reason.clone())).take(NAMED).collect();
    if refused > NAMED {
        lines.push(format!("and {} more", refused - NAMED));
    }
    let rejected_spans = i64::try_from(refused).unwrap_or(i64::MAX);
    Some(ExportTracePartialSuccess { rejected_spans, error_message: lines.join("; ") })
}
