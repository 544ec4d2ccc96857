//! Under which name a request asks for this server.
//!
//! There are no credentials yet, so whoever reaches the port may read everything. A web page reaches a port of the
//! machine it is shown on in two ways: by rebinding its own name to 127.0.0.1, which the `Host` header shows, and by
//! sending a form or a simple request to 127.0.0.1, which the `Origin` header shows.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri, header};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It asks for a name that is not ours, or for none.
    Host(String),
    /// A page of this origin made it.
    Origin(String),
}

/// Checks every place in which a request names a host. `hosts` are served besides the loopback ones.
pub(crate) fn check(uri: &Uri, headers: &HeaderMap, hosts: &[String]) -> Result<(), Refused> {
    let named: Vec<&[u8]> = headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes).collect();
    // HTTP/2 names the host in the URI; a proxy's absolute form does so besides the header.
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut asked = named.into_iter().chain(authority).peekable();
    if asked.peek().is_none() {
        return Err(Refused::Host(String::new()));
    }
    if let Some(other) = asked.find(|host| !is_ours(host, hosts)) {
        return Err(Refused::Host(shown(other)));
    }
    for origin in headers.get_all(header::ORIGIN) {
        let bytes = origin.as_bytes();
        let host = bytes.strip_prefix(b"http://").or_else(|| bytes.strip_prefix(b"https://"));
        if !host.is_some_and(|host| is_ours(host, hosts)) {
            return Err(Refused::Origin(shown(bytes)));
        }
    }
    Ok(())
}

fn is_ours(authority: &[u8], hosts: &[String]) -> bool {
    let Ok(authority) = Authority::try_from(authority) else { return false };
    // `a@b` asks for b, and no honest client sends it.
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let name = name.strip_suffix('.').unwrap_or(name);
    address.is_ok_and(|address| address.to_canonical().is_loopback())
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_host(host: &str, expected: bool) {
        let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
        let served = check(&Uri::from_static("/livez"), &headers, &["tidemark.internal".to_owned()]).is_ok();
        assert_eq!(served, expected, "{host}");
    }

    #[test]
    fn loopback_and_configured_hosts_are_served() {
        for host in ["localhost", "LOCALHOST:7700", "127.0.0.1:7700", "127.3.2.1", "[::1]:7700", "[::ffff:127.0.0.1]"] {
            check_host(host, true);
        }
        check_host("tidemark.internal:80", true);
    }

    #[test]
    fn every_other_name_is_refused() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "10.0.0.1",
            "0.0.0.0",
            "",
            "a b",
        ] {
            check_host(host, false);
        }
        assert_eq!(
            check(&Uri::from_static("/livez"), &HeaderMap::new(), &[]),
            Err(Refused::Host(String::new())),
            "no name at all"
        );
    }

    #[test]
    fn one_wrong_name_among_several_is_refused() {
        let mut headers = HeaderMap::from_iter([(header::HOST, "localhost".parse().unwrap())]);
        assert!(check(&Uri::from_static("http://localhost/livez"), &headers, &[]).is_ok());
        assert!(check(&Uri::from_static("http://evil.example/livez"), &headers, &[]).is_err());
        headers.append(header::HOST, "evil.example".parse().unwrap());
        assert!(check(&Uri::from_static("/livez"), &headers, &[]).is_err());
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let from = |origin: &'static str| {
            let host = (header::HOST, "localhost:7700".parse().unwrap());
            let headers = HeaderMap::from_iter([host, (header::ORIGIN, origin.parse().unwrap())]);
            check(&Uri::from_static("/v1/retrievals"), &headers, &[])
        };
        assert_eq!(from("http://localhost:7700"), Ok(()));
        assert_eq!(from("https://evil.example"), Err(Refused::Origin("https://evil.example".to_owned())));
        assert_eq!(from("null"), Err(Refused::Origin("null".to_owned())));
    }
}
