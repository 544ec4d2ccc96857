use super::Span;

/// One shape of a key: how it begins, which characters follow, and how many at least.
struct Shape {
    prefix: &'static str,
    of_key: fn(u8) -> bool,
    least: usize,
    /// Whether the key must hold a digit: words joined by dashes may begin like a key.
    digit: bool,
}

const fn shape(prefix: &'static str, of_key: fn(u8) -> bool, least: usize) -> Shape {
    Shape { prefix, of_key, least, digit: false }
}

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn joined(byte: u8) -> bool {
    plain(byte) || matches!(byte, b'-' | b'_')
}

fn dotted(byte: u8) -> bool {
    joined(byte) || byte == b'.'
}

/// The shapes that the issuers document, as the secret scanners of GitHub and of gitleaks know them.
const SHAPES: &[Shape] = &[
    shape("AKIA", upper, 16),
    shape("ASIA", upper, 16),
    shape("ghp_", plain, 20),
    shape("gho_", plain, 20),
    shape("ghu_", plain, 20),
    shape("ghs_", plain, 20),
    shape("ghr_", plain, 20),
    shape("github_pat_", joined, 20),
    shape("glpat-", joined, 20),
    shape("xoxa-", joined, 10),
    shape("xoxb-", joined, 10),
    shape("xoxe-", joined, 10),
    shape("xoxe.", dotted, 10),
    shape("xoxo-", joined, 10),
    shape("xoxp-", joined, 10),
    shape("xoxr-", joined, 10),
    shape("xoxs-", joined, 10),
    shape("xapp-", joined, 10),
    shape("sk_live_", plain, 10),
    shape("sk_test_", plain, 10),
    shape("rk_live_", plain, 10),
    shape("rk_test_", plain, 10),
    shape("whsec_", plain, 20),
    Shape { prefix: "sk-", of_key: joined, least: 20, digit: true },
    shape("AIza", joined, 30),
    shape("ya29.", joined, 20),
    shape("hf_", plain, 30),
    shape("npm_", plain, 30),
    shape("SG.", dotted, 40),
    shape("gsk_", plain, 20),
    shape("xai-", plain, 40),
    Shape { prefix: "pplx-", of_key: joined, least: 40, digit: true },
    shape("r8_", plain, 30),
    shape("hvs.", joined, 20),
    shape("hvb.", joined, 20),
    shape("dop_v1_", plain, 40),
    shape("glsa_", joined, 30),
    shape("shpat_", plain, 20),
    shape("pypi-", joined, 50),
    shape("lin_api_", plain, 30),
    shape("tskey-", joined, 20),
    shape("ATATT3", joined, 40),
];

/// Keys to programs: the shapes above, JSON Web Tokens (RFC 7519), private keys in PEM (RFC 7468) up to their end or that
/// of the text, and what follows `Bearer` or `Basic` in a header (RFC 6750, RFC 7617).
pub(super) fn find(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut ends = Ends::default();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes.get(at) {
            Some(b'-') => pem(text, at, &mut ends),
            Some(byte) if byte.is_ascii_alphabetic() && begins(bytes, at) => {
                known(bytes, at, &mut ends).or_else(|| web_token(bytes, at, &mut ends)).or_else(|| header(bytes, at))
            }
            _ => None,
        };
        match end {
            Some(end) => {
                found.push(Span { start: at, end });
                at = end;
            }
            None => at += 1,
        }
    }
}

/// What was looked for far ahead, so that it is looked for once: many beginnings may share one end.
#[derive(Default)]
struct Ends {
    /// Where the run of letters, digits, dashes and underscores ends that was looked at last.
    joined: usize,
    /// Where the next end of a PEM block stands.
    pem: usize,
}

impl Ends {
    fn joined(&mut self, bytes: &[u8], start: usize) -> usize {
        if self.joined <= start {
            self.joined = start + run(bytes, start, joined);
        }
        self.joined
    }
}

/// Whether nothing of a word stands before a byte. The escapes `\n`, `\r` and `\t` of a JSON text inside of a text are no
/// part of a word.
fn begins(bytes: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| bytes.get(at)).copied();
    match before(1) {
        Some(b'n' | b'r' | b't') if before(2) == Some(b'\\') => true,
        Some(byte) => !byte.is_ascii_alphanumeric(),
        None => true,
    }
}

fn run(bytes: &[u8], start: usize, of_key: impl Fn(u8) -> bool) -> usize {
    bytes.iter().skip(start).take_while(|byte| of_key(**byte)).count()
}

fn known(bytes: &[u8], at: usize, ends: &mut Ends) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let shape = SHAPES.iter().find(|shape| rest.starts_with(shape.prefix.as_bytes()))?;
    let start = at + shape.prefix.len();
    if shape.digit {
        let end = ends.joined(bytes, start);
        let digit = bytes.get(start..end)?.iter().take(200).any(u8::is_ascii_digit);
        return (end - start >= shape.least && digit).then_some(end);
    }
    let length = run(bytes, start, shape.of_key);
    (length >= shape.least).then_some(start + length)
}

fn web_token(bytes: &[u8], at: usize, ends: &mut Ends) -> Option<usize> {
    // `{"alg":"none"}`, the shortest header, takes 19 characters in base64.
    const SHORTEST: usize = 16;
    if !bytes.get(at..)?.starts_with(b"eyJ") {
        return None;
    }
    let mut end = ends.joined(bytes, at);
    if end - at < SHORTEST || bytes.get(end) != Some(&b'.') {
        return None;
    }
    for _ in 0..4 {
        if bytes.get(end) == Some(&b'.') {
            end += 1 + run(bytes, end + 1, joined);
        }
    }
    Some(end)
}

fn header(bytes: &[u8], at: usize) -> Option<usize> {
    let scheme = [b"bearer".as_slice(), b"basic"]
        .into_iter()
        .find(|scheme| bytes.get(at..at + scheme.len()).is_some_and(|word| word.eq_ignore_ascii_case(scheme)))?;
    let after = at + scheme.len();
    let spaces = run(bytes, after, |byte| matches!(byte, b' ' | b'\t' | b':' | b'='));
    let start = after + spaces;
    let length = run(bytes, start, |byte| dotted(byte) || matches!(byte, b'~' | b'+' | b'/' | b'='));
    let token = bytes.get(start..start + length)?;
    // Words may follow the word, and words hold no digits.
    let secret = length >= 16 && (length >= 32 || token.iter().any(|byte| byte.is_ascii_digit() || *byte == b'='));
    (spaces > 0 && secret).then_some(start + length)
}

fn pem(text: &str, at: usize, ends: &mut Ends) -> Option<usize> {
    let rest = text.get(at..)?.strip_prefix("-----BEGIN ")?;
    let label = rest.bytes().take(64).take_while(|byte| upper(*byte) || *byte == b' ').count();
    let kind = rest.get(..label)?;
    if !kind.contains("PRIVATE KEY") || !rest.get(label..)?.starts_with("-----") {
        return None;
    }
    let body = text.len() - rest.len() + label + 5;
    if ends.pem < body {
        ends.pem = text.get(body..)?.find("-----END ").map_or(text.len(), |end| body + end);
    }
    let end = ends.pem;
    let Some(closing) = text.get(end..)?.strip_prefix("-----END ") else { return Some(text.len()) };
    let label = closing.bytes().take(64).take_while(|byte| upper(*byte) || *byte == b' ').count();
    let dashes = closing.bytes().skip(label).take(5).take_while(|byte| *byte == b'-').count();
    Some(text.len() - closing.len() + label + dashes)
}

#[cfg(test)]
mod tests {
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(super::find, text), expected, "{text:?}");
    }

    // The shapes are joined at run time, so that scanners of sources do not take them for leaked keys.
    #[track_caller]
    fn check_key(prefix: &str, rest: &str) {
        let key = format!("{prefix}{rest}");
        check(&key, &[&key]);
        check(&format!("{{\"key\":\"{key}\"}}"), &[&key]);
        check(&format!("use {key}, then"), &[&key]);
    }

    #[test]
    fn keys_of_known_issuers_are_found_alone_in_json_and_in_sentences() {
        check_key("AKIA", "IOSFODNN7EXAMPLE");
        check_key("ASIA", "IOSFODNN7EXAMPLE");
        check_key("ghp_", "0123456789abcdefghijABCDEFGHIJ012345");
        check_key("gho_", "0123456789abcdefghijABCDEFGHIJ012345");
        check_key("github_pat_", "11ABCDEFG0abcdefghijkl_0123456789abcdefghijABCDEFGHIJ");
        check_key("xoxb-", "123456789012-abcdefABCDEF");
        check_key("sk_live_", "0123456789abcdefABCDEF");
        check_key("rk_live_", "0123456789abcdefABCDEF");
        check_key("sk-", "0123456789abcdefghijABCDEFGHIJ");
        check_key("sk-", "ant-api03-0123456789_abcdefghij-AA");
        check_key("AIza", "SyA0123456789abcdefghijABCDEFGHIJ-_");
        check_key("gsk_", "0123456789abcdefghijABCDEFGHIJ012345");
        check_key("hvs.", "CAESIJ0123456789abcdefghij_-ABCDEFGHIJ");
        check_key("dop_v1_", &"0123456789abcdef".repeat(4));
        let long = "0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijABCDEFGHIJ";
        for prefix in ["xai-", "pplx-", "r8_", "hvb.", "glsa_", "shpat_", "pypi-", "lin_api_", "tskey-", "ATATT3"] {
            check_key(prefix, long);
        }
        check_key("eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl-_");
    }

    #[test]
    fn the_body_of_a_private_key_goes_with_its_header() {
        let key = ["-----BEGIN RSA PRIVATE ", "KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE ", "KEY-----"].concat();
        check(&format!("a {key} b"), &[&key]);
        let open = ["-----BEGIN PRIVATE ", "KEY-----\\nMIIEow"].concat();
        check(&open, &[&open]);
        check("-----BEGIN PUBLIC KEY-----\nMIIEow\n-----END PUBLIC KEY-----", &[]);
    }

    #[test]
    fn credentials_of_headers_are_found() {
        check("Authorization: Bearer 0123456789abcdef", &["Bearer 0123456789abcdef"]);
        check("authorization: basic YWxpY2U6c2VjcmV0MQ==", &["basic YWxpY2U6c2VjcmV0MQ=="]);
    }

    #[test]
    fn words_that_begin_alike_are_no_keys() {
        check("risk-management-of-large-systems sk-management-of-large-systems task-0123456789012345678901", &[]);
        check("the bearer of responsibilities, AKIA, sk-1, eyJust.a-word", &[]);
    }
}
