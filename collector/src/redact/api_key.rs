use std::sync::LazyLock;

use regex::Regex;

use super::{Span, regex};

/// Keys as their issuers document them and as the secret scanners of GitHub and of gitleaks know them. They begin a
/// word; `\n`, `\r` and `\t` may stand before, the escapes of a JSON text inside of a text.
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?: \b | _ | \\[nrt] ) (
          (?: AKIA | ASIA ) [A-Z0-9]{16,}                           # Amazon Web Services
        | ATATT3 [\w=-]{40,}                                        # Atlassian
        | dop_v1_ \w{40,}                                           # DigitalOcean
        | (?: gh[oprsu] | github_pat ) _ \w{20,}                    # GitHub
        | glpat- [\w-]{20,}                                         # GitLab
        | AIza [\w-]{30,} | ya29\. [\w-]{20,}                       # Google
        | glsa_ \w{30,}                                             # Grafana
        | gsk_ \w{20,}                                              # Groq
        | hv[bs]\. [\w-]{20,}                                       # HashiCorp Vault
        | hf_ \w{30,}                                               # Hugging Face
        | lin_api_ \w{30,}                                          # Linear
        | npm_ \w{30,}                                              # npm
        | sk- [\w-]* (?: \d[\w-]{12} | \w{16} ) [\w-]*              # OpenAI, Anthropic; but no words joined by dashes
        | pplx- \w{40,}                                             # Perplexity
        | pypi- [\w-]{50,}                                          # PyPI
        | r8_ \w{30,}                                               # Replicate
        | SG\. [\w.-]{40,}                                          # SendGrid
        | shpat_ \w{20,}                                            # Shopify
        | xox[abeoprs]- [\w-]{10,} | xapp- [\w-]{10,} | xoxe\. [\w.-]{10,}     # Slack
        | [rs]k_ (?:live|test) _ \w{10,} | whsec_ \w{20,}           # Stripe
        | tskey- [\w-]{20,}                                         # Tailscale
        | xai- \w{40,}                                              # xAI
        | eyJ [\w-]{13,} (?: \.[\w-]* ){1,4}                        # JSON Web Tokens (RFC 7519)
        | (?i:bearer|basic) [\ \t:=]+ (?<token> [\w.~+/-]{16,}=* ) # headers (RFC 6750, RFC 7617)
        )",
    )
});

/// Private keys in PEM (RFC 7468), up to their end or that of the text.
static PRIVATE_KEY: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"-----BEGIN\ [A-Z0-9\ ]*PRIVATE\ KEY[A-Z0-9\ ]*----- (?su:.*?) (?: -----END\ [A-Z0-9\ ]*-{0,5} | \z )")
});

pub(super) fn find(text: &str) -> Vec<Span> {
    // A long word after `basic` is no token: those are longer still, or have a digit.
    let is_token = |token: &str| token.len() >= 32 || token.contains(|c: char| c.is_ascii_digit() || c == '=');
    let keys = KEY.captures_iter(text).filter_map(|captures| {
        let keeps = captures.name("token").is_none_or(|token| is_token(token.as_str()));
        captures.get(1).filter(|_| keeps)
    });
    keys.chain(PRIVATE_KEY.find_iter(text)).map(|found| found.range()).collect()
}

#[cfg(test)]
mod tests {
    use crate::redact::Detector;
    use crate::redact::tests::found;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(Detector::ApiKey, text), expected, "{text:?}");
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
        check_key("Bearer ", "kfjAbQzLmNpRxTvWyZ42");
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
