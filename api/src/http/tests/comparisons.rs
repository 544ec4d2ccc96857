use insta::assert_snapshot;

use super::*;

const ASKED: &str = r#"{"corpus":"handbook","reference":"2026-11-17..2026-11-18","current":"2026-11-18..2026-11-19"}"#;

#[tokio::test]
async fn two_windows_are_compared() {
    let server = server().await;
    let before: Vec<_> = (1..=80).map(|n| retrieval(n).replace("11-18T", "11-17T")).collect();
    let after: Vec<_> = (81..=160).map(|n| retrieval(n).replace("\"b\"", "\"c\"")).collect();
    // Each query is asked twice in each window, so that its noise is known.
    let asked = |events: &[String]| {
        let numbered =
            events.iter().enumerate().map(|(n, event)| event.replace("my badge", &format!("badge {}", n / 2)));
        numbered.collect::<Vec<_>>().join("\n")
    };
    server.post("/v1/retrievals", asked(&before)).await;
    server.post("/v1/retrievals", asked(&after)).await;
    server.flush().await;
    let answer = server.post("/v1/comparisons", ASKED).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let report = answer.json();
    assert_eq!((&report["corpus"], &report["created_at"]), (&"handbook".into(), &NOW.into()));
    assert_eq!((&report["reference"]["events"], &report["current"]["events"]), (&80.into(), &80.into()));
    assert_eq!(report["retrieval"]["verdict"], "drift");
}

#[tokio::test]
async fn a_window_that_is_none_or_holds_nothing_is_a_problem() {
    let server = server().await;
    assert_snapshot!(server.post("/v1/comparisons", ASKED).await.refusal(), @"404 not-found: the reference window 2026-11-17..2026-11-18 holds no retrieval of corpus handbook");
    let asked = ASKED.replace("2026-11-17..2026-11-18", "2026-11-16..2026-11-19");
    assert_snapshot!(server.post("/v1/comparisons", asked).await.refusal(), @"422 invalid: the windows 2026-11-16..2026-11-19 and 2026-11-18..2026-11-19 overlap: events in both make them look more alike than they are");
    let asked = ASKED.replace("2026-11-17..2026-11-18", "before:1d");
    assert_snapshot!(server.post("/v1/comparisons", asked).await.refusal(), @"404 not-found: the reference window before:1d holds no retrieval of corpus handbook");
    let asked = ASKED.replace("2026-11-17..2026-11-18", "lately");
    assert_snapshot!(server.post("/v1/comparisons", asked).await.refusal(), @r#"422 invalid: "lately" selects no window: it has none of the known forms"#);
    let asked = ASKED.replace("handbook", "../../etc");
    assert_snapshot!(server.post("/v1/comparisons", asked).await.refusal(), @"422 invalid: corpus has a `.`, `..` or empty part between slashes; a name such as team/handbook is fine");
    let asked = ASKED.replace("\"current\"", "\"curent\"");
    assert_snapshot!(server.post("/v1/comparisons", asked).await.refusal(), @"422 invalid: the body is not what is expected: unknown field `curent`, expected one of `corpus`, `reference`, `current`, `segment` at line 1 column 66");
}
