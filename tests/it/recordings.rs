//! Recordings with a known cause, through the binary: import, register, compare, and what must come out.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tidemark_tests::{Recording, TemporaryStore, recordings, run};

/// What a comparison of the recording got wrong; nothing if it is right.
fn mistakes(recording: &Recording, report: &Value) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut expect = |what: &str, expected: &str, found: &Value| {
        if expected != "any" && found != expected {
            mistakes.push(format!("{}: {what} is {found}, expected {expected}", recording.name));
        }
    };
    expect("retrieval", recording.text("retrieval"), &report["retrieval"]["verdict"]);
    expect("scores", recording.text("scores"), &report["retrieval"]["scores"]["verdict"]);
    expect("traffic", recording.text("traffic"), &report["traffic"]["verdict"]);
    expect("outputs", recording.text("outputs"), &report["outputs"]["verdict"]);
    if let Some(because) = recording.truth["outputs_because"].as_str() {
        expect("because", because, &report["outputs"]["because"]);
    }
    let matched = report["retrieval"]["matched_queries"].to_string();
    expect("matched_queries", &recording.truth["matched_queries"].to_string(), &Value::String(matched));

    let causes = causes(report);
    let expected: Vec<&str> = list(&recording.truth["causes"]).iter().filter_map(Value::as_str).collect();
    let right = if expected.is_empty() {
        causes.is_empty() || recording.text("retrieval") == "any"
    } else if recording.truth["all_causes"] == true {
        expected.iter().all(|cause| causes.iter().take(expected.len()).any(|found| found == cause))
    } else {
        causes.first().is_some_and(|first| expected.contains(first))
    };
    if !right {
        mistakes.push(format!("{}: causes are {causes:?}, expected {expected:?}", recording.name));
    }
    let declared = &recording.truth["declared"];
    if !expected.is_empty() && !declared.is_null() && &report["causes"][0]["declared"] != declared {
        mistakes.push(format!("{}: declared should be {declared}", recording.name));
    }
    for affects in ["ranking", "scores", "traffic", "identity"] {
        let parts = list(&report["causes"]).iter().filter(|cause| cause["affects"] == affects);
        let shares: Vec<f64> = parts.filter_map(|cause| cause["share"].as_f64()).collect();
        let sum: f64 = shares.iter().sum();
        if !shares.is_empty() && (sum - 1.0).abs() > 1e-9 {
            mistakes.push(format!("{}: the shares of what affects {affects} sum to {sum}", recording.name));
        }
    }
    let mut expected: Vec<&str> = list(&recording.truth["integrity"]).iter().filter_map(Value::as_str).collect();
    let mut found = kinds(report);
    expected.sort_unstable();
    found.sort_unstable();
    if found != expected {
        mistakes.push(format!("{}: integrity is {found:?}, expected {expected:?}", recording.name));
    }
    let drifting = drifting(report);
    if let Some(segment) = recording.truth.get("segment")
        && drifting != [segment]
    {
        mistakes.push(format!("{}: drift is found in {drifting:?}, expected {segment}", recording.name));
    }
    mistakes
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn causes(report: &Value) -> Vec<&str> {
    list(&report["causes"]).iter().filter_map(|cause| cause["cause"].as_str()).collect()
}

fn kinds(report: &Value) -> Vec<&str> {
    let mut kinds: Vec<&str> =
        list(&report["integrity"]).iter().filter_map(|finding| finding["kind"].as_str()).collect();
    kinds.dedup();
    kinds
}

fn drifting(report: &Value) -> Vec<&Value> {
    let segments = list(&report["segments"]).iter();
    segments.filter(|segment| segment["verdict"] == "drift").map(|segment| &segment["segment"]).collect()
}

/// One line of the table in the analyzer's README: what was found.
fn row(recording: &Recording, report: &Value) -> String {
    let verdict = |value: &Value| match value.as_str() {
        Some("insufficient_evidence") => "open".to_owned(),
        other => other.unwrap_or("?").to_owned(),
    };
    let retrieval = &report["retrieval"];
    let excess = retrieval["excess_change"].as_f64().map_or_else(String::new, |excess| format!("{excess:.3}"));
    let cause = |cause: &Value| {
        let share = cause["share"].as_f64().unwrap_or(0.0) * 100.0;
        let silent = if cause["declared"] == true { "" } else { ", silent" };
        format!("{} ({share:.0} %{silent})", cause["cause"].as_str().unwrap_or("?"))
    };
    let causes: Vec<String> = list(&report["causes"]).iter().take(2).map(cause).collect();
    let segments: Vec<String> = match recording.truth.get("segment") {
        None => Vec::new(),
        Some(_) => drifting(report).iter().map(ToString::to_string).collect(),
    };
    let besides: Vec<String> = kinds(report).into_iter().map(str::to_owned).chain(segments).collect();
    format!(
        "| {} | {} | {excess} | {} | {} | {} | {} | {} |",
        recording.name.trim_start_matches("cranfield-"),
        verdict(&retrieval["verdict"]),
        verdict(&retrieval["scores"]["verdict"]),
        verdict(&report["traffic"]["verdict"]),
        verdict(&report["outputs"]["verdict"]),
        causes.join(", "),
        besides.join(", ").replace(['{', '}', '"'], "").replace(':', "="),
    )
}

const BEGIN: &str = "<!-- recordings: found -->\n";
const END: &str = "<!-- recordings: end -->";

/// INV-09: the shares of the causes add up to the whole change.
#[test]
fn every_recording_gets_its_verdicts_its_causes_and_its_findings() {
    let all: Vec<Recording> = ["cranfield-a", "cranfield-b", "cranfield-u"].into_iter().flat_map(recordings).collect();
    assert_eq!(all.len(), 55);
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(recording) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let report = recording.compare();
                    let looked_at = (row(recording, &report), mistakes(recording, &report));
                    found.lock().unwrap().push(looked_at);
                }
            });
        }
    });
    let (mut rows, mistaken): (Vec<String>, Vec<Vec<String>>) = found.into_inner().unwrap().into_iter().unzip();
    let mistaken: Vec<String> = mistaken.into_iter().flatten().collect();
    assert!(mistaken.is_empty(), "{}", mistaken.join("\n"));

    rows.sort_unstable();
    let table = format!(
        "| recording | rankings | excess change | scores | traffic | outputs | first causes | besides |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n{}\n",
        rows.join("\n")
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../analyzer/README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_TABLES").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(written, table, "run the tests with UPDATE_TABLES=1 to write the table anew");
    }
}

/// A trace of `cranfield-u`, whose query nobody asked before: what it is compared with, and what else was near.
#[test]
fn a_trace_whose_query_was_never_asked_before_is_compared_with_the_nearest_one() {
    let recordings = recordings("cranfield-u");
    let recording = recordings.iter().find(|recording| recording.name.ends_with("/corpus_removed")).unwrap();
    let (store, operation) = (TemporaryStore::new(), "corpus_removed-B-00077");
    let data = store.data();
    let file = recording.directory.join("retrievals.ndjson.gz").to_string_lossy().into_owned();
    let imported = run(&["--data", &data, "import", &file], b"");
    assert_eq!(imported.code, Some(0), "{imported:?}");
    let found = run(&["--data", &data, "diff", operation, "--format", "json"], b"");
    assert_eq!(found.code, Some(0), "{found:?}");
    let diff: Value = serde_json::from_str(&found.stdout).unwrap();
    let similar = list(&diff["similar"]);
    let bits: Vec<u64> = similar.iter().filter_map(|query| query["differing_bits"].as_u64()).collect();
    assert!(!bits.is_empty() && bits.is_sorted() && bits.iter().all(|bits| *bits <= 12), "{bits:?}");
    assert_eq!(diff["reference"]["fingerprint"], similar[0]["fingerprint"]);
    assert_ne!(diff["reference"]["fingerprint"], diff["current"]["fingerprint"]);
    assert!(diff["notes"][0].as_str().unwrap().starts_with("this query was never asked before"), "{}", diff["notes"]);
    let shown = run(&["--data", &data, "diff", operation], b"").stdout;
    assert!(shown.contains("Nearest queries that were asked before"), "{shown}");
}
