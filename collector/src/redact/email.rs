use std::sync::LazyLock;

use regex::Regex;

use super::{Span, regex};

/// E-mail addresses (RFC 5321, section 4.1.2), also in other scripts (RFC 6531): a local part, quoted or not, `@` or its
/// percent-encoding, and a domain of two or more labels of which the last begins with a letter, or an IP in brackets.
///
/// An unquoted local part ends at `=`, `/`, `?`, `{` and `|`, which it may hold, because they stand before addresses
/// much more often than in them.
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?u) (?: \w[\w.%+'~!\#$&*^-]* | "[^"\n]{1,64}" ) (?: @ | %40 )
        (?: (?:[\w-]+\.)+ \pL[\w-]*\w | \[ (?:IPv6:)?[0-9A-Fa-f.:]+ \] )"#,
    )
});

pub(super) fn find(text: &str) -> Vec<Span> {
    EMAIL.find_iter(text).map(|found| found.range()).collect()
}

#[cfg(test)]
mod tests {
    use crate::redact::Detector;
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(Detector::Email, text), expected, "{text:?}");
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
