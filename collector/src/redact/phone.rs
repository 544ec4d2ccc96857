use std::cell::LazyCell;
use std::sync::LazyLock;

use regex::Regex;

use super::number::{group_ends, harmless, scan, touches};
use super::{Span, regex};

/// 7 to 15 digits (ITU-T E.164, section 6), with up to three spaces and signs between.
static CANDIDATE: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?: \+\ {0,2}\(? | \( | \b ) \d (?:[\ \t./()-]{0,3}\d){6,14}"));

/// What makes digits without `+` a phone number. Between groups (`\D+`) stands what the candidate allows.
static FORM: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?u) ^ (?:
          00\D?[1-9] (?: \d?\D+(?:\D*\d){6,} | \d{2,}\D+(?:\D*\d){4,} | \d{9,} )   # international: 0049 30 901820
        | 0[1-9] \D+ (?:\D*\d){6,10}                    # after a trunk 0: 01 23 45 67 89
        | 0[1-9]\d{1,2} \D+ (?:\D*\d){5,9}              # 030 901820; four and four are numbers of journals (ISSN)
        | 0[1-9]\d{3,} \D+ (?:\D*\d){3,8}               # 07911 123456
        | 0[1-9]\d{8,9}                                 # 07911123456
        | \( (?:0\d{1,4}|\d{2,3}) \) (?:\D*\d){5,10}    # area in brackets: (11) 98765-4321
        | (?:1\D+)? [2-9]\d\d \D+ \d{3} \D+ \d{4}       # North America: 555-123-4567
        | [2-9]\d\d-\d{4}                               # 555-1234
        | [6-9]\d{4} \D+ \d{5}                          # India: 98765 43210
        ) $",
    )
});

/// Words after which digits are a phone number whatever their form, with at most two others between.
static CUE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?iu) (?-u:\b) (?: anruf | call | callback | cell | dial | fax | fon | handy | mobile? | phone | ring | ruf
        | sms | tel | telefon | telephone | text | whatsapp ) (?: \PL+\pL+ ){0,2} \PL* $",
    )
});

/// Phone numbers: after `+`, in a form that is common somewhere, or after a word for phones. Dates, hashes, UUIDs and
/// digits that belong to a word or to a longer dotted or dashed number are none.
pub(super) fn find(text: &str) -> Vec<Span> {
    let harmless = LazyCell::new(|| harmless(text));
    scan(text, &CANDIDATE, |span| {
        let (before, candidate) = text.split_at(span.start);
        let international = candidate.starts_with('+');
        if belongs_to(before, international) {
            return None;
        }
        let window = before.char_indices().rev().nth(39).map_or(0, |(at, _)| at);
        let cued = LazyCell::new(|| CUE.is_match(&before[window..]));
        let ends = group_ends(text, span.clone(), 7..=15).filter(|end| international || !continues(&text[*end..]));
        let form = |end: &usize| international || FORM.is_match(&text[span.start..*end]) || *cued;
        ends.filter(form).find(|end| !touches(&(span.start..*end), &harmless))
    })
}

/// Whether digits are the rest of a word or number before them, as in `EMP-123-4567` or `v1.555`.
fn belongs_to(before: &str, international: bool) -> bool {
    let mut before = before.chars().rev();
    match before.next() {
        Some(c) if international => c.is_ascii_digit(),
        Some('-' | '.' | '/' | '#') => before.next().is_some_and(char::is_alphanumeric),
        Some(c) => c.is_alphanumeric() || c == '_',
        None => false,
    }
}

/// Whether digits go on in a word or number after them.
fn continues(after: &str) -> bool {
    after.strip_prefix(['-', '.', '/']).unwrap_or(after).starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use crate::redact::Detector;
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(Detector::Phone, text), expected, "{text:?}");
    }

    #[test]
    fn international_numbers_are_found() {
        check("+49 30 901820", &["+49 30 901820"]);
        check("call +1 (555) 123-4567.", &["+1 (555) 123-4567"]);
        check("+15551234567,+44 20 7946 0958", &["+15551234567", "+44 20 7946 0958"]);
        check("+49 (0)30 901820-12", &["+49 (0)30 901820-12"]);
        check("0049 30 901820 00493090182012", &["0049 30 901820", "00493090182012"]);
    }

    #[test]
    fn national_forms_are_found() {
        check("(555) 123-4567", &["(555) 123-4567"]);
        check("555-123-4567 555.123.4567 555 123 4567", &["555-123-4567", "555.123.4567", "555 123 4567"]);
        check("1-800-555-1234", &["1-800-555-1234"]);
        check("ring 555-1234", &["555-1234"]);
        check("030 901820, 0171/1234567, (030) 901820", &["030 901820", "0171/1234567", "(030) 901820"]);
        check("01 23 45 67 89", &["01 23 45 67 89"]);
        check("07911 123456 or 07911123456", &["07911 123456", "07911123456"]);
        check("04002/1524, 03869 112, 004930 901820", &["04002/1524", "03869 112", "004930 901820"]);
        check("98765 43210", &["98765 43210"]);
        check("(11) 98765-4321", &["(11) 98765-4321"]);
    }

    #[test]
    fn any_digits_after_a_word_for_phones_are_one() {
        check("my phone number is 5551234567", &["5551234567"]);
        check("Tel.: 7654321", &["7654321"]);
    }

    #[test]
    fn dates_versions_times_and_numbers_of_documents_are_no_phones() {
        check("2026-11-18 18.11.2026 11/18/2026 2026-11-18T09:30:00.123456Z", &[]);
        check("call me on 2026-11-18", &[]);
        check("1.24.3 v10.20.30 10.20.30.4567 2026.11.18-1", &[]);
        check("5551234567 document 1234567 INV-2024-000123 EMP-123-4567 #12345678", &[]);
        check("550e8400-e29b-41d4-a716-446655440000 00000000-0000-0000-0000-000000000000", &[]);
        check("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", &[]);
        check("ISSN 0028-0836, ISBN 978-3-16-148410-0, 0000-0002-1825-0097, arXiv 2401.12345", &[]);
        check("Nature 521 (2015) 436-444; 612 345 678 rows; 0.1234 0.5678", &[]);
    }
}
