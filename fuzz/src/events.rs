//! One event: what decodes is within its limits, and is the same event when it is written and read again.

use std::sync::Arc;

use tidemark_collector::accept;
use tidemark_collector::decode::{Context, Event, EventDraft, Kind, Limits, Rejection, TextPolicy, decode};
use tidemark_collector::policy::Policy;
use tidemark_schema::{FingerprintKey, FingerprintKeys, Timestamp};

/// Small enough that the fuzzer reaches it.
pub(crate) const LIMITS: Limits = Limits { event_bytes: 4096, results: 8, values: 64, ahead_s: 3_600 };

/// No limit cuts what was decoded before.
const UNLIMITED: Limits = Limits { event_bytes: usize::MAX, results: usize::MAX, values: u64::MAX, ahead_s: 0 };

/// 2030-01-01T00:00:00Z.
const NOW_MICROS: i64 = 1_893_456_000_000_000;

/// A retrieval from arbitrary bytes.
pub fn decode_retrieval(bytes: &[u8]) {
    check_event(bytes, Kind::Retrieval);
}

/// An output from arbitrary bytes.
pub fn decode_output(bytes: &[u8]) {
    check_event(bytes, Kind::Output);
}

/// The one place that knows on what decoding depends besides the bytes.
pub(crate) fn decoded(
    bytes: &[u8],
    kind: Kind,
    text: TextPolicy,
    now: Option<Timestamp>,
    limits: Limits,
) -> Result<Event, Rejection> {
    let current = FingerprintKey::new([7; 32]);
    let keys = FingerprintKeys { current, previous: Some(FingerprintKey::new([9; 32])) };
    decode(bytes, kind, &Context { now, keys: &keys, policy: &Policy::with_text(text), limits })
}

/// Decodes with each policy, with a clock and without, and gives the event with its texts, if it is one.
pub(crate) fn check_event(bytes: &[u8], kind: Kind) -> Option<Event> {
    let now = Timestamp::from_micros(NOW_MICROS).unwrap();
    let full = decoded(bytes, kind, TextPolicy::Full, None, LIMITS);
    let bare = decoded(bytes, kind, TextPolicy::None, None, LIMITS);
    let live = decoded(bytes, kind, TextPolicy::Full, Some(now), LIMITS);
    let (full, bare) = match (full, bare) {
        (Ok(full), Ok(bare)) => (full, bare),
        (Err(full), Err(bare)) => {
            assert_eq!(full, bare, "the policy changes no rejection");
            check_rejection(bytes, &full);
            return None;
        }
        (full, bare) => panic!("the policy decides on validity: {full:?}, {bare:?}"),
    };
    match live {
        Ok(live) => assert_eq!(live, full, "the clock changes no event"),
        Err(late) => {
            assert_eq!(late.field.as_deref(), Some("occurred_at"), "{late:?}");
            assert!(full.occurred_at() > now);
        }
    }
    for event in [&full, &bare] {
        check_limits(event);
        check_again(event, kind);
    }
    assert!(has_no_text(&bare));
    assert_eq!(without_texts(full.clone()), without_texts(bare), "the policy changes texts only");
    Some(full)
}

/// Accepts a draft that was not read from JSON: what it becomes is within its limits and is read again from what is written.
pub(crate) fn check_draft(draft: EventDraft, kind: Kind) {
    let keys = FingerprintKey::new([7; 32]).into();
    let policy = Policy::with_text(TextPolicy::Full);
    match accept(draft, &Context { now: None, keys: &keys, policy: &policy, limits: LIMITS }) {
        Ok(event) => {
            check_limits(&event);
            check_again(&event, kind);
        }
        Err(rejection) => assert!(!rejection.reason.is_empty()),
    }
}

fn check_rejection(bytes: &[u8], rejection: &Rejection) {
    assert!(!rejection.reason.is_empty());
    if rejection.malformed {
        let value = serde_json::from_slice::<serde_json::Value>(bytes);
        assert!(value.is_err(), "{rejection:?} is said of JSON: {value:?}");
    }
}

fn check_limits(event: &Event) {
    let (attempt, embedding) = match event {
        Event::Retrieval(event) => {
            assert!(event.results.len() <= LIMITS.results);
            let mut ids: Vec<_> = event.results.iter().map(|document| &document.doc_id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), event.results.len(), "a document is listed once");
            (event.attempt, &event.query.embedding)
        }
        Event::Output(event) => (event.attempt, &event.output.embedding),
    };
    assert!(attempt >= 1);
    assert!(embedding.iter().flatten().all(|x| x.is_finite()));
    assert!((Timestamp::MIN..=Timestamp::MAX).contains(&event.occurred_at()));
}

/// What was decoded is written and decoded to the same event, whatever the policy is by then.
fn check_again(event: &Event, kind: Kind) {
    let written = serde_json::to_vec(event).unwrap();
    assert_eq!(Kind::of(&written), Some(kind), "a written event says what it is");
    let again = decoded(&written, kind, TextPolicy::Full, None, UNLIMITED);
    assert_eq!(again.as_ref(), Ok(event), "{}", String::from_utf8_lossy(&written));
    let bare = decoded(&written, kind, TextPolicy::None, None, UNLIMITED);
    assert_eq!(bare.map(without_texts), Ok(without_texts(event.clone())));
}

fn has_no_text(event: &Event) -> bool {
    match event {
        Event::Retrieval(event) => event.query.text.is_none(),
        Event::Output(event) => event.output.text.is_none(),
    }
}

/// An event without all that a policy may drop or redact.
fn without_texts(mut event: Event) -> Event {
    match &mut event {
        Event::Retrieval(event) => {
            let event = Arc::make_mut(event);
            event.query.text = None;
            event.attributes.clear();
            event.retriever.params.clear();
            event.requested.filter = None;
            event.marks.clear();
        }
        Event::Output(event) => {
            let event = Arc::make_mut(event);
            event.output.text = None;
            event.marks.clear();
        }
    }
    event
}
