//! Recordings with a known cause, through the binary: import, register, compare, and what must come out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tidemark_tests::{Recording, recordings};

/// What a comparison of the recording got wrong; nothing if it is right.
fn mistakes(recording: &Recording) -> Vec<String> {
    let report = recording.compare();
    let mut mistakes = Vec::new();
    let mut expect = |what: &str, expected: &str, found: &Value| {
        if expected != "any" && found != expected {
            mistakes.push(format!("{}: {what} is {found}, expected {expected}", recording.name));
        }
    };
    expect("retrieval", recording.text("retrieval"), &report["retrieval"]["verdict"]);
    expect("scores", recording.text("scores"), &report["retrieval"]["scores"]["verdict"]);
    let matched = report["retrieval"]["matched_queries"].to_string();
    expect("matched_queries", &recording.truth["matched_queries"].to_string(), &Value::String(matched));

    let causes: Vec<&str> = list(&report["causes"]).iter().filter_map(|cause| cause["cause"].as_str()).collect();
    // A change of what is asked is no cause of a change of what is answered; `traffic` is not measured yet.
    let expected: Vec<&str> = list(&recording.truth["causes"]).iter().filter_map(Value::as_str).collect();
    let expected: Vec<&str> = expected.into_iter().filter(|cause| *cause != "query_mix").collect();
    let right = if expected.is_empty() {
        causes.is_empty() || recording.text("retrieval") == "any"
    } else if recording.truth["all_causes"] == true {
        causes.iter().take(expected.len()).all(|cause| expected.contains(cause))
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
    let shares: f64 =
        list(&report["causes"]).iter().filter(|c| c["affects"] == "ranking").filter_map(|c| c["share"].as_f64()).sum();
    if report["retrieval"]["verdict"] == "drift" && (shares - 1.0).abs() > 1e-9 {
        mistakes.push(format!("{}: the shares of the ranking's causes sum to {shares}", recording.name));
    }
    mistakes
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// INV-09: the shares of the causes add up to the whole change.
#[test]
fn every_recording_gets_its_verdicts_and_its_first_cause() {
    let all: Vec<Recording> = ["cranfield-a", "cranfield-b"].into_iter().flat_map(recordings).collect();
    assert_eq!(all.len(), 44);
    let (next, mistaken) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(recording) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                    mistaken.lock().unwrap().extend(mistakes(recording));
                }
            });
        }
    });
    let mistaken = mistaken.into_inner().unwrap();
    assert!(mistaken.is_empty(), "{}", mistaken.join("\n"));
}
