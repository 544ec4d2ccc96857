use std::net::Ipv6Addr;

use super::Span;

/// IP addresses: four numbers of 0 to 255 that are not part of a longer dotted number nor follow a `v`, and what the
/// standard library reads as IPv6 (RFC 4291, section 2.2), as far as it holds a digit.
pub(super) fn find(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let token = bytes.iter().skip(at).take_while(|byte| of_address(**byte)).count();
        if token >= 2 {
            version_6(text, at, at + token, found);
        }
        version_4(bytes, at, at + token, found);
        at += token + 1;
    }
}

fn of_address(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
}

fn version_6(text: &str, start: usize, end: usize, found: &mut Vec<Span>) {
    let token = text.get(start..end).unwrap_or_default();
    let colons = token.bytes().take(64).filter(|byte| *byte == b':').count();
    if colons < 2 || token.len() > 64 {
        return;
    }
    // A full stop or colon of the sentence may touch the address, and so may the word before or the port after it.
    let trimmed = token.trim_end_matches('.');
    let trimmed = if trimmed.ends_with("::") { trimmed } else { trimmed.trim_end_matches(':') };
    let lead = usize::from(trimmed.starts_with(':') && !trimmed.starts_with("::"));
    let trimmed = trimmed.get(lead..).unwrap_or_default();
    let headless = trimmed.split_once(':').map_or("", |(_, rest)| rest);
    let tailless = trimmed.rsplit_once(':').map_or("", |(rest, _)| rest);
    let from = start + lead;
    let candidates = [(from, trimmed), (from + trimmed.len() - headless.len(), headless), (from, tailless)];
    let alone = |at: usize, candidate: &str| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + candidate.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    };
    let address = candidates.into_iter().any(|(at, candidate)| {
        let digit = candidate.bytes().any(|byte| byte.is_ascii_digit());
        digit && candidate.parse::<Ipv6Addr>().is_ok() && alone(at, candidate)
    });
    if address {
        // Which of the ends is the word or the port cannot be told, so both go.
        found.push(Span { start: from, end: from + trimmed.len() });
    }
}

fn version_4(bytes: &[u8], start: usize, end: usize, found: &mut Vec<Span>) {
    let mut at = start;
    while at < end {
        let run = bytes.get(at..end).unwrap_or_default();
        let dotted = run.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        if dotted == 0 {
            at += 1;
            continue;
        }
        let digits = run.get(..dotted).unwrap_or_default();
        let lead = digits.iter().take_while(|byte| **byte == b'.').count();
        let digits = digits.get(lead..).unwrap_or_default();
        let digits = digits.get(..digits.iter().rposition(u8::is_ascii_digit).map_or(0, |last| last + 1));
        let digits = digits.unwrap_or_default();
        let versioned =
            (at + lead).checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(|b| b"vV".contains(b));
        if !versioned && four_numbers(digits) {
            found.push(Span { start: at + lead, end: at + lead + digits.len() });
        }
        at += dotted;
    }
}

fn four_numbers(digits: &[u8]) -> bool {
    if digits.len() > 15 {
        return false;
    }
    let number = |part: &[u8]| {
        let value = part.iter().fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
        (1..=3).contains(&part.len()) && value <= 255
    };
    digits.split(|byte| *byte == b'.').count() == 4 && digits.split(|byte| *byte == b'.').all(number)
}

#[cfg(test)]
mod tests {
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(super::find, text), expected, "{text:?}");
    }

    #[test]
    fn addresses_of_both_versions_are_found() {
        check("10.0.0.1", &["10.0.0.1"]);
        check("from 192.168.1.254:8080, 8.8.8.8/32.", &["192.168.1.254", "8.8.8.8"]);
        check("host=010.001.001.001", &["010.001.001.001"]);
        check("[2001:db8::1]:443 ::1 fe80::1%eth0", &["2001:db8::1", "::1", "fe80::1"]);
        check("addr:2001:db8:0:0:0:0:0:1.", &["2001:db8:0:0:0:0:0:1"]);
        check("feed:2001:db8:0:0:0:0:0:1", &["feed:2001:db8:0:0:0:0:0:1"]);
        check("2001:db8:0:0:0:0:0:1:8080", &["2001:db8:0:0:0:0:0:1:8080"]);
        check("::ffff:10.0.0.1", &["::ffff:10.0.0.1", "10.0.0.1"]);
    }

    #[test]
    fn versions_times_hardware_addresses_and_paths_of_code_are_no_addresses() {
        check("1.2.3 v1.2.3.4 1.2.3.4.5 256.1.1.1 12:30:45 std::fmt face::add", &[]);
        check("00:1a:2b:3c:4d:5e 2026-11-18T09:30:00Z ::", &[]);
    }
}
