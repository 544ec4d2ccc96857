//! What happens to an event that breaks a bound: it is kept, cut where its size is bounded, and marked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidemark_schema::{Label, OutputEvent, RetrievalEvent, RetrievedDocument, Timestamp};

use crate::policy::{Bounds, Bytes};

/// More results than [`Bounds::results`], or than are kept of any retrieval: the rest is cut.
pub const RESULTS: &str = "bound.results";
/// More results asked for than [`Bounds::results`].
pub const TOP_K: &str = "bound.top_k";
/// A query longer than [`Bounds::query_bytes`]: its text is cut.
pub const QUERY_BYTES: &str = "bound.query_bytes";
/// An answer longer than [`Bounds::output_bytes`]: its text is cut.
pub const OUTPUT_BYTES: &str = "bound.output_bytes";
/// More attributes than [`Bounds::attributes`] or [`Bounds::attribute_bytes`]: the last by name are left out.
pub const ATTRIBUTES: &str = "bound.attributes";
/// More tokens asked for or returned than [`Bounds::context_tokens`].
pub const CONTEXT_TOKENS: &str = "bound.context_tokens";
/// A result older than [`Bounds::document_age`].
pub const DOCUMENT_AGE: &str = "bound.document_age";
/// A corpus that is not of [`Bounds::corpora`].
pub const CORPUS: &str = "bound.corpus";
/// A scope, asked for or returned, that is not of [`Bounds::scopes`].
pub const SCOPE: &str = "bound.scope";

/// All marks of bounds.
pub const MARKS: [&str; 9] =
    [RESULTS, TOP_K, QUERY_BYTES, OUTPUT_BYTES, ATTRIBUTES, CONTEXT_TOKENS, DOCUMENT_AGE, CORPUS, SCOPE];

/// What was sent and is not in the event any more once texts were dropped or redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sent {
    /// Bytes of the text of the query or of the answer.
    pub(crate) text_bytes: usize,
}

pub(crate) fn mark(marks: &mut BTreeSet<Label>, name: &str) {
    marks.extend(name.parse::<Label>().ok());
}

/// Holds a retrieval to its bounds: cuts what is too large and marks what broke a bound.
pub(crate) fn hold_retrieval(bounds: &Bounds, sent: Sent, event: &mut RetrievalEvent) {
    let mut broken = Vec::new();
    // What the system did is judged before anything is cut.
    let tokens: u64 = event.results.iter().filter_map(|result| result.tokens).map(u64::from).sum();
    let most_tokens = tokens.max(event.requested.max_context_tokens.unwrap_or_default());
    if bounds.context_tokens.is_some_and(|most| most_tokens > most) {
        broken.push(CONTEXT_TOKENS);
    }
    if bounds.document_age.is_some_and(|age| event.results.iter().any(|result| older(result, event.occurred_at, age.0)))
    {
        broken.push(DOCUMENT_AGE);
    }
    if bounds.corpora.as_ref().is_some_and(|corpora| !corpora.contains(&event.corpus)) {
        broken.push(CORPUS);
    }
    if let Some(scopes) = &bounds.scopes {
        let returned = event.results.iter().filter_map(|result| result.scope.as_ref());
        if event.requested.scope.iter().chain(returned).any(|scope| !scopes.contains(scope)) {
            broken.push(SCOPE);
        }
    }
    if let Some(most) = bounds.results {
        if event.requested.top_k.is_some_and(|top_k| top_k > most) {
            broken.push(TOP_K);
        }
        let kept = u32::try_from(event.results.len()).unwrap_or(u32::MAX);
        if kept > most {
            event.results.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            event.results_total = Some(event.results_total.map_or(kept, |total| total.max(kept)));
            broken.push(RESULTS);
        }
    }
    if cut_text(bounds.query_bytes, sent, &mut event.query.text) {
        broken.push(QUERY_BYTES);
    }
    if cut_attributes(bounds, &mut event.attributes) {
        broken.push(ATTRIBUTES);
    }
    for name in broken {
        mark(&mut event.marks, name);
    }
}

/// Holds an output to its bounds.
pub(crate) fn hold_output(bounds: &Bounds, sent: Sent, event: &mut OutputEvent) {
    if cut_text(bounds.output_bytes, sent, &mut event.output.text) {
        mark(&mut event.marks, OUTPUT_BYTES);
    }
}

fn older(result: &RetrievedDocument, occurred_at: Timestamp, seconds: u64) -> bool {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let micros = |time: Timestamp| time.micros();
    result
        .updated_at
        .is_some_and(|updated| micros(occurred_at).saturating_sub(micros(updated)) > seconds.saturating_mul(1_000_000))
}

/// Cuts a text at the last character that fits; true if the text was too long when it was sent.
fn cut_text(most: Option<Bytes>, sent: Sent, text: &mut Option<String>) -> bool {
    let Some(Bytes(most)) = most else { return false };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if let Some(text) = text {
        // A name in brackets can be longer than what it replaces, so the text that is left is measured too.
        text.truncate(text.floor_char_boundary(most));
    }
    sent.text_bytes > most
}

/// Leaves out the last attributes by name until the rest fits; true if any was left out.
fn cut_attributes(bounds: &Bounds, attributes: &mut BTreeMap<String, Value>) -> bool {
    let most = bounds.attributes.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let most_bytes = bounds.attribute_bytes.map_or(u64::MAX, |Bytes(most)| most);
    if attributes.len() <= most && most_bytes == u64::MAX {
        return false;
    }
    let bytes = |value: &Value| serde_json::to_string(value).map_or(0, |json| json.len() as u64);
    // `{`, `}` and, for each attribute, its key, `:`, its value and a comma but for the last.
    let mut taken: u64 = 1;
    let kept = attributes.iter().take(most).take_while(|(key, value)| {
        taken += bytes(&Value::String((*key).clone())) + bytes(value) + 2;
        taken <= most_bytes
    });
    let kept = kept.count();
    let Some(first_cut) = attributes.keys().nth(kept).cloned() else { return false };
    attributes.split_off(&first_cut);
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidemark_schema::FingerprintKey;

    use super::*;
    use crate::decode::{Context, Event, Kind, Limits, decode};
    use crate::policy::Policy;

    const EVENT: &str = r#"{"occurred_at":"2026-11-18T09:30:00Z","corpus":"wiki","query":{"text":"für mich"},
        "requested":{"top_k":50,"max_context_tokens":4000,"scope":["public"]},"attributes":{"a":1,"b":"x","c":[1,2]},
        "results":[{"doc_id":"a","tokens":100,"updated_at":"2026-11-17T09:30:00Z","scope":"public"},
                   {"doc_id":"b","tokens":100,"updated_at":"2026-10-18T09:30:00Z","scope":"secret"}]}"#;

    fn bounded(event: &str, kind: Kind, text: &str, bounds: &str) -> Event {
        let policy = Policy::parse(&format!("text: {text}\nbounds: {bounds}")).unwrap();
        let keys = FingerprintKey::new([7; 32]).into();
        let context = Context { now: None, keys: &keys, policy: &policy, limits: Limits::default() };
        decode(event.as_bytes(), kind, &context).unwrap()
    }

    #[track_caller]
    fn check(bounds: &str, marks: &[&str]) -> Arc<RetrievalEvent> {
        match bounded(EVENT, Kind::Retrieval, "full", bounds) {
            Event::Retrieval(event) => {
                assert_eq!(event.marks.iter().map(Label::as_str).collect::<Vec<_>>(), marks, "{bounds}");
                event
            }
            Event::Output(_) => panic!("an output"),
        }
    }

    #[test]
    fn an_event_within_its_bounds_is_left_alone() {
        let bounds = "{results: 50, query_bytes: 9, attributes: 3, attribute_bytes: 25, context_tokens: 4000, \
            document_age: 31d, corpora: [wiki], scopes: [public, secret]}";
        assert_eq!(check(bounds, &[]).attributes.len(), 3);
    }

    #[test]
    fn results_beyond_the_bound_are_cut_and_their_number_is_kept() {
        let event = check("{results: 1}", &["bound.results", "bound.top_k"]);
        assert_eq!((event.results.len(), event.results_total), (1, Some(2)));
    }

    #[test]
    fn a_text_is_cut_between_characters_and_the_fingerprint_is_of_the_whole() {
        let event = check("{query_bytes: 2}", &["bound.query_bytes"]);
        assert_eq!(event.query.text.as_deref(), Some("f"));
        assert_eq!(event.query.fingerprint, check("{}", &[]).query.fingerprint);
    }

    #[test]
    fn attributes_are_left_out_from_the_end_until_they_fit() {
        assert_eq!(check("{attributes: 1}", &["bound.attributes"]).attributes.len(), 1);
        assert_eq!(check("{attributes: 0}", &["bound.attributes"]).attributes.len(), 0);
        let event = check("{attribute_bytes: 24}", &["bound.attributes"]);
        assert_eq!(serde_json::to_string(&event.attributes).unwrap(), r#"{"a":1,"b":"x"}"#);
        assert_eq!(check("{attribute_bytes: 15}", &["bound.attributes"]).attributes.len(), 2);
        assert_eq!(check("{attribute_bytes: 14}", &["bound.attributes"]).attributes.len(), 1);
    }

    #[test]
    fn what_the_system_did_is_marked_and_not_changed() {
        check("{context_tokens: 3999}", &["bound.context_tokens"]);
        check("{document_age: 30d}", &["bound.document_age"]);
        check("{corpora: [handbook]}", &["bound.corpus"]);
        check("{scopes: [public]}", &["bound.scope"]);
        assert_eq!(check("{scopes: [secret]}", &["bound.scope"]).results.len(), 2);
    }

    #[test]
    fn a_cut_cannot_leave_half_of_a_value_that_would_have_been_recognised() {
        let event = EVENT.replace("für mich", "4111 1111 1111 1111");
        match bounded(&event, Kind::Retrieval, "redacted", "{query_bytes: 12}") {
            Event::Retrieval(event) => {
                assert_eq!(event.query.text.as_deref(), Some("[card]"));
                let marks: Vec<&str> = event.marks.iter().map(Label::as_str).collect();
                assert_eq!(marks, ["bound.query_bytes", "redacted.card"]);
            }
            Event::Output(_) => panic!("an output"),
        }
    }

    #[test]
    fn an_answer_has_a_bound_of_its_own_and_is_marked_without_its_text_too() {
        let event = r#"{"occurred_at":"2026-11-18T09:30:00Z","trace_id":"t","output":{"text":"four"}}"#;
        for (text, left) in [("full", Some("fou")), ("none", None)] {
            let event = bounded(event, Kind::Output, text, "{output_bytes: 3}");
            assert_eq!(event.marks().iter().map(Label::as_str).collect::<Vec<_>>(), ["bound.output_bytes"]);
            match event {
                Event::Output(event) => assert_eq!(event.output.text.as_deref(), left),
                Event::Retrieval(_) => panic!("a retrieval"),
            }
        }
    }
}
