use super::Span;

/// The most characters before and after the `@` (RFC 5321, section 4.5.3.1, which counts bytes).
const LOCAL: usize = 64;
const DOMAIN: usize = 255;

/// E-mail addresses (RFC 5321, section 4.1.2): a local part, quoted or not, `@` or its percent-encoding, and a domain of
/// two or more labels of which the last is no number, or an address in brackets.
///
/// An unquoted local part ends at `=`, `/`, `?`, `{` and `|`, which it may hold, because they stand before addresses much
/// more often than in them.
pub(super) fn find(text: &str, found: &mut Vec<Span>) {
    let mut free = 0;
    for (at, sign) in text.bytes().enumerate() {
        let after = match sign {
            b'@' => at + 1,
            b'%' if text.get(at..at + 3) == Some("%40") => at + 3,
            _ => continue,
        };
        let before = text.get(free..at).unwrap_or_default();
        let Some(local) = quoted(before).or_else(|| local_part(before)) else { continue };
        let Some(domain) = domain(text.get(after..).unwrap_or_default()) else { continue };
        found.push(Span { start: at - local, end: after + domain });
        free = after + domain;
    }
}

/// The length of the local part at the end of a text.
fn local_part(before: &str) -> Option<usize> {
    let part = |c: &char| c.is_alphanumeric() || "._%+-'~!#$&*^".contains(*c);
    let taken: usize = before.chars().rev().take(LOCAL).take_while(part).map(char::len_utf8).sum();
    let local = before.get(before.len() - taken..).unwrap_or_default();
    // An opening quote or a bullet before the address is none of it.
    let local = local.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_');
    (!local.is_empty()).then_some(local.len())
}

/// The length of a local part in quotes at the end of a text.
fn quoted(before: &str) -> Option<usize> {
    let inner = before.strip_suffix('"')?;
    let within = |(_, c): &(usize, char)| *c != '\n';
    let (start, _) = inner.char_indices().rev().take(LOCAL).take_while(within).find(|(_, c)| *c == '"')?;
    (start + 1 < inner.len()).then_some(before.len() - start)
}

/// The length of the domain at the start of a text.
fn domain(after: &str) -> Option<usize> {
    if after.starts_with('[') {
        return after.bytes().take(64).position(|byte| byte == b']').map(|end| end + 1);
    }
    let part = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '.');
    let taken: usize = after.chars().take(DOMAIN).take_while(part).map(char::len_utf8).sum();
    let mut domain = after.get(..taken).unwrap_or_default();
    // A label that is empty ends the domain: `a@example.com..` and `a@example.com.` are ends of sentences.
    domain = domain.split("..").next().unwrap_or_default().trim_end_matches(['.', '-']);
    while let Some((rest, last)) = domain.rsplit_once('.') {
        if last.chars().nth(1).is_some() && last.contains(char::is_alphabetic) && !rest.starts_with('.') {
            return (!rest.is_empty()).then_some(domain.len());
        }
        domain = rest.trim_end_matches('-');
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(super::find, text), expected, "{text:?}");
    }

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        check("alice@example.com", &["alice@example.com"]);
        check("mail bob.o'neil+x@mail.example.co.uk.", &["bob.o'neil+x@mail.example.co.uk"]);
        check("<müller@bücher.example>,x_y@a-b.de", &["müller@bücher.example", "x_y@a-b.de"]);
        check("{\"to\":\"alice@example.com\"}", &["alice@example.com"]);
        check("to=alice@example.com&cc=bob%40example.com", &["alice@example.com", "bob%40example.com"]);
        check("\"john doe\"@example.com", &["\"john doe\"@example.com"]);
        check("root@[10.0.0.1]", &["root@[10.0.0.1]"]);
        check("'alice@example.com'", &["alice@example.com"]);
        check("a@b.cc@d.ee", &["a@b.cc"]);
    }

    #[test]
    fn versions_decorators_and_lone_signs_are_no_addresses() {
        check("react@18.2.0 @override x@y foo@ @bar.com a@.com 5 @ 3.20 each", &[]);
    }
}
