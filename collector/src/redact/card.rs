use super::Span;
use super::number::{date_starts, group_end, group_starts, in_hash, next_group};

/// Payment cards: 13 to 19 digits that begin as issued cards do (3 to 6, and 2200 to 2720) and pass the check digit of
/// ISO/IEC 7812-1, annex B (Luhn). Digits may stand in groups, with up to three spaces and dashes, or with single dots,
/// slashes or underscores, between; a card begins and ends with a group, so that no window inside of a long number is taken
/// for one.
pub(super) fn find(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !group_starts(bytes, at) {
            at += 1;
            continue;
        }
        match card(bytes, at) {
            Some(end) => {
                found.push(Span { start: at, end });
                at = end;
            }
            None => at = group_end(bytes, at),
        }
    }
}

fn card(bytes: &[u8], start: usize) -> Option<usize> {
    let fraction = start >= 2 && bytes.get(start - 1) == Some(&b'.') && bytes.get(start - 2)?.is_ascii_digit();
    if fraction || !begins_as_issued(bytes, start) {
        return None;
    }
    let spaced = |byte: u8| matches!(byte, b' ' | b'-' | b'\t');
    let end = longest(bytes, start, 3, spaced)
        .or_else(|| b"./_".iter().find_map(|joint| longest(bytes, start, 1, |byte| byte == *joint)))?;
    (!in_hash(bytes, start)).then_some(end)
}

fn longest(bytes: &[u8], start: usize, most: usize, separator: impl Fn(u8) -> bool) -> Option<usize> {
    let mut digits = Vec::with_capacity(19);
    let mut longest = None;
    let mut group = start;
    loop {
        let end = group_end(bytes, group);
        if digits.len() + (end - group) > 19 || date_starts(bytes, group) {
            return longest;
        }
        digits.extend(bytes.get(group..end).unwrap_or_default().iter().map(|digit| digit - b'0'));
        if digits.len() >= 13 && luhn(&digits) {
            longest = Some(end);
        }
        match next_group(bytes, end, most, &separator) {
            Some(next) => group = next,
            None => return longest,
        }
    }
}

fn begins_as_issued(bytes: &[u8], start: usize) -> bool {
    match bytes.get(start) {
        Some(b'3'..=b'6') => true,
        Some(b'2') => {
            let digits = bytes.iter().skip(start).take(8).filter(|byte| byte.is_ascii_digit()).take(4);
            let first = digits.fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
            (2200..=2720).contains(&first)
        }
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let weighted = digits.iter().rev().enumerate().map(|(place, digit)| match (place % 2, *digit) {
        (0, digit) => u32::from(digit),
        (_, digit) if digit < 5 => u32::from(digit) * 2,
        (_, digit) => u32::from(digit) * 2 - 9,
    });
    weighted.sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(super::find, text), expected, "{text:?}");
    }

    #[test]
    fn cards_are_found_in_any_grouping() {
        check("4111111111111111", &["4111111111111111"]);
        check("pay 4111 1111 1111 1111, please", &["4111 1111 1111 1111"]);
        check("5500-0000-0000-0004", &["5500-0000-0000-0004"]);
        check("3782 822463 10005", &["3782 822463 10005"]);
        check("2223.0000.4840.0011", &["2223.0000.4840.0011"]);
        check("4111_1111_1111_1111 or 4111/1111/1111/1111", &["4111_1111_1111_1111", "4111/1111/1111/1111"]);
        check("4222222222222", &["4222222222222"]);
        check("card4111111111111111x", &["4111111111111111"]);
    }

    #[test]
    fn a_number_before_or_after_does_not_hide_a_card() {
        check("12 4111 1111 1111 1111", &["4111 1111 1111 1111"]);
        check("4111 1111 1111 1111 43", &["4111 1111 1111 1111"]);
        check("33 4111111111111111 4111111111111111", &["4111111111111111", "4111111111111111"]);
    }

    #[test]
    fn other_long_numbers_are_no_cards() {
        check("4111111111111112 1763456789012 20240501123045 0000-0002-1825-0097", &[]);
        check("9780306406157 41111111111111111111111111111111", &[]);
        check("0.4111111111111111", &[]);
        check("500 2024-05-01 12:30", &[]);
        check("41111111-1111-1111-8111-111111111111", &[]);
    }
}
