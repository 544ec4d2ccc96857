use proptest::prelude::*;

use super::*;

/// What a detector finds, as texts.
pub(super) fn found(detector: Detector, text: &str) -> Vec<&str> {
    let hits = Redactor::new(Vec::new(), &[detector].into()).hits(text);
    hits.into_iter().map(|hit| &text[hit.span]).collect()
}

/// All detectors and no pattern.
pub(super) fn all() -> Redactor {
    Redactor::new(Vec::new(), &Detector::ALL.into())
}

fn redacted(redactor: &Redactor, text: &str) -> (String, String) {
    let (mut text, mut found) = (text.to_owned(), BTreeSet::new());
    redactor.redact(&mut text, &mut found);
    (text, found.iter().map(Label::as_str).collect::<Vec<_>>().join(" "))
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(redacted(&all(), text).0, expected);
}

#[track_caller]
fn check_pattern(pattern: &str, text: &str, expected: &str) {
    let redactor = Redactor::new(vec![Pattern::new("own", pattern).unwrap()], &Detector::ALL.into());
    let (once, _) = redacted(&redactor, text);
    assert_eq!(once, expected);
    assert_eq!(redacted(&redactor, &once).0, once, "redacted again");
}

#[test]
fn each_kind_is_replaced_by_its_name_and_named() {
    let text = "al@example.com +49 30 901820, 4111 1111 1111 1111 DE89370400440532013000 10.0.0.1 AKIAIOSFODNN7EXAMPLE";
    let (redacted, found) = redacted(&all(), text);
    assert_eq!(redacted, "[email] [phone], [card] [iban] [ip] [api_key]");
    let marks = "redacted.api_key redacted.card redacted.email redacted.iban redacted.ip redacted.phone";
    assert_eq!(found, marks);
}

#[test]
fn disguises_are_seen_through_and_the_rest_of_the_text_stays() {
    check("Gäste: al\u{200b}ice＠exam\u{ad}ple.com!", "Gäste: [email]!");
    check("４１１１ １１１１　１１１１ １１１１", "[card]");
    check("4\u{200d}111111111111111\u{200b}", "[card]\u{200b}");
    check("٠١٧١ ١٢٣٤٥٦٧", "[phone]");
    check("＋49–30–901820", "[phone]");
    check("10。0。0。1", "[ip]");
}

#[test]
fn what_overlaps_goes_as_one() {
    check("+4930901820@example.com", "[email]");
    check("::ffff:10.0.0.1", "[ip]");
    check("root@[10.0.0.1]", "[email]");
}

#[test]
fn harmless_texts_stay_as_they_are() {
    for text in [
        "how do I reset my badge",
        "lang = de AND year >= 2024",
        "release 1.24.3 of 2026-11-18T09:30:00.123456Z",
        "01931f7c-4a2e-7b1c-9d55-2f1f0e6c1a10",
        "b3:9f86d081884c7d65",
        "https://example.com/a/b?c=1#d",
        "[email] and [card] are words in brackets",
    ] {
        check(text, text);
    }
}

#[test]
fn patterns_of_ones_own_come_first_and_do_not_eat_what_stands_in_place() {
    check_pattern(r"EMP-\d{6}", "of EMP-123456.", "of [own].");
    check_pattern(r"EMP-\d{6}", "of ＥＭＰ-１２３４５６.", "of [own].");
    check_pattern("email|own", "email al@example.com", "[own] [email]");
    check_pattern("user=.*", "user=[email] bob", "[own]");
    check_pattern(r"\]a", "[email]a", "[own]");
    check_pattern(".*", "anything at all", "[own]");
    check_pattern("x*", "yyxxyy", "yy[own]yy");
    check_pattern("ü+", "für", "f[own]r");
}

#[test]
fn a_text_that_keeps_revealing_more_goes_as_a_whole() {
    let chain = "a".repeat(100);
    check_pattern(r"a(\[own\])?$", &chain, "[own]");
}

#[test]
fn only_the_chosen_detectors_look() {
    let redactor = Redactor::new(Vec::new(), &[Detector::Ip].into());
    assert_eq!(redacted(&redactor, "al@example.com 10.0.0.1").0, "al@example.com [ip]");
}

#[test]
fn long_texts_made_to_confuse_take_time_by_their_length() {
    let own = Pattern::new("own", r"EMP-\d{6}").unwrap();
    let redactor = Redactor::new(vec![own], &Detector::ALL.into());
    for part in [
        "a",
        "@",
        "a@",
        "a%40",
        "1",
        "1 ",
        "+1",
        "4111 ",
        "(030) ",
        "1.",
        "1:",
        "::",
        "DE89 ",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "eyJa.",
        "eyJ-",
        "sk-a-",
        "bearer=",
        "bearer ",
        "sk-",
        "１",
        "é",
        "\u{200b}",
        "[email]",
        "a@b.cc ",
        "00 ",
        "call ",
        "f-",
        "AKIA",
        "\"",
    ] {
        // Time is not measured, for it varies; what took time by the square of the length would take minutes here.
        let mut text = part.repeat(256 * 1024 / part.len());
        redactor.redact(&mut text, &mut BTreeSet::new());
    }
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("al@example.com".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("DE89370400440532013000".to_owned()),
        Just("+49 30 901820".to_owned()),
        Just("10.0.0.1".to_owned()),
        Just("2001:db8::1".to_owned()),
        Just("AKIAIOSFODNN7EXAMPLE".to_owned()),
        Just("[email]".to_owned()),
        Just("2026-11-18".to_owned()),
        "[ -~]{0,6}",
        "[0-9+() .:@/-]{0,12}",
        "\\PC{0,4}",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn redacting_twice_is_redacting_once(text in pieces(), own in "[a-z0-9.\\[\\]]{1,5}") {
        let patterns = Pattern::new("own", &own).ok().into_iter().collect();
        let redactor = Redactor::new(patterns, &Detector::ALL.into());
        let (once, _) = redacted(&redactor, &text);
        let (twice, found) = redacted(&redactor, &once);
        prop_assert_eq!(twice, once);
        prop_assert_eq!(found, "");
    }

    #[test]
    fn a_value_between_words_never_survives(before in "([a-z]{0,8} )?", after in "( [a-z]{0,8})?", which in 0..7_usize) {
        let value = ["al@example.com", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "+49 30 901820", "10.0.0.1",
            "2001:db8::1", "AKIAIOSFODNN7EXAMPLE"][which];
        let (text, _) = redacted(&all(), &format!("{before}{value}{after}"));
        prop_assert!(!text.contains(value));
    }
}
