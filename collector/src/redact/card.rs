use std::cell::LazyCell;
use std::sync::LazyLock;

use regex::Regex;

use super::number::{group_ends, harmless, scan, touches};
use super::{Span, regex};

/// 13 to 19 digits (ISO/IEC 7812-1) that begin as issued cards do: with 3 to 6, or 22 to 27. They may stand in groups,
/// with up to three spaces and dashes between, or with one and the same of `.`, `/` and `_`.
static CANDIDATE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?: [3-6] | 2(?:[\ \t-]{0,3}|[./_])[2-7] )
        (?: (?:[\ \t-]{0,3}\d){11,18} | (?:\.?\d){11,18} | (?:/?\d){11,18} | (?:_?\d){11,18} )",
    )
});

/// Payment cards: whole groups of digits, so that no window inside of a longer number is taken for one, whose check
/// digit is right.
pub(super) fn find(text: &str) -> Vec<Span> {
    let harmless = LazyCell::new(|| harmless(text));
    scan(text, &CANDIDATE, |span| match &text.as_bytes()[..span.start] {
        // The rest of a number, or a fraction.
        [.., b'0'..=b'9'] | [.., b'0'..=b'9', b'.'] => None,
        _ => group_ends(text, span.clone(), 13..=19)
            .find(|end| luhn(&text[span.start..*end]) && !touches(&(span.start..*end), &harmless)),
    })
}

/// The check digit of ISO/IEC 7812-1, annex B: every second digit from the right counts double, by its cross sum.
fn luhn(card: &str) -> bool {
    let digits = card.chars().rev().filter_map(|c| c.to_digit(10)).enumerate();
    let weighted = digits.map(|(at, digit)| if at % 2 == 0 { digit } else { digit * 2 % 10 + digit / 5 });
    weighted.sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use crate::redact::Detector;
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(Detector::Card, text), expected, "{text:?}");
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
