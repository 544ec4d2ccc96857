use std::net::Ipv6Addr;
use std::sync::LazyLock;

use regex::{Match, Regex};

use super::{Span, regex};

/// Whole dotted numbers, with the `v` that makes them a version.
static DOTTED: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i:v)? \d+ (?:\.\d+)+"));

/// Whole words with two colons or more.
static COLONS: LazyLock<Regex> = LazyLock::new(|| regex(r"[A-Za-z\d.]* : [A-Za-z\d.]* : [A-Za-z\d.:]*"));

/// IP addresses: four numbers of 0 to 255, and what the standard library reads as IPv6 (RFC 4291, section 2.2), as far as
/// it holds a digit.
pub(super) fn find(text: &str) -> Vec<Span> {
    let four_numbers = |found: &Match<'_>| {
        let parts: Vec<_> = found.as_str().splitn(5, '.').map(str::parse::<u8>).collect();
        parts.len() == 4 && parts.iter().all(Result::is_ok)
    };
    let version_4 = DOTTED.find_iter(text).filter(four_numbers).map(|found| found.range());
    let version_6 = COLONS.find_iter(text).flat_map(|found| {
        let word = found.as_str().trim_end_matches('.');
        let (first, last) = (word.find(':').unwrap_or(0), word.rfind(':').unwrap_or(0));
        // A label may touch the address, and so may a port: which of the ends it is cannot be told, so each may go.
        let parts = [(0, word.len()), (first + 1, word.len()), (0, last), (first + 1, last)];
        let address = |(start, end): &(usize, usize)| {
            let part = word.get(*start..*end).unwrap_or_default();
            part.contains(|c: char| c.is_ascii_digit()) && part.parse::<Ipv6Addr>().is_ok()
        };
        parts.into_iter().filter(address).map(move |(start, end)| found.start() + start..found.start() + end)
    });
    version_4.chain(version_6).collect()
}

#[cfg(test)]
mod tests {
    use crate::redact::Detector;
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(Detector::Ip, text), expected, "{text:?}");
    }

    #[test]
    fn addresses_of_both_versions_are_found() {
        check("10.0.0.1", &["10.0.0.1"]);
        check("from 192.168.1.254:8080, 8.8.8.8/32.", &["192.168.1.254", "8.8.8.8"]);
        check("host=010.001.001.001", &["010.001.001.001"]);
        check("[2001:db8::1]:443 ::1 fe80::1%eth0", &["2001:db8::1", "::1", "fe80::1"]);
        check("addr:2001:db8:0:0:0:0:0:1.", &["2001:db8:0:0:0:0:0:1"]);
        check("feed:2001:db8:0:0:0:0:0:1", &["feed:2001:db8:0:0:0:0:0:1"]);
        check("2001:db8:0:0:0:0:0:1:8080", &["2001:db8:0:0:0:0:0:1:8080"]);
        check("::ffff:10.0.0.1", &["::ffff:10.0.0.1"]);
    }

    #[test]
    fn versions_times_hardware_addresses_and_paths_of_code_are_no_addresses() {
        check("1.2.3 v1.2.3.4 1.2.3.4.5 256.1.1.1 12:30:45 std::fmt face::add", &[]);
        check("00:1a:2b:3c:4d:5e 2026-11-18T09:30:00Z ::", &[]);
    }
}
