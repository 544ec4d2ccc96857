use super::*;

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

#[track_caller]
fn check(policy: &str, expected: &str) {
    assert_eq!(Policy::parse(policy).map(|_| ()).unwrap_err().to_string(), expected);
}

#[track_caller]
fn check_yaml(policy: &str, part: &str) {
    match Policy::parse(policy).map(|_| ()) {
        Err(PolicyError::Yaml(reason)) => assert!(reason.contains(part), "{reason}"),
        other => panic!("{other:?}"),
    }
}

/// The complete example of `POLICY.md`.
fn example() -> Policy {
    let page = include_str!("../../POLICY.md");
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    Policy::parse(rest.split_once("```").unwrap().0).unwrap()
}

#[test]
fn the_example_of_the_page_is_a_policy() {
    let policy = example();
    assert_eq!(policy.text(), TextPolicy::Redacted);
    let bounds = policy.bounds_for(Some(&label("support")), Some(&label("svc:support-bot")));
    assert_eq!(bounds.results, Some(20));
    assert_eq!(bounds.document_age, Some(Seconds(90 * 86_400)));
    assert_eq!(bounds.scopes, Some([label("public")].into()));
    assert_eq!(bounds.burst, Some(5_000));
    let retention = policy.retention();
    assert_eq!((retention.days, retention.bytes, retention.removed_files_s), (Some(90), Some(50 << 30), 86_400));
    let handbook = retention.corpora.values().next().unwrap();
    assert_eq!(*handbook, CorpusRetention { days: Some(30), bytes: Some(10 << 30) });
}

#[test]
fn every_key_of_a_policy_is_on_its_page() {
    let page = include_str!("../../POLICY.md");
    let keys = [
        "text",
        "redact.detectors",
        "redact.patterns",
        "bounds.results",
        "bounds.query_bytes",
        "bounds.output_bytes",
        "bounds.attributes",
        "bounds.attribute_bytes",
        "bounds.context_tokens",
        "bounds.document_age",
        "bounds.corpora",
        "bounds.scopes",
        "bounds.events_per_second",
        "bounds.burst",
        "services",
        "principals",
        "retention.days",
        "retention.corpora",
        "retention.bytes",
        "retention.removed_files",
    ];
    for key in keys {
        assert!(page.contains(&format!("| `{key}` |")), "{key}");
    }
}

#[test]
fn bounds_of_service_and_principal_hold_at_once() {
    let policy = Policy::parse(
        "bounds: {results: 100, events_per_second: 500}
services: {support: {bounds: {results: 20}, principals: {bot: {bounds: {results: 10}}}}}
principals: {bot: {bounds: {events_per_second: 5}}, alice: {bounds: {results: 15}}}",
    )
    .unwrap();
    let results = |service: Option<&str>, principal: Option<&str>| {
        let (service, principal) = (service.map(label), principal.map(label));
        let bounds = policy.bounds_for(service.as_ref(), principal.as_ref()).into_owned();
        (bounds.results, bounds.events_per_second, bounds.burst)
    };
    assert_eq!(results(None, None), (Some(100), Some(500), Some(5_000)));
    assert_eq!(results(Some("other"), Some("other")), (Some(100), Some(500), Some(5_000)));
    assert_eq!(results(Some("support"), None), (Some(20), Some(500), Some(5_000)));
    assert_eq!(results(Some("support"), Some("alice")), (Some(15), Some(500), Some(5_000)));
    assert_eq!(results(Some("support"), Some("bot")), (Some(10), Some(5), Some(50)));
    assert_eq!(results(None, Some("bot")), (Some(100), Some(5), Some(50)));
    let parts = policy.describe(Some(&label("support")), Some(&label("bot"))).parts;
    let expected =
        ["bounds", "services.support.bounds", "services.support.principals.bot.bounds", "principals.bot.bounds"];
    assert_eq!(parts, expected);
}

#[test]
fn a_part_that_allows_more_than_the_whole_is_refused_with_both() {
    check(
        "bounds: {results: 100}\nservices: {support: {bounds: {results: 200}}}",
        "services.support.bounds.results is 200, but bounds.results allows 100: a part can only restrict",
    );
    check(
        "bounds: {document_age: 90d}\nservices: {s: {principals: {p: {bounds: {document_age: 91d}}}}}",
        "services.s.principals.p.bounds.document_age is 91d, but bounds.document_age allows 90d: a part can only restrict",
    );
    check(
        "services: {s: {bounds: {query_bytes: 1KiB}, principals: {p: {bounds: {query_bytes: 2048}}}}}",
        "services.s.principals.p.bounds.query_bytes is 2KiB, but services.s.bounds.query_bytes allows 1KiB: a part can only restrict",
    );
    check(
        "bounds: {scopes: [public, internal]}\nprincipals: {p: {bounds: {scopes: [public, secret]}}}",
        "principals.p.bounds.scopes is public, secret, but bounds.scopes allows internal, public: a part can only restrict",
    );
    check(
        "bounds: {events_per_second: 5}\nprincipals: {p: {bounds: {burst: 51}}}",
        "principals.p.bounds.burst is 51, but bounds.burst allows 50: a part can only restrict",
    );
}

#[test]
fn a_wrong_key_or_value_is_named_with_its_path() {
    check("txt: none", "txt is not a key of a policy (did you mean text?)");
    check("bounds: {result: 3}", "bounds.result is not a key of a policy (did you mean results?)");
    check("services: {support: {bound: {}}}", "services.support.bound is not a key of a policy (did you mean bounds?)");
    check("text: some", "text unknown variant `some`, expected one of `none`, `redacted`, `full`");
    check("bounds: {results: -1}", "bounds.results invalid value: integer `-1`, expected u32");
    check(
        "bounds: {document_age: soon}",
        "bounds.document_age is \"soon\", not a duration such as 90d, 24h, 30m, 15s or a number of seconds",
    );
    check(
        "bounds: {results: 0}",
        "bounds.results is 0, which no event could keep to; leave the key out where nothing is bounded",
    );
    check(
        "bounds: {corpora: []}",
        "bounds.corpora is an empty list, which allows none; leave the key out to allow all",
    );
    check(
        "retention: {corpora: {c: {days: 0}}}",
        "retention.corpora.c.days is 0, which would remove every event as it comes in; leave the key out to keep them",
    );
    check(
        "retention: {bytes: 0}",
        "retention.bytes is 0, which would remove every event as it comes in; leave the key out to keep them",
    );
    check(
        "retention: {removed_files: 0}",
        "retention.removed_files is 0, which would take files from readers that are reading them; 1h is short",
    );
}

#[test]
fn a_pattern_that_cannot_be_used_is_named() {
    check(
        "redact: {patterns: [{name: card, pattern: x}]}",
        "redact.patterns: the name \"card\" is that of a detector; give the pattern another",
    );
    check(
        "redact: {patterns: [{name: a, pattern: x}, {name: a, pattern: y}]}",
        "redact.patterns have the name \"a\" twice; give each pattern a name of its own",
    );
}

#[test]
fn yaml_that_says_a_thing_twice_or_grows_by_aliases_is_refused() {
    check_yaml("text: none\ntext: full", "duplicate");
    check_yaml("text: [", "");
    check_yaml("text: none\n---\ntext: full", "");
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (from, to) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        bomb += &format!("{to}: &{to} [*{from},*{from},*{from},*{from},*{from},*{from},*{from},*{from},*{from}]\n");
    }
    check_yaml(&bomb, "");
    check_yaml(&"[".repeat(100_000), "");
}

#[test]
fn a_policy_without_keys_is_the_default_and_names_may_look_like_other_types() {
    for text in ["", "# nothing\n", "bounds:\n", "{}"] {
        let (written, default) = (Policy::parse(text).unwrap(), Policy::default());
        assert_eq!(written.describe(None, None).bounds, default.describe(None, None).bounds, "{text:?}");
        assert_eq!(written.text(), default.text());
    }
    let policy = Policy::parse("bounds: {scopes: [no, on, 12]}").unwrap();
    let scopes = policy.bounds_for(None, None).scopes.clone().unwrap();
    assert_eq!(scopes, [label("no"), label("on"), label("12")].into());
}

#[test]
fn the_version_is_of_what_a_policy_says_and_not_of_how_it_is_written() {
    let version = |text: &str| Policy::parse(text).unwrap().version().unwrap().to_string();
    let one = version("text: redacted\nbounds: {document_age: 90d, results: 3}");
    assert_eq!(one, version("# why\nbounds:\n  results: 3\n  document_age: 2160h\ntext: redacted\n"));
    assert_ne!(one, version("text: redacted\nbounds: {document_age: 90d, results: 4}"));
    assert!(one.starts_with("p:") && one.len() == 18, "{one}");
    assert_eq!(Policy::verbatim().version(), None);
}

#[test]
fn the_effective_bounds_are_shown_with_units() {
    let shown = serde_json::to_value(example().describe(Some(&label("support")), None)).unwrap();
    assert_eq!(shown["bounds"]["document_age"], "90d");
    assert_eq!(shown["bounds"]["query_bytes"], "8KiB");
    assert_eq!(shown["text"], "redacted");
    assert_eq!(shown["parts"][1], "services.support.bounds");
}

#[test]
fn every_mark_of_a_policy_can_be_counted() {
    let marks = example().marks();
    for mark in ["redacted.employee", "redacted.email", "bound.results", "bound.scope"] {
        assert!(marks.contains(&label(mark)), "{mark}");
    }
    assert_eq!(Policy::with_text(TextPolicy::Full).marks().len(), crate::bound::MARKS.len());
}
