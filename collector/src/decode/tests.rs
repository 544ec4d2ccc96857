//! What a policy leaves of an event.

use tidemark_schema::FingerprintKey;

use super::*;

const RETRIEVAL: &str = r#"{"occurred_at":"2026-11-18T09:30:00Z","corpus":"c","principal":"al@example.com",
    "query":{"text":"mail al@example.com"},"retriever":{"params":{"as":"10.0.0.1","ef":128}},
    "requested":{"filter":"owner = bob@example.com"},"segment":{"ip":"10.0.0.2"},
    "attributes":{"note":["call +49 30 901820"],"eve@example.com":1},"results":[{"doc_id":"hr/al@example.com"}]}"#;
const OUTPUT: &str =
    r#"{"occurred_at":"2026-11-18T09:30:00Z","trace_id":"t","output":{"text":"pay 4111 1111 1111 1111"}}"#;

fn decoded(event: &str, kind: Kind, policy: &Policy) -> Event {
    let keys = FingerprintKey::new([7; 32]).into();
    decode(event.as_bytes(), kind, &Context { now: None, keys: &keys, policy, limits: Limits::default() }).unwrap()
}

#[track_caller]
fn check(text: TextPolicy, query: Option<&str>, rest: [&str; 4], marks: &[&str]) {
    let policy = Policy::with_text(text);
    let event = decoded(RETRIEVAL, Kind::Retrieval, &policy);
    assert_eq!(event.marks().iter().map(Label::as_str).collect::<Vec<_>>(), marks);
    let json = serde_json::to_value(&event).unwrap();
    assert_eq!(json["query"]["text"].as_str(), query);
    let [parameter, filter, note, key] = rest;
    assert_eq!(json["retriever"]["params"]["as"], parameter);
    assert_eq!(json["requested"]["filter"], filter);
    assert_eq!(json["attributes"]["note"][0], note);
    assert_eq!(json["attributes"][key], 1);
    assert_eq!(json["principal"], "al@example.com");
    assert_eq!(json["segment"]["ip"], "10.0.0.2");
    assert_eq!(json["results"][0]["doc_id"], "hr/al@example.com");
}

/// INV-06: no text is written before the policy has been applied.
#[test]
fn a_policy_decides_on_every_text_of_an_event_and_leaves_its_ids() {
    let redacted = ["[ip]", "owner = [email]", "call [phone]", "[email]"];
    let marks = ["redacted.email", "redacted.ip", "redacted.phone"];
    check(TextPolicy::None, None, redacted, &marks);
    check(TextPolicy::Redacted, Some("mail [email]"), redacted, &marks);
    let sent = ["10.0.0.1", "owner = bob@example.com", "call +49 30 901820", "eve@example.com"];
    check(TextPolicy::Full, Some("mail al@example.com"), sent, &[]);
}

#[test]
fn fingerprints_and_hashes_are_of_what_was_sent_under_every_policy() {
    let of = |text: TextPolicy| {
        let policy = Policy::with_text(text);
        match (decoded(RETRIEVAL, Kind::Retrieval, &policy), decoded(OUTPUT, Kind::Output, &policy)) {
            (Event::Retrieval(retrieval), Event::Output(output)) => {
                (retrieval.query.fingerprint.clone(), retrieval.query.simhash, output.output.hash.clone())
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(TextPolicy::Full), of(TextPolicy::Redacted));
    assert_eq!(of(TextPolicy::Full), of(TextPolicy::None));
}

#[test]
fn an_answer_is_redacted_like_a_query() {
    let event = decoded(OUTPUT, Kind::Output, &Policy::with_text(TextPolicy::Redacted));
    assert_eq!(event.marks().iter().map(Label::as_str).collect::<Vec<_>>(), ["redacted.card"]);
    assert!(serde_json::to_string(&event).unwrap().contains("pay [card]"));
}

#[test]
fn what_was_stored_is_read_back_and_redacted_again_without_a_change() {
    let policy = Policy::with_text(TextPolicy::Redacted);
    for (event, kind) in [(RETRIEVAL, Kind::Retrieval), (OUTPUT, Kind::Output)] {
        let event = decoded(event, kind, &policy);
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(decoded(&json, kind, &Policy::verbatim()), event);
        assert_eq!(decoded(&json, kind, &policy), event);
    }
}

#[test]
fn results_beyond_the_limit_of_all_events_are_marked_too() {
    let keys = FingerprintKey::new([7; 32]).into();
    let limits = Limits { results: 0, ..Limits::default() };
    let context = Context { now: None, keys: &keys, policy: &Policy::with_text(TextPolicy::Full), limits };
    let event = decode(RETRIEVAL.as_bytes(), Kind::Retrieval, &context).unwrap();
    assert_eq!(event.marks().iter().map(Label::as_str).collect::<Vec<_>>(), ["bound.results"]);
}
