//! One piece of JSON into one event, or into a rejection that names the field.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use tidemark_schema::EventId;

use super::draft::EventDraft;
use super::{Context, Event, Rejection, explain};
use crate::accept::accept;
use crate::unknown::path_of;

/// Which of the two kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
        let strict = serde_json::from_slice(bytes).ok();
        let fields: Fields = strict.or_else(|| serde_json::from_slice(&without_unknown_numbers(bytes)?).ok())?;
        if fields.results.is_some() || fields.corpus.is_some() || fields.query.is_some() {
            Some(Self::Retrieval)
        } else {
            let of_an_output =
                [fields.output, fields.model, fields.citations, fields.refusal, fields.scores, fields.feedback];
            of_an_output.iter().any(Option::is_some).then_some(Self::Output)
        }
    }
}

/// Reads one event of a known kind. Without an id of its own it has that of its bytes.
pub fn draft(bytes: &[u8], kind: Kind) -> Result<EventDraft, Rejection> {
    let mut draft = read(bytes, kind).or_else(|rejection| match without_unknown_numbers(bytes) {
        Some(known) => read(&known, kind).map(EventDraft::not_finite),
        None => Err(rejection),
    })?;
    draft.event_id().get_or_insert_with(|| EventId::of_content(bytes));
    Ok(draft)
}

/// Reads one event of a known kind and makes of it what is stored.
pub fn decode(bytes: &[u8], kind: Kind, context: &Context<'_>) -> Result<Event, Rejection> {
    accept(draft(bytes, kind)?, context)
}

fn read(bytes: &[u8], kind: Kind) -> Result<EventDraft, Rejection> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = EventDraft::deserialize(kind, &mut json).and_then(|draft| json.end().map(|()| draft));
    read.map_err(|_| why(bytes, kind))
}

/// The path to a wrong field costs time that a right event should not pay, so it is looked for afterwards.
fn why(bytes: &[u8], kind: Kind) -> Rejection {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let read = EventDraft::deserialize(kind, serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let Err(error) = read else {
        let reason = "is followed by something else; one line holds one event".to_owned();
        return Rejection { field: None, reason, malformed: true };
    };
    let path = path_of(&track.path());
    let text = error.to_string();
    // A number beyond 64 bits is JSON, and no value of ours.
    if (error.is_syntax() || error.is_eof()) && !text.starts_with("number out of range") {
        return Rejection { field: path, reason: format!("is no JSON: {text}"), malformed: true };
    }
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    explain::of_message(path, message)
}

/// The same bytes with null for the numbers that JSON does not have, `NaN` and `Infinity`; none if there are none. Python writes
/// them for what is not known, and an event need not be lost for it.
pub(super) fn without_unknown_numbers(bytes: &[u8]) -> Option<Vec<u8>> {
    const NAMES: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let (mut known, mut copied, mut at, mut quoted) = (Vec::new(), 0, 0, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'N' | b'I' | b'-' if !quoted => {
                let rest = bytes.get(at..).unwrap_or_default();
                if let Some(name) = NAMES.iter().find(|name| rest.starts_with(name)) {
                    known.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
                    known.extend_from_slice(b"null");
                    at += name.len() - 1;
                    copied = at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    known.extend_from_slice(bytes.get(copied..).filter(|_| copied > 0)?);
    Some(known)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidemark_schema::{FingerprintKey, RetrievalEvent};

    use super::*;
    use crate::decode::Limits;
    use crate::policy::Policy;
    use crate::redact::TextPolicy;

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

    fn retrieval(bytes: &str, text: TextPolicy) -> Arc<RetrievalEvent> {
        match decode_with(bytes, Kind::Retrieval, text) {
            Ok(Event::Retrieval(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rejection_names_the_field_and_what_would_be_right() {
        check(("0.8", "\"high\""), "results[1].score", "is the text \"high\"; expected a number");
        check(
            ("{\"doc_id\":\"b\",\"score\":0.8}", "[]"),
            "results[1]",
            "is an array; expected an object with `doc_id`, or the id of a document",
        );
        check(
            ("\"score\":0.8", "\"tokens\":-1"),
            "results[1].tokens",
            "is -1; expected a whole number that is not negative",
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
        check(("0.9", "1e999"), "results[0].score", "is a number beyond the range of 64 bits");
    }

    #[test]
    fn a_number_that_json_does_not_have_is_not_known_and_costs_nothing_else() {
        let event = EVENT.replace("0.9", "NaN").replace("0.8", "-Infinity").replace("how do", "NaN \\\" NaN");
        let event = retrieval(&event, TextPolicy::Full);
        assert!(event.results.iter().all(|result| result.score.is_none()));
        let nan = EVENT.replacen('{', "{\"event_id\":NaN,\"principal\":NaN,\"attributes\":{\"x\":NaN},", 1);
        let unnamed = retrieval(&nan, TextPolicy::Full);
        assert_eq!((unnamed.event_id, &unnamed.principal), (EventId::of_content(nan.as_bytes()), &None));
        assert_eq!(unnamed.attributes["x"], serde_json::Value::Null);
        assert_eq!(event.query.text.as_deref(), Some("NaN \" NaN I reset my badge"));
        assert!(event.marks.iter().eq(["number.not_finite"].map(|mark| mark.parse().unwrap()).iter()));
    }

    #[test]
    fn a_document_that_is_listed_twice_is_kept_twice_and_told_apart() {
        let event = retrieval(&EVENT.replace("\"b\"", "\"a\""), TextPolicy::None);
        assert_eq!(event.results.iter().map(|result| result.doc_id.as_str()).collect::<Vec<_>>(), ["a", "a#2"]);
        assert!(event.marks.iter().eq(["doc_id.repeated"].map(|mark| mark.parse().unwrap()).iter()));
    }

    #[test]
    fn a_time_without_a_zone_is_taken_as_utc_and_marked() {
        let event = retrieval(&EVENT.replace("09:30:00Z", "09:30:00"), TextPolicy::None);
        assert_eq!(event.occurred_at.to_string(), "2026-11-18T09:30:00Z");
        assert!(event.marks.iter().eq(["time.assumed_utc"].map(|mark| mark.parse().unwrap()).iter()));
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
        let again = retrieval(&serde_json::to_string(event.as_ref()).unwrap(), TextPolicy::Full);
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
        assert_eq!(Kind::of(br#"{"scores":{"faithful":NaN}}"#), Some(Kind::Output));
        assert_eq!(Kind::of(b"{}"), None);
        assert_eq!(Kind::of(b"[1]"), None);
    }
}
