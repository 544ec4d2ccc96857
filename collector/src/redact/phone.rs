use super::Span;
use super::number::{date_starts, group_end, group_starts, in_hash, next_group};

/// Phone numbers, of 7 to 15 digits (ITU-T E.164, section 6):
///
/// - international: after `+`, or after `00` with 10 or more digits;
/// - with a trunk `0` in a group of two or more, such as `030 901820` or `01 23 45 67 89`: 8 to 12 digits;
/// - with an area in brackets, such as `(11) 98765-4321`;
/// - grouped as in North America (3-3-4, 1-3-3-4, 3-4 with a dash) or India (5-5);
/// - any 7 to 15 digits after a word such as `phone` or `call`.
///
/// Dates, hashes, UUIDs and digits that belong to a word or to a longer dotted or dashed number are none.
pub(super) fn find(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let opens = matches!(bytes.get(at), Some(b'+' | b'('));
        if !opens && !group_starts(bytes, at) {
            at += 1;
            continue;
        }
        match phone(text, at) {
            Some(end) => {
                found.push(Span { start: at, end });
                at = end;
            }
            None => at += 1,
        }
    }
}

/// Groups of digits as far as a phone number could go.
struct Groups {
    /// Whether it begins with `+`.
    plus: bool,
    /// Whether the first group stands in brackets.
    bracketed: bool,
    /// Where each group starts and ends.
    ends: [(usize, usize); MOST_DIGITS],
    /// How many groups there are.
    len: usize,
}

/// More would be no phone number: 15 digits, and few people write single ones.
const MOST_DIGITS: usize = 15;

fn phone(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if !begins(bytes, start) && !cued(bytes, start) {
        return None;
    }
    let groups = groups(bytes, start)?;
    let before = text.get(..start)?.chars().next_back();
    if groups.plus {
        if before.is_some_and(|c| c.is_ascii_digit()) {
            return None;
        }
    } else if before.is_some_and(|c| c.is_alphanumeric() || c == '_') || continues_a_word(bytes, start) {
        return None;
    }
    // Only numbers with a country or trunk code or in brackets have more than four groups.
    let open = groups.plus || groups.bracketed || bytes.get(start) == Some(&b'0');
    let most = if open { groups.len } else { groups.len.min(4) };
    let longest = |most: usize, form: &dyn Fn(usize) -> bool| {
        (1..=most).rev().find_map(|taken| {
            let (_, end) = *groups.ends.get(taken - 1)?;
            let form = groups.digits(taken) >= 7 && form(taken);
            (form && ends(text, end, groups.plus) && !in_hash(bytes, end - 1)).then_some(end)
        })
    };
    let form = longest(most, &|taken| groups.plus || groups.national(taken, bytes));
    form.or_else(|| {
        (groups.digits(groups.len) >= 7 && cued(bytes, start)).then(|| longest(groups.len, &|_| true)).flatten()
    })
}

/// Whether some form begins like this: a cheap answer for texts that are full of numbers.
fn begins(bytes: &[u8], start: usize) -> bool {
    match (bytes.get(start), group_end(bytes, start) - start) {
        (Some(b'+' | b'('), _) | (_, 3 | 5) => true,
        (Some(b'0'), length) => length > 1,
        (Some(b'1'), 1) => group_starts(bytes, start + 2) && group_end(bytes, start + 2) == start + 5,
        _ => false,
    }
}

fn groups(bytes: &[u8], start: usize) -> Option<Groups> {
    let plus = bytes.get(start) == Some(&b'+');
    let mut at = start + usize::from(plus);
    while plus && bytes.get(at) == Some(&b' ') && at < start + 3 {
        at += 1;
    }
    let bracketed = bytes.get(at) == Some(&b'(');
    at += usize::from(bracketed);
    if !bytes.get(at)?.is_ascii_digit() || date_starts(bytes, at) {
        return None;
    }
    let mut groups = Groups { plus, bracketed, ends: [(0, 0); MOST_DIGITS], len: 0 };
    let mut digits = 0;
    loop {
        let end = group_end(bytes, at);
        digits += end - at;
        if digits > MOST_DIGITS || (groups.len > 0 && date_starts(bytes, at)) {
            break;
        }
        *groups.ends.get_mut(groups.len)? = (at, end);
        groups.len += 1;
        match next_group(bytes, end, 3, |byte| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'\t')) {
            Some(next) => at = next,
            None => break,
        }
    }
    let closed = !bracketed || bytes.get(groups.ends.first()?.1) == Some(&b')');
    (closed && groups.len > 0).then_some(groups)
}

impl Groups {
    /// How many digits the first so many groups have.
    fn digits(&self, taken: usize) -> usize {
        self.ends.iter().take(taken).map(|(start, end)| end - start).sum()
    }

    /// Whether the first so many groups have a form that is common somewhere.
    fn national(&self, taken: usize, bytes: &[u8]) -> bool {
        let digits = self.digits(taken);
        let group = |number: usize| {
            let bounds = self.ends.get(number).filter(|_| number < taken);
            bounds.and_then(|(start, end)| bytes.get(*start..*end)).unwrap_or_default()
        };
        let (first, second) = (group(0), group(1));
        let lengths = (first.len(), second.len(), group(2).len(), group(3).len());
        let from = |group: &[u8], least: u8| group.first().is_some_and(|digit| *digit >= least);
        let dashed = || self.ends.first().is_some_and(|(_, end)| bytes.get(*end) == Some(&b'-'));
        match first {
            [b'0', b'0', b'1'..=b'9', ..] => digits >= if taken == 1 { 12 } else { 10 },
            [b'0', b'0'] => digits >= 10 && from(second, b'1'),
            [b'0', b'1'..=b'9', ..] if taken == 1 => (10..=11).contains(&digits),
            // Four and four is how the numbers of journals (ISSN) are written.
            [b'0', b'1'..=b'9', ..] => (8..=12).contains(&digits) && (taken > 2 || lengths.1 != 4 || lengths.0 != 4),
            [_, _] | [_, _, _] if self.bracketed && taken > 1 => digits <= 12,
            _ => match (taken, lengths) {
                (3, (3, 3, 4, 0)) => from(first, b'2'),
                (4, (1, 3, 3, 4)) => first == b"1" && from(second, b'2'),
                (2, (3, 4, 0, 0)) => from(first, b'2') && dashed(),
                (2, (5, 5, 0, 0)) => from(first, b'6'),
                _ => false,
            },
        }
    }
}

/// Whether digits follow a word or a number and a sign that binds them to it, as in `EMP-123-4567` or `v1.555`.
fn continues_a_word(bytes: &[u8], start: usize) -> bool {
    let before = |back: usize| start.checked_sub(back).and_then(|at| bytes.get(at));
    matches!(before(1), Some(b'-' | b'.' | b'/' | b'#')) && before(2).is_some_and(u8::is_ascii_alphanumeric)
}

/// Whether nothing that follows makes the digits a part of something longer.
fn ends(text: &str, end: usize, plus: bool) -> bool {
    let rest = text.get(end..).unwrap_or_default();
    let mut after = rest.chars();
    match after.next() {
        Some(c) if c.is_alphanumeric() || c == '_' => plus && !c.is_ascii_digit(),
        Some('-' | '.' | '/') => plus || !after.next().is_some_and(char::is_alphanumeric),
        _ => true,
    }
}

/// Words after which digits are a phone number whatever their form.
const CUES: &str = "anruf call callback cell dial fax fon handy mobil mobile phone ring ruf sms tel telefon telephone \
    text whatsapp";

/// Whether one of the last three words before the digits is a cue.
fn cued(bytes: &[u8], start: usize) -> bool {
    let before = bytes.get(start.saturating_sub(40)..start).unwrap_or_default();
    let words = before.rsplit(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty()).take(3);
    words.into_iter().any(|word| CUES.split_ascii_whitespace().any(|cue| word.eq_ignore_ascii_case(cue.as_bytes())))
}

#[cfg(test)]
mod tests {
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(super::find, text), expected, "{text:?}");
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
