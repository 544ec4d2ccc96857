//! What `/metrics` tells. Labels come from closed sets (route templates, statuses, kinds), never from a request.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::collector::Collector as Source;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tidemark_collector::accept;
use tidemark_collector::decode::Kind;
use tidemark_collector::decode::otlp;
use tidemark_collector::intake::{Answer, Answers, OtherSpans, Outcome};
use tidemark_collector::policy::Policy;
use tidemark_collector::{Collector, Mode};
use tonic::Code;

const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The media type of what [`Metrics::encode`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SpanLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabels {
    mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MarkLabels {
    mark: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    code: String,
}

/// What is counted since the start.
pub(crate) struct Metrics {
    registry: Registry,
    events: Family<EventLabels, Counter>,
    truncated: Counter,
    marks: Family<MarkLabels, Counter>,
    known_marks: BTreeSet<String>,
    spans: Family<SpanLabels, Counter>,
    ignored_attributes: Counter,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    calls: Family<CallLabels, Counter>,
}

impl Metrics {
    pub(crate) fn new(collector: Arc<Collector>, policy: &Policy) -> Self {
        let mut registry = Registry::with_prefix("tidemark");
        let events = Family::<EventLabels, Counter>::default();
        registry.register("events", "Events that were sent, by what became of them", events.clone());
        let truncated = Counter::default();
        registry.register("results_truncated", "Results of accepted events beyond the limit", truncated.clone());
        let marks = Family::<MarkLabels, Counter>::default();
        let help = "Accepted events by what was noticed about them or done to them: bounds broken, texts redacted";
        registry.register("event_marks", help, marks.clone());
        let of_senders = otlp::MARKS.iter().chain(&accept::MARKS).map(ToString::to_string);
        let known_marks = policy.marks().iter().map(ToString::to_string).chain(of_senders).collect();
        let spans = Family::<SpanLabels, Counter>::default();
        registry.register("otlp_spans", "Spans that were sent over OTLP, by what became of them", spans.clone());
        let ignored_attributes = Counter::default();
        let help = "Attributes of spans that became events and that are not read";
        registry.register("otlp_attributes_ignored", help, ignored_attributes.clone());
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("http_requests", "Requests by route and status", requests.clone());
        let seconds = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let help = "Duration of requests by route";
        registry.register_with_unit("http_request", help, Unit::Seconds, seconds.clone());
        let calls = Family::<CallLabels, Counter>::default();
        registry.register("grpc_calls", "Calls over gRPC by their code", calls.clone());
        registry.register_collector(Box::new(HealthSource(collector)));
        Self { registry, events, truncated, marks, known_marks, spans, ignored_attributes, requests, seconds, calls }
    }

    /// Counts the events of a request, and the spans that became none.
    pub(crate) fn ingested(&self, answers: &Answers) {
        for answer in &answers.events {
            let result = match answer.outcome {
                Outcome::Accepted => "accepted",
                Outcome::Duplicate => "duplicate",
                Outcome::Rejected(_) | Outcome::OverQuota { .. } => "rejected",
            };
            // What a span that was refused should have been is counted among the spans.
            if let Some(kind) = answer.kind.map(name).filter(|_| answers.spans.is_none() || result != "rejected") {
                // All of them, so that none begins with its first event.
                for other in ["accepted", "duplicate", "rejected"] {
                    self.events.get_or_create(&EventLabels { kind, result: other }).inc_by((other == result).into());
                }
            }
            if answer.outcome == Outcome::Accepted {
                self.truncated.inc_by(answer.truncated_results.into());
                answer.marks.iter().for_each(|mark| self.mark(mark));
            }
        }
        if let Some(spans) = answers.spans {
            // An exporter sends such a request again, and then its other spans are counted.
            let is_repeated = answers.retry_after_s().is_some();
            self.spans(&answers.events, if is_repeated { OtherSpans::default() } else { spans }, is_repeated);
        }
    }

    fn spans(&self, events: &[Answer], others: OtherSpans, is_repeated: bool) {
        let count = |wanted: fn(&Outcome) -> bool| events.iter().filter(|event| wanted(&event.outcome)).count() as u64;
        let rejected = count(|outcome| matches!(outcome, Outcome::Rejected(_)));
        self.span("embedding", others.embeddings);
        self.span("event", count(|outcome| matches!(outcome, Outcome::Accepted | Outcome::Duplicate)));
        self.span("failed", others.failed);
        self.span("other", others.other);
        self.span("over_quota", count(|outcome| matches!(outcome, Outcome::OverQuota { .. })));
        self.span("rejected", if is_repeated { 0 } else { rejected });
        self.span("without_content", others.without_content);
        self.ignored_attributes.inc_by(others.ignored_attributes);
    }

    fn span(&self, result: &'static str, count: u64) {
        self.spans.get_or_create(&SpanLabels { result }).inc_by(count);
    }

    /// Senders may mark events with what they like, and labels come from a closed set.
    fn mark(&self, mark: &str) {
        if self.known_marks.contains(mark) {
            self.marks.get_or_create(&MarkLabels { mark: mark.to_owned() }).inc();
        }
    }

    /// Counts a request.
    pub(crate) fn request(&self, route: String, status: StatusCode, took: Duration) {
        self.seconds.get_or_create(&RouteLabels { route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { route, status: status.as_u16().into() }).inc();
    }

    /// Counts a call over gRPC.
    pub(crate) fn call(&self, code: Code) {
        self.calls.get_or_create(&CallLabels { code: format!("{code:?}") }).inc();
    }

    /// Everything, in the text format that Prometheus reads.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Retrieval => "retrieval",
        Kind::Output => "output",
    }
}

/// What the collector counts itself, asked when somebody looks.
struct HealthSource(Arc<Collector>);

impl fmt::Debug for HealthSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthSource")
    }
}

impl Source for HealthSource {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let health = self.0.health();
        let counters = [
            ("events_flushed", "Events that were written to the table.", health.flushed),
            ("flush_failures", "Flushes that failed and are tried again.", health.flush_failures),
            (
                "events_refused",
                "Events that were refused because of the mode or a limit.",
                health.refused.values().sum(),
            ),
            ("events_recovered", "Events that were read from the log at the start.", health.recovered),
            ("mode_transitions", "How often the mode changed.", health.transitions),
            ("log_reopened", "Times that the log was opened again after a failure.", health.reopened),
            ("log_records_unreadable", "Records of the log that could not be read.", health.unreadable),
        ];
        for (name, help, count) in counters {
            let metric = ConstCounter::new(count);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let gauges = [
            ("pending_events", "Events that are on disk and not in the table yet.", health.pending as u64, None),
            ("pending", "Bytes that they take in memory.", health.pending_bytes, Some(Unit::Bytes)),
            ("log", "Bytes of the write-ahead log on disk.", health.log_bytes, Some(Unit::Bytes)),
            ("log_damaged_places", "Damaged places of the log.", health.damage.regions, None),
        ];
        for (name, help, value, unit) in gauges {
            let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), metric.metric_type())?)?;
        }
        let modes = Family::<ModeLabels, Gauge>::default();
        for mode in [Mode::Normal, Mode::Shedding, Mode::ReadOnly, Mode::Recovering] {
            modes.get_or_create(&ModeLabels { mode: mode.name() }).set(i64::from(mode == health.mode));
        }
        let help = "1 for the mode that the collector is in, 0 for the others.";
        modes.encode(encoder.encode_descriptor("mode", help, None, modes.metric_type())?)?;
        Ok(())
    }
}
