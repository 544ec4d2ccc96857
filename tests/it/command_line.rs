//! What a stranger sees first: help, errors, exit codes.

use tidemark_tests::{TemporaryStore, run};

fn help(command: &[&str]) -> String {
    let finished = run(&[command, &["--help"]].concat(), b"");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.stdout
}

#[test]
fn help_teaches_by_example() {
    let commands: [&[&str]; 19] = [
        &[],
        &["demo"],
        &["serve"],
        &["import"],
        &["export"],
        &["corpus"],
        &["corpus", "register"],
        &["corpus", "list"],
        &["corpus", "show"],
        &["corpus", "diff"],
        &["compare"],
        &["diff"],
        &["policy"],
        &["key"],
        &["storage"],
        &["verify"],
        &["erase"],
        &["audit"],
        &["doctor"],
    ];
    for command in commands {
        let name = ["help"].iter().chain(command).copied().collect::<Vec<_>>().join("-");
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, help(command));
        });
    }
}

#[track_caller]
fn check(arguments: &[&str], code: i32, error: &str) {
    let finished = run(arguments, b"");
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(code), error));
}

#[test]
fn errors_say_what_failed_and_what_to_do() {
    check(
        &["compare", "--corpus", "c", "--reference", "yesterday", "--current", "last:7d"],
        2,
        "error: \"yesterday\" selects no window: it has none of the known forms\nhint: use version:NAME, FROM..TO (dates or \
         RFC 3339 times, TO excluded), last:7d (s, m, h, d, w), or before:7d for the 7 days before the other window\n",
    );
    check(
        &["compare", "--corpus", "c", "--reference", "last:1d", "--current", "last:7d"],
        2,
        "error: no store is named\nhint: add --data DIR, or set TIDEMARK_DATA; `tidemark demo` makes a store to look at\n",
    );
    check(
        &["--data", "/nonexistent/store", "doctor"],
        1,
        "error: there is no Tidemark store at /nonexistent/store\nhint: import a recording or start `tidemark serve` to make \
         one, or correct --data\n",
    );
    check(
        &["--data", "ftp://host/x", "doctor"],
        1,
        "error: \"ftp://host/x\" is neither a directory nor an object-store URL: the scheme ftp is not one of file, s3, s3a, gs, az, azure, abfs, abfss, adl\nhint: use a directory, or a URL such as s3://bucket/prefix\n",
    );
    check(
        &["--data", "store", "serve", "--listen", "0.0.0.0:7700"],
        2,
        "error: 0.0.0.0:7700 can be reached from other machines, and there are no credentials\nhint: listen on a loopback \
         address and put a proxy with credentials in front of it\n",
    );
}

#[test]
fn a_comparison_exits_with_its_verdict() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("demo");
    let data = data.to_string_lossy();
    assert_eq!(run(&["--data", &data, "demo"], b"").code, Some(0));
    let compare = |reference: &str, current: &str| {
        run(&["--data", &data, "compare", "--corpus", "cran", "--reference", reference, "--current", current], b"").code
    };
    assert_eq!(compare("version:v1", "version:v2"), Some(3));
    assert_eq!(compare("version:v1", "version:v1"), Some(2));
    assert_eq!(compare("before:7d", "2026-10-08..2026-10-15"), Some(3));
    assert_eq!(compare("2026-10-01..2026-10-02T00:00:00Z", "2026-10-02..2026-10-02T01:00:00Z"), Some(4));
    assert_eq!(compare("version:v1", "version:v9"), Some(1));
}

#[test]
fn a_part_of_the_traffic_is_compared_and_explained() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("demo").to_string_lossy().into_owned();
    assert_eq!(run(&["--data", &data, "demo"], b"").code, Some(0));
    let windows = ["compare", "--corpus", "cran", "--reference", "version:v1", "--current", "version:v2"];
    let compare = |rest: &[&str]| run(&[&["--data", data.as_str()], windows.as_slice(), rest].concat(), b"");
    let whole: serde_json::Value = serde_json::from_str(&compare(&["--format", "json"]).stdout).unwrap();
    let german: serde_json::Value =
        serde_json::from_str(&compare(&["--segment", "locale=de", "--format", "json"]).stdout).unwrap();
    assert_eq!(german["segment"]["locale"], "de");
    let events = |report: &serde_json::Value| report["current"]["events"].as_u64().unwrap();
    assert!(events(&german) > 0 && events(&german) < events(&whole) / 2, "{}", events(&german));
    // What is found in a part of the whole is what a comparison of that part alone finds.
    let part = whole["segments"].as_array().unwrap().iter().find(|part| part["segment"]["locale"] == "de").unwrap();
    assert_eq!(part["verdict"], german["retrieval"]["verdict"]);

    let explained = compare(&["--explain"]).stdout;
    for said in ["Retrieval: does the same query get different context?", "after Holm over", "Segments: which parts"] {
        assert!(explained.contains(said), "{said} is missing in {explained}");
    }
    assert!(!explained.contains("DOES NOT FOLLOW"), "{explained}");

    let none = compare(&["--segment", "locale=xx"]);
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("in segment locale=xx"), "{}", none.stderr);
    let broken = compare(&["--segment", "locale"]);
    assert_eq!(broken.code, Some(1));
    assert!(broken.stderr.contains("KEY=VALUE"), "{}", broken.stderr);
}

/// INV-08: a verdict names its windows, corpus versions and table version, and recomputes to the same bytes.
#[test]
fn the_same_comparison_gives_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("demo").to_string_lossy().into_owned();
    assert_eq!(run(&["--data", &data, "demo"], b"").code, Some(0));
    let windows = ["--reference", "version:v1", "--current", "version:v2", "--format", "json"];
    let report = || {
        let report =
            run(&[&["--data", data.as_str(), "compare", "--corpus", "cran"], windows.as_slice()].concat(), b"").stdout;
        let lines = report.lines().filter(|line| !line.contains("\"created_at\""));
        lines.collect::<Vec<_>>().join("\n")
    };
    let (first, second) = (report(), report());
    assert_eq!(first, second);
    let report: serde_json::Value = serde_json::from_str(&first).unwrap();
    for (window, version) in [("reference", "v1"), ("current", "v2")] {
        assert_eq!(report[window]["selector"], format!("version:{version}"));
        assert_eq!(report[window]["corpus_versions"][0], version);
        assert_eq!(report[window]["table_version"], 1);
    }
}

/// INV-10: too little data is said, never called stable.
#[test]
fn too_few_queries_are_no_verdict() {
    let store = TemporaryStore::new();
    let data = store.data();
    let event = |day: u32, query: u32| {
        format!(
            r#"{{"occurred_at":"2026-11-{day:02}T09:30:00Z","corpus":"c","query":{{"fingerprint":"q{query}"}},"results":[{{"doc_id":"a"}}]}}"#
        )
    };
    let events: Vec<String> = (1..=2).flat_map(|day| (0..5).map(move |query| event(day, query))).collect();
    assert_eq!(run(&["--data", &data, "import", "-"], events.join("\n").as_bytes()).code, Some(0));
    let windows = ["--reference", "2026-11-01..2026-11-02", "--current", "2026-11-02..2026-11-03", "--format", "json"];
    let compared = run(&[&["--data", data.as_str(), "compare", "--corpus", "c"], windows.as_slice()].concat(), b"");
    assert_eq!(compared.code, Some(4), "{}", compared.stderr);
    let report: serde_json::Value = serde_json::from_str(&compared.stdout).unwrap();
    assert_eq!(report["retrieval"]["verdict"], "insufficient_evidence");
    assert_eq!(report["retrieval"]["queries_needed"], 30);
}
