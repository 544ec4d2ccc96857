//! The id under which a request is found again: the caller's own, if it sends one.

use axum::http::HeaderMap;

/// The trace id of the `traceparent` header, else a new one: 32 hexadecimal digits either way.
pub(crate) fn of(headers: &HeaderMap) -> String {
    let given = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(parse);
    given.map_or_else(random, str::to_owned)
}

/// Reads `version-trace_id-parent_id-flags` as W3C Trace Context defines it. Later versions may append fields.
fn parse(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let digits = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    };
    let named = |id: &str| id.bytes().any(|digit| digit != b'0');
    let formed = digits(version, 2) && digits(trace, 32) && digits(parent, 16) && digits(flags, 2);
    let known = version != "ff" && (version != "00" || parts.next().is_none());
    (formed && known && named(trace) && named(parent)).then_some(trace)
}

fn random() -> String {
    let mut bytes = [0; 16];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::warn!(%error, "there are no random trace ids");
    }
    // All zeros would mean that there is none.
    if bytes == [0; 16] {
        bytes = [1; 16];
    }
    format!("{:032x}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(traceparent: &str, expected: Option<&str>) {
        assert_eq!(parse(traceparent), expected, "{traceparent}");
    }

    #[test]
    fn a_valid_traceparent_names_the_trace() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some(trace));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", Some(trace));
    }

    #[test]
    fn anything_else_does_not() {
        check("", None);
        check("4bf92f3577b34da6a3ce929d0e0e4736", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", None);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None);
        check("00-<script>alert(1)</script>00000000-00f067aa0ba902b7-01", None);
    }

    #[test]
    fn a_new_id_has_32_digits_and_is_new() {
        let (one, other) = (random(), random());
        assert_ne!(one, other);
        assert!(one.len() == 32 && one.bytes().all(|digit| digit.is_ascii_hexdigit()));
    }
}
