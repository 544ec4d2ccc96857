use std::sync::LazyLock;

use regex::Regex;

use super::number::scan;
use super::{Span, regex};

/// How long the IBANs of a country are: the registry of ISO 13616 (SWIFT, release 99).
const LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 \
    EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 \
    KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 \
    PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// A country, two check digits and 11 to 29 more characters, with up to two spaces, dashes or dots between any two. The
/// word `IBAN` may touch it, and goes with it.
static CANDIDATE: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i) (?:IBAN)? [A-Z]{2} (?:[\ \t.-]{0,2}\d){2} (?:[\ \t.-]{0,2}[A-Z0-9]){11,29}"));

/// International bank account numbers: of the length of their country, and with the check digits of ISO 13616-1.
pub(super) fn find(text: &str) -> Vec<Span> {
    scan(text, &CANDIDATE, |span| {
        if text[..span.start].ends_with(|c: char| c.is_ascii_alphanumeric()) {
            return None;
        }
        let characters = text.get(span.clone())?.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric());
        let (ends, code): (Vec<usize>, String) = characters.map(|(at, c)| (at + 1, c.to_ascii_uppercase())).unzip();
        let named = if code.starts_with("IBAN") { 4 } else { 0 };
        let country = code.get(named..named + 2)?;
        let length = LENGTHS.split_ascii_whitespace().find_map(|entry| entry.strip_prefix(country))?;
        let end = named + length.parse::<usize>().ok()?;
        let valid = remainder(code.get(named..end)?) == 1;
        valid.then_some(span.start + ends.get(end - 1)?)
    })
}

/// The remainder modulo 97 (ISO 7064) of the digits, and the letters as 10 to 35, when the first four characters are
/// moved to the end.
fn remainder(code: &str) -> u32 {
    let (head, body) = code.split_at(4);
    let values = body.chars().chain(head.chars()).filter_map(|c| c.to_digit(36));
    values.fold(0, |remainder, value| (remainder * if value < 10 { 10 } else { 100 } + value) % 97)
}

#[cfg(test)]
mod tests {
    use crate::redact::Detector;
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(Detector::Iban, text), expected, "{text:?}");
    }

    #[test]
    fn ibans_are_found_with_and_without_spaces() {
        check("DE89370400440532013000", &["DE89370400440532013000"]);
        check("to DE89 3704 0044 0532 0130 00 please", &["DE89 3704 0044 0532 0130 00"]);
        check("iban_DE89370400440532013000", &["DE89370400440532013000"]);
        check("gb82-west-1234-5698-7654-32", &["gb82-west-1234-5698-7654-32"]);
        check("IBANDE89370400440532013000, NO9386011117947.", &["IBANDE89370400440532013000", "NO9386011117947"]);
    }

    #[test]
    fn a_wrong_check_digit_country_or_length_is_no_iban() {
        check("DE88370400440532013000 DE8937040044053201300 ZZ89370400440532013000 DE", &[]);
        check("de89 paragraphs of the handbook and more", &[]);
    }
}
