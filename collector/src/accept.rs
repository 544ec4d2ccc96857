//! What is made of an event that was sent, whatever it was sent as: its query gets its fingerprint, its texts are redacted,
//! its bounds are held. One rule for all doors:
//!
//! - A document that is listed several times is kept each time, told apart and marked [`ID_REPEATED`].
//! - A number that is NaN or infinite is not known: it is null, and the event is marked [`NOT_FINITE`].
//! - A time that names no zone is taken as UTC, and the event is marked [`ASSUMED_UTC`].

mod documents;

use std::collections::BTreeSet;

use tidemark_schema::{
    ContentHash, EventId, Fingerprint, Finite, Label, OperationId, OutputBody, OutputEvent, Query, RetrievalEvent,
    SimHash, Timestamp, TraceId,
};

use crate::bound::{self, Sent};
use crate::decode::draft::{EventDraft, Moment, Number, OutputDraft, QueryDraft, RetrievalDraft, Vector};
use crate::decode::{self, Context, Event, Rejection};
use crate::redact::{TextPolicy, Texts};

pub use documents::ID_REPEATED;
pub(crate) use documents::tell_apart;

/// A number was NaN or infinite.
pub const NOT_FINITE: &str = "number.not_finite";
/// A time named no zone.
pub const ASSUMED_UTC: &str = "time.assumed_utc";

/// All marks of what is not as it was sent.
pub const MARKS: [&str; 3] = [ID_REPEATED, NOT_FINITE, ASSUMED_UTC];

/// Judges an event that was sent, and makes of it what is stored.
pub fn accept(mut draft: EventDraft, context: &Context<'_>) -> Result<Event, Rejection> {
    let event_id = match draft.event_id() {
        Some(id) => *id,
        None => of_content(&draft)?,
    };
    match draft {
        EventDraft::Retrieval(draft) => retrieval(draft, event_id, context),
        EventDraft::Output(draft) => output(draft, event_id, context),
    }
}

/// The id of an event that came without one and not as bytes of its own: the same fields are the same event. Those that are
/// not there do not count, so that a field that is new one day changes no id.
fn of_content(draft: &EventDraft) -> Result<EventId, Rejection> {
    let unwritable = |error: serde_json::Error| Rejection::field("event_id", format!("cannot be made: {error}"));
    Ok(EventId::of_content(&serde_json::to_vec(draft).map_err(unwritable)?))
}

fn retrieval(draft: RetrievalDraft, event_id: EventId, context: &Context<'_>) -> Result<Event, Rejection> {
    let mut marks = draft.marks.unwrap_or_default();
    let occurred_at = instant(draft.occurred_at, &mut marks);
    not_ahead(occurred_at, context)?;
    let (results, cut) = documents::results(draft.results, context.limits.results, &mut marks)?;
    let sent = Sent { text_bytes: draft.query.text.as_ref().map_or(0, String::len) };
    let mut event = RetrievalEvent {
        event_id,
        occurred_at,
        operation_id: operation(draft.operation_id, draft.trace_id.as_ref(), event_id),
        attempt: attempt(draft.attempt)?,
        trace_id: draft.trace_id,
        span_id: draft.span_id,
        principal: draft.principal,
        service: draft.service,
        environment: draft.environment,
        segment: draft.segment.unwrap_or_default(),
        corpus: draft.corpus,
        corpus_version: draft.corpus_version,
        retriever: draft.retriever.unwrap_or_default(),
        query: query(draft.query, context, &mut marks)?,
        requested: draft.requested.unwrap_or_default(),
        results,
        results_total: cut.or(draft.results_total),
        model: draft.model,
        prompt_version: draft.prompt_version,
        policy_version: draft.policy_version.or_else(|| context.policy.version().cloned()),
        latency_ms: finite(draft.latency_ms, &mut marks),
        cost_usd: finite(draft.cost_usd, &mut marks),
        attributes: draft.attributes.unwrap_or_default(),
        marks,
    };
    let values = decode::values_of(&event);
    if values > context.limits.values {
        let reason =
            format!("has {values} values with those of retriever.params, the limit is {}", context.limits.values);
        return Err(Rejection::field("attributes", reason));
    }
    for (field, map) in [("attributes", &event.attributes), ("retriever.params", &event.retriever.params)] {
        let levels = map.values().map(depth).max().unwrap_or_default();
        if levels > LEVELS {
            return Err(Rejection::field(field, format!("has values {levels} levels deep, the limit is {LEVELS}")));
        }
    }
    if cut.is_some() {
        bound::mark(&mut event.marks, bound::RESULTS);
    }
    keep_text(&mut event.query.text, context, &mut event.marks);
    if let Some(redactor) = context.policy.redactor() {
        event.requested.filter.redact(redactor, &mut event.marks);
        event.retriever.params.redact(redactor, &mut event.marks);
        event.attributes.redact(redactor, &mut event.marks);
    }
    // Bounds come after redaction: a cut could leave half of a value, which nothing recognises any more.
    let bounds = context.policy.bounds_for(event.service.as_ref(), event.principal.as_ref());
    bound::hold_retrieval(&bounds, sent, &mut event);
    Ok(event.into())
}

fn output(draft: OutputDraft, event_id: EventId, context: &Context<'_>) -> Result<Event, Rejection> {
    let mut marks = draft.marks.unwrap_or_default();
    let occurred_at = instant(draft.occurred_at, &mut marks);
    not_ahead(occurred_at, context)?;
    if draft.operation_id.is_none() && draft.trace_id.is_none() {
        let reason = "is missing, and so is trace_id: an output belongs to the retrievals of its operation or trace";
        return Err(Rejection::field("operation_id", reason));
    }
    let answer = draft.output.unwrap_or_default();
    let sent = Sent { text_bytes: answer.text.as_ref().map_or(0, String::len) };
    let mut body = OutputBody {
        hash: answer.hash.or_else(|| answer.text.as_deref().map(ContentHash::of_text)),
        text: answer.text,
        embedding: vector(answer.embedding, &mut marks),
        tokens: answer.tokens,
    };
    keep_text(&mut body.text, context, &mut marks);
    let scores = draft.scores.unwrap_or_default().into_iter();
    let scores = scores.filter_map(|(name, score)| Some((name, finite(score, &mut marks)?))).collect();
    let mut event = OutputEvent {
        event_id,
        occurred_at,
        operation_id: operation(draft.operation_id, draft.trace_id.as_ref(), event_id),
        attempt: attempt(draft.attempt)?,
        trace_id: draft.trace_id,
        principal: draft.principal,
        service: draft.service,
        model: draft.model,
        prompt_version: draft.prompt_version,
        policy_version: draft.policy_version.or_else(|| context.policy.version().cloned()),
        output: body,
        citations: draft.citations.unwrap_or_default(),
        refusal: draft.refusal,
        scores,
        feedback: finite(draft.feedback, &mut marks),
        latency_ms: finite(draft.latency_ms, &mut marks),
        cost_usd: finite(draft.cost_usd, &mut marks),
        marks,
    };
    let bounds = context.policy.bounds_for(event.service.as_ref(), event.principal.as_ref());
    bound::hold_output(&bounds, sent, &mut event);
    Ok(event.into())
}

/// What is written must be read again, and readers of JSON give up somewhere beyond a hundred levels.
const LEVELS: usize = 64;

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        serde_json::Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// Keeps of a text what the policy allows.
fn keep_text(text: &mut Option<String>, context: &Context<'_>, marks: &mut BTreeSet<Label>) {
    match (context.policy.text(), context.policy.redactor()) {
        (TextPolicy::Full, _) => {}
        (TextPolicy::Redacted, Some(redactor)) => text.redact(redactor, marks),
        (TextPolicy::Redacted | TextPolicy::None, _) => *text = None,
    }
}

fn query(draft: QueryDraft, context: &Context<'_>, marks: &mut BTreeSet<Label>) -> Result<Query, Rejection> {
    let text = draft.text.filter(|text| !text.trim().is_empty());
    let (fingerprint, previous): (Fingerprint, Option<Fingerprint>) = match (draft.fingerprint, &text) {
        (Some(fingerprint), _) => (fingerprint, draft.previous_fingerprint),
        (None, Some(text)) => {
            let previous = context.keys.previous.as_ref();
            (context.keys.current.fingerprint(text), previous.map(|key| key.fingerprint(text)))
        }
        (None, None) => {
            let reason = "has neither text nor fingerprint; one of them is needed to match the query with itself";
            return Err(Rejection::field("query", reason));
        }
    };
    Ok(Query {
        fingerprint,
        previous_fingerprint: previous,
        simhash: draft.simhash.or_else(|| text.as_deref().map(SimHash::of)),
        embedding: vector(draft.embedding, marks),
        text,
    })
}

fn operation(given: Option<OperationId>, trace: Option<&TraceId>, event_id: EventId) -> OperationId {
    given.or_else(|| trace.and_then(|trace| trace.as_str().parse().ok())).unwrap_or_else(|| OperationId::of(event_id))
}

fn attempt(attempt: Option<u32>) -> Result<u32, Rejection> {
    match attempt.unwrap_or(1) {
        0 => Err(Rejection::field("attempt", "is 0; the first attempt is 1")),
        counted => Ok(counted),
    }
}

fn instant(moment: Moment, marks: &mut BTreeSet<Label>) -> Timestamp {
    if moment.assumed_utc {
        bound::mark(marks, ASSUMED_UTC);
    }
    moment.at
}

fn not_ahead(occurred_at: Timestamp, context: &Context<'_>) -> Result<(), Rejection> {
    match context.now {
        Some(now) if occurred_at > now.plus_seconds(context.limits.ahead_s) => {
            let ahead = context.limits.ahead_s / 60;
            let reason = format!(
                "{occurred_at} lies more than {ahead} minutes after our clock, {now}; check the sender's clock"
            );
            Err(Rejection::field("occurred_at", reason))
        }
        _ => Ok(()),
    }
}

fn finite(number: Option<Number>, marks: &mut BTreeSet<Label>) -> Option<Finite> {
    let finite = Finite::new(number?.0).ok();
    if finite.is_none() {
        bound::mark(marks, NOT_FINITE);
    }
    finite
}

/// A vector of which one component is not known has no direction.
fn vector(vector: Option<Vector>, marks: &mut BTreeSet<Label>) -> Option<Vec<f32>> {
    let Vector(components) = vector?;
    if components.iter().all(|component| component.is_finite()) {
        return Some(components);
    }
    bound::mark(marks, NOT_FINITE);
    None
}
