//! What an answer of the server says of each event that was sent.

use std::time::Duration;

use serde_json::Value;

/// What a request brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Each event was answered.
    Answered(Answered),
    /// The request is too large; parts of it may be taken.
    TooLarge,
    /// The server will never take it, for what it is.
    Rejected(String),
    /// Nothing was taken, for a reason that may pass; the same can be sent again.
    Failed { reason: String, pause: Option<Duration> },
}

/// What became of the events of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) acknowledged: usize,
    /// Those of them that the server had already.
    pub(crate) again: usize,
    pub(crate) rejected: usize,
    /// The places of those that the server takes later.
    pub(crate) later: Vec<usize>,
    pub(crate) pause: Option<Duration>,
    /// Why the first of them was not taken.
    pub(crate) reason: Option<String>,
}

impl Outcome {
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { reason: reason.into(), pause: None }
    }
}

/// Reads the answer to a request of so many events. Whatever it says, it is read as something.
pub(crate) fn read(status: u16, retry_after: Option<u64>, body: &[u8], sent: usize) -> Outcome {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if matches!(status, 202 | 400 | 422 | 429)
        && let Some(answered) = each(&answer, sent)
    {
        return Outcome::Answered(answered);
    }
    match status {
        413 => Outcome::TooLarge,
        400 | 422 => Outcome::Rejected(reason(status, &answer)),
        // Also what no retry will mend, such as 401 or 404: that is for whoever runs the service to mend, and no fault of
        // the events.
        _ => Outcome::Failed { reason: reason(status, &answer), pause: retry_after.map(Duration::from_secs) },
    }
}

fn each(answer: &Value, sent: usize) -> Option<Answered> {
    let events = answer.get("events")?.as_array()?;
    if events.len() != sent {
        return None;
    }
    let mut answered = Answered::default();
    for (place, event) in events.iter().enumerate() {
        let wait = event.get("retry_after_s").and_then(Value::as_u64);
        match event.get("status")?.as_str()? {
            "accepted" => answered.acknowledged += 1,
            "duplicate" => {
                answered.acknowledged += 1;
                answered.again += 1;
            }
            "rejected" if wait.is_some() => {
                answered.pause = answered.pause.max(wait.map(Duration::from_secs));
                answered.later.push(place);
            }
            "rejected" => answered.rejected += 1,
            _ => return None,
        }
        let why = event.get("reason").and_then(Value::as_str);
        answered.reason = answered.reason.or_else(|| {
            let field = event.get("field").and_then(Value::as_str).unwrap_or("the event");
            why.map(|why| format!("{field}: {why}"))
        });
    }
    Some(answered)
}

/// The status, and what the problem says of it.
fn reason(status: u16, answer: &Value) -> String {
    let said = |member: &str| answer.get(member).and_then(Value::as_str);
    match (said("detail"), said("hint")) {
        (Some(detail), Some(hint)) => format!("{status}: {detail}; {hint}"),
        (Some(detail), None) => format!("{status}: {detail}"),
        _ if status == 202 => "202, but not the answer of a Tidemark server; check the address".to_owned(),
        _ => format!("{status}; check the address, and what is between this service and the server"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_of_an_answer_is_counted_once() {
        let answer = serde_json::json!({ "events": [
            { "status": "accepted" }, { "status": "duplicate" }, { "status": "rejected", "field": "corpus", "reason": "is empty" },
            { "status": "rejected", "retry_after_s": 3 },
        ] });
        let answer = answer.to_string();
        for status in [202, 400, 422, 429] {
            let expected = Answered {
                acknowledged: 2,
                again: 1,
                rejected: 1,
                later: vec![3],
                pause: Some(Duration::from_secs(3)),
                reason: Some("corpus: is empty".to_owned()),
            };
            assert_eq!(read(status, None, answer.as_bytes(), 4), Outcome::Answered(expected), "{status}");
        }
        let other = read(202, None, answer.as_bytes(), 5);
        assert!(matches!(other, Outcome::Failed { .. }), "an answer to something else answers nothing");
    }

    #[test]
    fn only_what_is_said_of_the_events_rejects_them() {
        let check = |status, expected: fn(&Outcome) -> bool| {
            let outcome = read(status, Some(7), br#"{"detail": "no", "hint": "ask"}"#, 1);
            assert!(expected(&outcome), "{status}: {outcome:?}");
        };
        for status in [400, 422] {
            check(status, |outcome| matches!(outcome, Outcome::Rejected(reason) if reason.ends_with(": no; ask")));
        }
        for status in [301, 401, 403, 404, 405, 408, 409, 415, 429, 500, 502, 503] {
            check(
                status,
                |outcome| matches!(outcome, Outcome::Failed { pause: Some(pause), .. } if pause.as_secs() == 7),
            );
        }
        check(413, |outcome| *outcome == Outcome::TooLarge);
    }

    #[test]
    fn an_answer_of_any_shape_is_read_as_something() {
        for body in [
            "",
            "null",
            "[]",
            "7",
            "\"x\"",
            "{",
            r#"{"events": null}"#,
            r#"{"events": [null]}"#,
            r#"{"events": [{"status": null}]}"#,
            r#"{"events": [{"status": "lost"}]}"#,
        ] {
            let outcome = read(202, None, body.as_bytes(), 1);
            assert!(matches!(outcome, Outcome::Failed { .. }), "{body}: {outcome:?}");
        }
    }
}
