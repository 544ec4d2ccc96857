//! One piece of JSON into one event, or into a rejection that names the field.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tidemark_schema::{
    ContentHash, EventId, Fingerprint, Label, OperationId, OutputEvent, Query, RetrievalEvent, RetrievedDocument,
    SimHash, Timestamp, TraceId,
};

use super::wire::{WireOutput, WireQuery, WireResult, WireRetrieval};
use super::{Context, Event, Rejection};
use crate::bound::{self, Sent};
use crate::redact::{TextPolicy, Texts};
use crate::unknown::UnknownField;

/// Which of the two kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What a retriever returned.
    Retrieval,
    /// What a model answered.
    Output,
}

impl Kind {
    /// Recognises an event by the fields that only its kind has; `None` if it is no JSON object or has none of them.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields {
            results: Option<IgnoredAny>,
            corpus: Option<IgnoredAny>,
            query: Option<IgnoredAny>,
            output: Option<IgnoredAny>,
            model: Option<IgnoredAny>,
            citations: Option<IgnoredAny>,
            refusal: Option<IgnoredAny>,
            scores: Option<IgnoredAny>,
            feedback: Option<IgnoredAny>,
        }
        let fields: Fields = serde_json::from_slice(bytes).ok()?;
        if fields.results.is_some() || fields.corpus.is_some() || fields.query.is_some() {
            Some(Self::Retrieval)
        } else {
            let of_an_output =
                [fields.output, fields.model, fields.citations, fields.refusal, fields.scores, fields.feedback];
            of_an_output.iter().any(Option::is_some).then_some(Self::Output)
        }
    }
}

/// Decodes one event of a known kind.
pub fn decode(bytes: &[u8], kind: Kind, context: &Context<'_>) -> Result<Event, Rejection> {
    match kind {
        Kind::Retrieval => retrieval(bytes, context),
        Kind::Output => output(bytes, context),
    }
}

fn retrieval(bytes: &[u8], context: &Context<'_>) -> Result<Event, Rejection> {
    let wire: WireRetrieval = parse(bytes)?;
    not_ahead(wire.occurred_at, context)?;
    let event_id = wire.event_id.unwrap_or_else(|| EventId::of_content(bytes));
    let (results, cut) = documents(wire.results, context.limits.results)?;
    let sent = Sent { text_bytes: wire.query.text.as_ref().map_or(0, String::len) };
    let mut event = RetrievalEvent {
        event_id,
        occurred_at: wire.occurred_at,
        operation_id: operation(wire.operation_id, wire.trace_id.as_ref(), event_id),
        attempt: attempt(wire.attempt)?,
        trace_id: wire.trace_id,
        span_id: wire.span_id,
        principal: wire.principal,
        service: wire.service,
        environment: wire.environment,
        segment: wire.segment.unwrap_or_default(),
        corpus: wire.corpus,
        corpus_version: wire.corpus_version,
        retriever: wire.retriever.unwrap_or_default(),
        query: query(wire.query, context)?,
        requested: wire.requested.unwrap_or_default(),
        results,
        results_total: cut.or(wire.results_total),
        model: wire.model,
        prompt_version: wire.prompt_version,
        policy_version: wire.policy_version.or_else(|| context.policy.version().cloned()),
        latency_ms: wire.latency_ms,
        cost_usd: wire.cost_usd,
        attributes: wire.attributes.unwrap_or_default(),
        marks: wire.marks.unwrap_or_default(),
    };
    let values = super::values_of(&event);
    if values > context.limits.values {
        let reason =
            format!("has {values} values with those of retriever.params, the limit is {}", context.limits.values);
        return Err(Rejection::field("attributes", reason));
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
    Ok(bounded(Event::Retrieval(event), sent, context))
}

/// Keeps of a text what the policy allows.
fn keep_text(text: &mut Option<String>, context: &Context<'_>, marks: &mut BTreeSet<Label>) {
    match (context.policy.text(), context.policy.redactor()) {
        (TextPolicy::Full, _) => {}
        (TextPolicy::Redacted, Some(redactor)) => text.redact(redactor, marks),
        (TextPolicy::Redacted | TextPolicy::None, _) => *text = None,
    }
}

/// Bounds come after redaction: a cut could leave half of a value, which nothing recognises any more.
fn bounded(mut event: Event, sent: Sent, context: &Context<'_>) -> Event {
    let bounds = context.policy.bounds_for(event.service(), event.principal());
    bound::apply(&bounds, sent, &mut event);
    event
}

fn output(bytes: &[u8], context: &Context<'_>) -> Result<Event, Rejection> {
    let wire: WireOutput = parse(bytes)?;
    not_ahead(wire.occurred_at, context)?;
    let event_id = wire.event_id.unwrap_or_else(|| EventId::of_content(bytes));
    if wire.operation_id.is_none() && wire.trace_id.is_none() {
        let reason = "is missing, and so is trace_id: an output belongs to the retrievals of its operation or trace";
        return Err(Rejection::field("operation_id", reason));
    }
    let mut body = wire.output.unwrap_or_default();
    finite("output.embedding", body.embedding.as_deref())?;
    if let (None, Some(text)) = (&body.hash, &body.text) {
        body.hash = Some(ContentHash::of_text(text));
    }
    let sent = Sent { text_bytes: body.text.as_ref().map_or(0, String::len) };
    let mut marks = wire.marks.unwrap_or_default();
    keep_text(&mut body.text, context, &mut marks);
    let event = OutputEvent {
        event_id,
        occurred_at: wire.occurred_at,
        operation_id: operation(wire.operation_id, wire.trace_id.as_ref(), event_id),
        attempt: attempt(wire.attempt)?,
        trace_id: wire.trace_id,
        principal: wire.principal,
        service: wire.service,
        model: wire.model,
        prompt_version: wire.prompt_version,
        policy_version: wire.policy_version.or_else(|| context.policy.version().cloned()),
        output: body,
        citations: wire.citations.unwrap_or_default(),
        refusal: wire.refusal,
        scores: wire.scores.unwrap_or_default(),
        feedback: wire.feedback,
        latency_ms: wire.latency_ms,
        cost_usd: wire.cost_usd,
        marks,
    };
    Ok(bounded(Event::Output(event), sent, context))
}

fn query(wire: WireQuery, context: &Context<'_>) -> Result<Query, Rejection> {
    finite("query.embedding", wire.embedding.as_deref())?;
    let text = wire.text.filter(|text| !text.trim().is_empty());
    let (fingerprint, previous): (Fingerprint, Option<Fingerprint>) = match (wire.fingerprint, &text) {
        (Some(fingerprint), _) => (fingerprint, wire.previous_fingerprint),
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
        simhash: wire.simhash.or_else(|| text.as_deref().map(SimHash::of)),
        embedding: wire.embedding,
        text,
    })
}

/// The results best first, cut to the limit; and how many there were, if they were cut.
fn documents(mut wire: Vec<WireResult>, limit: usize) -> Result<(Vec<RetrievedDocument>, Option<u32>), Rejection> {
    if wire.iter().any(|result| result.rank.is_some()) {
        for (i, result) in wire.iter().enumerate() {
            if result.rank.is_none_or(|rank| rank == 0) {
                let reason = "is missing or 0; either every result has a rank counted from 1, or none has";
                return Err(Rejection::field(format!("results[{i}].rank"), reason));
            }
        }
        wire.sort_by_key(|result| result.rank);
        if let Some(i) = wire.windows(2).position(|pair| matches!(pair, [a, b] if a.rank == b.rank)) {
            let rank = wire.get(i).and_then(|result| result.rank).unwrap_or_default();
            return Err(Rejection::field("results", format!("have the rank {rank} twice")));
        }
    }
    let mut places = HashMap::with_capacity(wire.len());
    for (i, result) in wire.iter().enumerate() {
        if let Some(first) = places.insert(&result.doc_id, i) {
            let reason = format!(
                "{:?} is already the document of results[{first}]; a result lists a document once",
                result.doc_id
            );
            return Err(Rejection::field(format!("results[{i}].doc_id"), reason));
        }
    }
    let total = wire.len();
    let cut = (total > limit).then(|| u32::try_from(total).unwrap_or(u32::MAX));
    let kept = wire.into_iter().take(limit).map(|result| RetrievedDocument {
        doc_id: result.doc_id,
        score: result.score,
        content_hash: result.content_hash,
        tokens: result.tokens,
        updated_at: result.updated_at,
        scope: result.scope,
    });
    Ok((kept.collect(), cut))
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

fn finite(field: &str, vector: Option<&[f32]>) -> Result<(), Rejection> {
    match vector.and_then(|vector| vector.iter().position(|x| !x.is_finite())) {
        Some(i) => Err(Rejection::field(format!("{field}[{i}]"), "is not a finite 32-bit number")),
        None => Ok(()),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Rejection> {
    // The path to a wrong field costs time that a right event should not pay, so it is looked for afterwards.
    serde_json::from_slice(bytes).map_err(|_| explain::<T>(bytes))
}

fn explain<T: DeserializeOwned>(bytes: &[u8]) -> Rejection {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut json) else {
        let reason = "is followed by something else; one line holds one event".to_owned();
        return Rejection { field: None, reason, malformed: true };
    };
    let path = Some(error.path().to_string()).filter(|path| path != "." && path != "?");
    let inner = error.into_inner();
    let at = bytes.get(inner.column().saturating_sub(1)..).unwrap_or_default();
    let not_a_number = ["NaN", "Infinity", "-Infinity", "-I", "Inf"].iter().find(|name| {
        at.starts_with(name.as_bytes())
            || bytes.get(inner.column().saturating_sub(2)..).is_some_and(|b| b.starts_with(name.as_bytes()))
    });
    if inner.is_syntax() && inner.line() == 1 && not_a_number.is_some() {
        let reason = "is NaN or infinite, which is not a JSON number; send null when the value is not known".to_owned();
        return Rejection { field: path, reason, malformed: false };
    }
    let text = inner.to_string();
    let reason = match text.rsplit_once(" at line ") {
        Some((reason, _)) if inner.is_data() => reason,
        _ => &text,
    };
    if let Some(unknown) = UnknownField::of(path.as_deref(), reason) {
        let near = unknown.near.map(|known| format!(" (did you mean {known}?)")).unwrap_or_default();
        let reason = format!("is not a field of this event{near}; data of your own goes into `attributes`");
        return Rejection::field(unknown.path, reason);
    }
    if let Some(missing) = reason.strip_prefix("missing field ") {
        let name = missing.trim_matches('`');
        let field = path.map_or_else(|| name.to_owned(), |path| format!("{path}.{name}"));
        return Rejection::field(field, "is missing");
    }
    // A number beyond 64 bits is JSON, and no value of ours.
    let malformed = (inner.is_syntax() || inner.is_eof()) && !reason.starts_with("number out of range");
    Rejection { field: path, reason: reason.to_owned(), malformed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Limits;
    use crate::policy::Policy;
    use tidemark_schema::FingerprintKey;

    const EVENT: &str = r#"{"occurred_at":"2026-11-18T09:30:00Z","corpus":"handbook","query":{"text":"how do I reset my badge"},"results":[{"doc_id":"a","score":0.9},{"doc_id":"b","score":0.8}]}"#;

    fn decode_with(bytes: &str, kind: Kind, text: TextPolicy) -> Result<Event, Rejection> {
        let keys = FingerprintKey::new([7; 32]).into();
        let now = "2026-11-18T10:00:00Z".parse().ok();
        let limits = Limits { results: 3, ..Limits::default() };
        let policy = Policy::with_text(text);
        decode(bytes.as_bytes(), kind, &Context { now, keys: &keys, policy: &policy, limits })
    }

    #[track_caller]
    fn check(change: (&str, &str), field: &str, reason: &str) {
        let changed = EVENT.replace(change.0, change.1);
        assert_ne!(changed, EVENT, "the change applies");
        let rejection = decode_with(&changed, Kind::Retrieval, TextPolicy::None).unwrap_err();
        assert_eq!((rejection.field.as_deref().unwrap_or(""), rejection.reason.as_str()), (field, reason));
    }

    fn retrieval(bytes: &str, text: TextPolicy) -> RetrievalEvent {
        match decode_with(bytes, Kind::Retrieval, text) {
            Ok(Event::Retrieval(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rejection_names_the_field_and_what_would_be_right() {
        check(
            ("0.9", "NaN"),
            "results[0].score",
            "is NaN or infinite, which is not a JSON number; send null when the value is not known",
        );
        check(
            ("0.8", "Infinity"),
            "results[1].score",
            "is NaN or infinite, which is not a JSON number; send null when the value is not known",
        );
        check(
            ("0.8", "-Infinity"),
            "results[1].score",
            "is NaN or infinite, which is not a JSON number; send null when the value is not known",
        );
        check(("0.8", "\"high\""), "results[1].score", "invalid type: string \"high\", expected f64");
        check(
            ("\"b\"", "\"a\""),
            "results[1].doc_id",
            "\"a\" is already the document of results[0]; a result lists a document once",
        );
        check(
            ("\"handbook\"", "\"../../etc\""),
            "corpus",
            "has a `.`, `..` or empty part between slashes; a name such as team/handbook is fine",
        );
        check(
            ("\"corpus\"", "\"corpsu\""),
            "corpsu",
            "is not a field of this event (did you mean corpus?); data of your own goes into `attributes`",
        );
        check(
            ("\"score\":0.8", "\"score\":0.8,\"colour\":1"),
            "results[1].colour",
            "is not a field of this event; data of your own goes into `attributes`",
        );
        check(("\"corpus\":\"handbook\",", ""), "corpus", "is missing");
        check(
            ("2026-11-18T09", "9999-12-31T09"),
            "occurred_at",
            "9999-12-31T09:30:00Z lies outside of the years 2000 to 2099; check the clock and the unit of the sender",
        );
        check(
            ("2026-11-18T09", "2026-11-19T09"),
            "occurred_at",
            "2026-11-19T09:30:00Z lies more than 60 minutes after our clock, 2026-11-18T10:00:00Z; check the sender's clock",
        );
        check(
            ("{\"text\":\"how do I reset my badge\"}", "{\"text\":\" \"}"),
            "query",
            "has neither text nor fingerprint; one of them is needed to match the query with itself",
        );
        check(("0.9", "1e999"), "results[0].score", "number out of range at line 1 column 139");
    }

    #[test]
    fn text_is_kept_only_where_the_policy_says_so_and_the_fingerprint_always() {
        let none = retrieval(EVENT, TextPolicy::None);
        let full = retrieval(EVENT, TextPolicy::Full);
        assert_eq!(none.query.text, None);
        assert_eq!(full.query.text.as_deref(), Some("how do I reset my badge"));
        assert_eq!(none.query.fingerprint, full.query.fingerprint);
        assert_eq!(none.query.simhash, full.query.simhash);
        assert!(none.query.simhash.is_some());
    }

    #[test]
    fn the_same_bytes_without_an_id_are_the_same_event() {
        assert_eq!(retrieval(EVENT, TextPolicy::None).event_id, retrieval(EVENT, TextPolicy::Full).event_id);
        let other = EVENT.replace("0.9", "0.91");
        assert_ne!(retrieval(EVENT, TextPolicy::None).event_id, retrieval(&other, TextPolicy::None).event_id);
    }

    #[test]
    fn results_beyond_the_limit_are_cut_and_counted() {
        let many: Vec<String> = (0..10).map(|i| format!("{{\"doc_id\":{i}}}")).collect();
        let event = EVENT.replace(r#"{"doc_id":"a","score":0.9},{"doc_id":"b","score":0.8}"#, &many.join(","));
        let event = retrieval(&event, TextPolicy::None);
        assert_eq!((event.results.len(), event.results_total), (3, Some(10)));
        assert_eq!(Event::Retrieval(event).truncated_results(), 7);
    }

    #[test]
    fn values_that_would_fill_the_memory_are_refused() {
        let zeros = vec!["0"; 100_000].join(",");
        check(
            ("\"results\"", &format!("\"attributes\":{{\"a\":[{zeros}]}},\"results\"")),
            "attributes",
            "has 100001 values with those of retriever.params, the limit is 100000",
        );
    }

    #[test]
    fn an_explicit_rank_overrides_the_order_and_a_missing_score_is_null() {
        let event = EVENT.replace(r#""score":0.9"#, r#""rank":2"#).replace(r#""score":0.8"#, r#""rank":1"#);
        let event = retrieval(&event, TextPolicy::None);
        assert_eq!(event.results[0].doc_id.as_str(), "b");
        assert_eq!(event.results[0].score, None);
    }

    #[test]
    fn what_is_written_is_read_back_as_the_same_event() {
        let event = retrieval(EVENT, TextPolicy::Full);
        let again = retrieval(&serde_json::to_string(&event).unwrap(), TextPolicy::Full);
        assert_eq!(event, again);
    }

    #[test]
    fn an_output_without_operation_and_trace_is_refused() {
        let rejection =
            decode_with(r#"{"occurred_at":"2026-11-18T09:30:00Z","output":{}}"#, Kind::Output, TextPolicy::None);
        assert_eq!(rejection.unwrap_err().field.as_deref(), Some("operation_id"));
    }

    #[test]
    fn kinds_are_recognised_by_their_fields() {
        assert_eq!(Kind::of(EVENT.as_bytes()), Some(Kind::Retrieval));
        assert_eq!(Kind::of(br#"{"occurred_at":"x","model":"m"}"#), Some(Kind::Output));
        assert_eq!(Kind::of(b"{}"), None);
        assert_eq!(Kind::of(b"[1]"), None);
    }
}
