//! What the detectors of numbers have in common.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use regex::Regex;

use super::{Span, regex};

/// Dates with a year of 1900 to 2099, UUIDs (RFC 9562) and hexadecimal digests: digits of neither cards nor phones.
static HARMLESS: LazyLock<Regex> = LazyLock::new(|| {
    let (year, month, day) = (r"(?:19|20)\d\d", "(?: 0?[1-9] | 1[0-2] )", r"(?: 0?[1-9] | [12]\d | 3[01] )");
    // One sign throughout: `2041 33 12` in a phone number is no date, nor is `2041-3.12`.
    let dates = ["-", "/", r"\.", r"\ "].map(|sign| {
        let rest = format!("(?: {month} {sign} {day} | {day} {sign} {month} )");
        format!(r"\b (?: {year} {sign} {rest} | {rest} {sign} {year} ) (?: \b | T )")
    });
    let hexadecimal = "(?i: [0-9a-f]{8} - (?:[0-9a-f]{4}-){3} [0-9a-f]{12} | [0-9a-f]{24,} )";
    regex(&format!("{} | {hexadecimal}", dates.join(" | ")))
});

/// Where those stand in a text, in order.
pub(super) fn harmless(text: &str) -> Vec<Span> {
    HARMLESS.find_iter(text).map(|found| found.range()).collect()
}

/// Whether a span has bytes in common with one of others, which are in order.
pub(super) fn touches(span: &Span, others: &[Span]) -> bool {
    let next = others.partition_point(|other| other.end <= span.start);
    others.get(next).is_some_and(|other| other.start < span.end)
}

/// Each place where a candidate begins and `end` knows where it ends. A candidate starts with an ASCII character and is
/// bounded in length: where it is none, the next is looked for one byte on.
pub(super) fn scan(text: &str, candidate: &Regex, end: impl Fn(Span) -> Option<usize>) -> Vec<Span> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(span) = candidate.find_at(text, at).map(|found| found.range()) {
        let start = span.start;
        at = end(span).inspect(|end| found.push(start..*end)).unwrap_or(start + 1);
    }
    found
}

/// Where a whole group of digits ends in a span, so that this many digits are before it; the last end first.
pub(super) fn group_ends(text: &str, span: Span, count: RangeInclusive<usize>) -> impl Iterator<Item = usize> {
    let digit = move |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let ends = (span.start + 1..=span.end).rev().filter(move |end| digit(end - 1) && !digit(*end));
    ends.filter(move |end| count.contains(&(span.start..*end).filter(|at| digit(*at)).count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> = harmless(text).into_iter().map(|span| &text[span]).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn dates_are_told_from_numbers_by_their_year_month_and_day() {
        check("2026-11-18T09:30", &["2026-11-18T"]);
        check("18.11.2026", &["18.11.2026"]);
        check("11/18/2026", &["11/18/2026"]);
        check("2026-18-45 5555-11-18 030-11-1811 2041 33 12 45 2026-11.18", &[]);
    }

    #[test]
    fn digits_of_hashes_and_uuids_are_recognised() {
        let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        check(hash, &[hash]);
        check("id 41111111-1111-1111-8111-111111111111.", &["41111111-1111-1111-8111-111111111111"]);
        check("4111-1111-1111-1111 card4111111111111111", &[]);
    }
}
