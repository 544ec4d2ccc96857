use super::Span;

/// How long the IBANs of a country are: the registry of ISO 13616 (SWIFT, release 99).
const LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 \
    EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 \
    KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 \
    PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// IBANs: country, the length that the country has, and check digits that leave the remainder 1 modulo 97 (ISO 13616-1,
/// ISO 7064). Up to two spaces, dashes or dots may stand between any two characters.
pub(super) fn find(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at + 4 <= bytes.len() {
        match starts(bytes, at).then(|| iban(bytes, at)).flatten() {
            Some(end) => {
                found.push(Span { start: at, end });
                at = end;
            }
            None => at += 1,
        }
    }
}

fn starts(bytes: &[u8], at: usize) -> bool {
    let shape = matches!(bytes.get(at..at + 2), Some([a, b]) if a.is_ascii_alphabetic() && b.is_ascii_alphabetic());
    let before = bytes.get(at.saturating_sub(4)..at).unwrap_or_default();
    shape && (!before.last().is_some_and(u8::is_ascii_alphanumeric) || before.eq_ignore_ascii_case(b"iban"))
}

fn iban(bytes: &[u8], start: usize) -> Option<usize> {
    let country = [bytes.get(start)?.to_ascii_uppercase(), bytes.get(start + 1)?.to_ascii_uppercase()];
    let length = LENGTHS.split_ascii_whitespace().find_map(|entry| {
        let (name, length) = entry.split_at_checked(2)?;
        (name.as_bytes() == country).then(|| length.parse::<usize>().ok()).flatten()
    })?;
    let mut characters = Vec::with_capacity(length);
    let mut at = start;
    let mut between = 0;
    while characters.len() < length {
        match *bytes.get(at)? {
            byte if byte.is_ascii_alphanumeric() => {
                characters.push(byte.to_ascii_uppercase());
                between = 0;
            }
            b' ' | b'-' | b'.' | b'\t' if between < 2 => between += 1,
            _ => return None,
        }
        at += 1;
    }
    (characters.get(2..4)?.iter().all(u8::is_ascii_digit) && remainder(&characters) == 1).then_some(at)
}

fn remainder(characters: &[u8]) -> u32 {
    let (head, body) = characters.split_at(4.min(characters.len()));
    body.iter().chain(head).fold(0, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        letter => (remainder * 100 + u32::from(letter - b'A') + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(super::find, text), expected, "{text:?}");
    }

    #[test]
    fn ibans_are_found_with_and_without_spaces() {
        check("DE89370400440532013000", &["DE89370400440532013000"]);
        check("to DE89 3704 0044 0532 0130 00 please", &["DE89 3704 0044 0532 0130 00"]);
        check("gb82-west-1234-5698-7654-32", &["gb82-west-1234-5698-7654-32"]);
        check("IBANDE89370400440532013000, NO9386011117947.", &["DE89370400440532013000", "NO9386011117947"]);
    }

    #[test]
    fn a_wrong_check_digit_country_or_length_is_no_iban() {
        check("DE88370400440532013000 DE8937040044053201300 ZZ89370400440532013000 DE", &[]);
        check("de89 paragraphs of the handbook and more", &[]);
    }
}
