//! Cases from the field, through the binary: situations that people report of retrieval, and what they would expect to read.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tidemark_tests::{TemporaryStore, run};

/// A verdict rests on the first lines: what stands below them is read by few.
const FIRST_LINES: usize = 25;
/// A cause with a smaller share than this is not blamed.
const BLAMED: f64 = 0.1;

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/field");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// The report of a case as JSON and as text.
fn compare(case: &Path, expected: &Value) -> (Value, String) {
    let store = TemporaryStore::new();
    let data = store.data();
    let done = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["--data", &data].into_iter().chain(arguments.iter().copied()).collect();
        let finished = run(&arguments, b"");
        assert!(matches!(finished.code, Some(0 | 3 | 4)), "{}: {finished:?}", case.display());
        finished.stdout
    };
    let file = |name: &str| case.join(name).to_string_lossy().into_owned();
    done(&["import", &file("events.ndjson.zst")]);
    let corpus = expected["corpus"].as_str().unwrap();
    for version in ["oct", "nov"] {
        let manifest = file(&format!("manifest-{version}.ndjson.zst"));
        if Path::new(&manifest).is_file() {
            done(&["corpus", "register", corpus, version, &manifest]);
        }
    }
    let window = |name: &str| expected[name].as_str().unwrap();
    let windows = ["--reference", window("reference"), "--current", window("current")];
    let asked = [&["compare", "--corpus", corpus], windows.as_slice()].concat();
    let json = done(&[asked.as_slice(), &["--format", "json"]].concat());
    (serde_json::from_str(&json).unwrap(), done(&asked))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn within(value: &Value, bounds: &Value) -> bool {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    number(value) >= number(&bounds[0]) && number(value) <= number(&bounds[1])
}

/// What falls short of what a person would expect.
fn shortcomings(expected: &Value, report: &Value, text: &str) -> Vec<String> {
    let mut short = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            short.push(what);
        }
    };
    let retrieval = &report["retrieval"];
    for (name, found) in [("retrieval", &retrieval["verdict"]), ("traffic", &report["traffic"]["verdict"])] {
        let wanted = list(&expected[name]);
        expect(wanted.is_empty() || wanted.contains(found), format!("{name} is {found}"));
    }
    let excess = &retrieval["excess_change"];
    expect(expected["excess"].is_null() || within(excess, &expected["excess"]), format!("the excess is {excess}"));
    let interval = &retrieval["interval"];
    let holds_zero = within(&Value::from(0.0), interval);
    expect(expected["interval_holds_zero"] != true || holds_zero, format!("the interval is {interval}"));
    let drifting: Vec<&Value> =
        list(&report["segments"]).iter().filter(|segment| segment["verdict"] == "drift").collect();
    let none_may = expected["segments_drifting"].as_array().is_some_and(Vec::is_empty);
    expect(!none_may || drifting.is_empty(), format!("segments drift: {drifting:?}"));
    if let Some(wanted) = expected.get("segment_drifts") {
        let found = drifting.iter().find(|segment| &segment["segment"] == wanted);
        expect(found.is_some(), format!("{wanted} does not drift"));
        let excess = found.map_or(&Value::Null, |segment| &segment["excess_change"]);
        let bounds = &expected["segment_excess"];
        expect(bounds.is_null() || within(excess, bounds), format!("the excess of {wanted} is {excess}"));
    }
    let causes = list(&report["causes"]);
    let first = causes.first().map_or(&Value::Null, |cause| &cause["cause"]);
    expect(
        expected["first_cause"].is_null() || *first == expected["first_cause"],
        format!("the first cause is {first}"),
    );
    let declared = causes.first().map_or(&Value::Null, |cause| &cause["declared"]);
    expect(expected["declared"].is_null() || *declared == expected["declared"], format!("declared is {declared}"));
    for cause in causes.iter().filter(|cause| cause["share"].as_f64().unwrap_or(0.0) > BLAMED) {
        expect(expected["all_declared"] != true || cause["declared"] == true, format!("{cause} is called silent"));
        expect(!list(&expected["not_causes"]).contains(&cause["cause"]), format!("{cause} is blamed"));
    }
    let findings = list(&report["integrity"]);
    expect(expected["integrity"] != true || !findings.is_empty(), "nothing is found".to_owned());
    let head = text.lines().take(FIRST_LINES).collect::<Vec<_>>().join("\n").to_lowercase();
    for wanted in list(&expected["first_lines"]).iter().filter_map(Value::as_str) {
        expect(wanted.split('|').any(|word| head.contains(word)), format!("the first lines lack {wanted}:\n{head}"));
    }
    short
}

#[test]
fn every_case_from_the_field_reads_as_a_good_engineer_would_expect() {
    let all = cases();
    assert_eq!(all.len(), 19);
    let (next, short) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let expected: Value =
                        serde_json::from_slice(&std::fs::read(case.join("expect.json")).unwrap()).unwrap();
                    let (report, text) = compare(case, &expected);
                    let found = shortcomings(&expected, &report, &text);
                    if !found.is_empty() {
                        short.lock().unwrap().push(format!("{}: {}", expected["case"], found.join("; ")));
                    }
                }
            });
        }
    });
    let short = short.into_inner().unwrap();
    assert!(short.is_empty(), "{}", short.join("\n"));
}
