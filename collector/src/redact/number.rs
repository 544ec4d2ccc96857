//! What payment cards and phone numbers have in common: groups of digits, and what is neither though it has them.

/// The group of digits that starts at a byte: where it ends.
pub(super) fn group_end(bytes: &[u8], start: usize) -> usize {
    start + bytes.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether a group of digits starts at a byte.
pub(super) fn group_starts(bytes: &[u8], at: usize) -> bool {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    digit(at) && !at.checked_sub(1).is_some_and(digit)
}

/// Where the next group of digits starts, if nothing but 1 to `most` of these separators stands between.
pub(super) fn next_group(bytes: &[u8], end: usize, most: usize, separator: impl Fn(u8) -> bool) -> Option<usize> {
    let between = bytes.iter().skip(end).take(most + 1).take_while(|byte| separator(**byte)).count();
    let start = end + between;
    ((1..=most).contains(&between) && bytes.get(start).is_some_and(u8::is_ascii_digit)).then_some(start)
}

/// Whether a date with a year of 1900 to 2099 starts at a byte: `2026-11-18`, `18.11.2026`, with `-`, `/`, `.` or a space
/// between.
pub(super) fn date_starts(bytes: &[u8], at: usize) -> bool {
    let group = |start: usize| {
        let end = group_end(bytes, start);
        let digits = bytes.get(start..end).unwrap_or_default();
        let value = digits.iter().take(4).fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
        (end, digits.len(), value)
    };
    let separator = |at: usize| bytes.get(at).copied().filter(|byte| b"-/. ".contains(byte));
    let (first_end, first_len, first) = group(at);
    let Some(sign) = separator(first_end) else { return false };
    let (second_end, second_len, second) = group(first_end + 1);
    if separator(second_end) != Some(sign) || !(1..=2).contains(&second_len) {
        return false;
    }
    let (_, third_len, third) = group(second_end + 1);
    let year = |len: usize, value: u32| len == 4 && (1900..2100).contains(&value);
    let part = |len: usize, value: u32| (1..=2).contains(&len) && (1..=31).contains(&value);
    let months = |a: u32, b: u32| a <= 12 || b <= 12;
    (year(first_len, first) && part(second_len, second) && part(third_len, third) && months(second, third))
        || (part(first_len, first) && part(second_len, second) && year(third_len, third) && months(first, second))
}

/// Whether a byte stands in a token of hexadecimal digits that is too long for a number and holds letters (a hash), or in
/// a UUID.
pub(super) fn in_hash(bytes: &[u8], at: usize) -> bool {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let before = bytes.iter().take(at).rev().take(80).take_while(|byte| part(byte)).count();
    let after = bytes.iter().skip(at).take(80).take_while(|byte| part(byte)).count();
    let token = bytes.get(at - before..at + after).unwrap_or_default();
    let uuid = |token: &[u8]| {
        let lengths: Vec<usize> = token.split(|byte| *byte == b'-').map(<[u8]>::len).collect();
        lengths == [8, 4, 4, 4, 12] && token.iter().all(|byte| *byte == b'-' || byte.is_ascii_hexdigit())
    };
    if uuid(token) {
        return true;
    }
    let mut start = 0;
    let inside = token.split(|byte| *byte == b'-').find(|word| {
        let holds = (start..=start + word.len()).contains(&before);
        start += word.len() + 1;
        holds
    });
    inside.is_some_and(|word| {
        word.len() >= 24 && word.iter().all(u8::is_ascii_hexdigit) && word.iter().any(u8::is_ascii_alphabetic)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(date_starts(text.as_bytes(), 0), expected, "{text:?}");
    }

    #[test]
    fn dates_are_told_from_numbers_by_their_year_month_and_day() {
        check("2026-11-18T09:30", true);
        check("18.11.2026", true);
        check("11/18/2026", true);
        check("2026-18-45", false);
        check("5555-11-18", false);
        check("030-11-1811", false);
    }

    #[test]
    fn digits_of_hashes_and_uuids_are_recognised() {
        let hash = b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert!(in_hash(hash, 2));
        assert!(in_hash(b"id 41111111-1111-1111-8111-111111111111.", 3));
        assert!(!in_hash(b"4111-1111-1111-1111", 0));
        assert!(!in_hash(b"card4111111111111111", 4));
    }
}
