//! Bad input gets a clear answer that names the field, and nothing else is lost.

use std::io::Write;
use std::path::Path;

use tidemark_tests::{Finished, run};

const EVENT: &str = r#"{"occurred_at":"2026-11-18T09:30:00Z","corpus":"handbook","query":{"fingerprint":"q"},"results":[{"doc_id":"a","score":0.9},{"doc_id":"b","score":0.8}]}"#;

fn event(number: usize) -> String {
    EVENT.replace("\"q\"", &format!("\"q{number}\""))
}

fn import(path: &Path, data: &Path) -> Finished {
    run(&["--data", &data.to_string_lossy(), "import", &path.to_string_lossy()], b"")
}

/// Imports a file with a bad event among good ones: the answer says what is wrong, and the good ones are stored.
#[track_caller]
fn check(bad: &str, answer: &str) {
    let directory = tempfile::tempdir().unwrap();
    let (file, data) = (directory.path().join("events.ndjson"), directory.path().join("store"));
    std::fs::write(&file, format!("{}\n{}\n{bad}\n{}\n{}\n", event(1), event(2), event(4), event(5))).unwrap();
    let imported = import(&file, &data);
    let said = imported.stdout.replace(&*directory.path().to_string_lossy(), "");
    assert!(said.contains(answer), "expected {answer:?} in:\n{said}{}", imported.stderr);
    assert!(said.contains("4 retrievals, 0 outputs imported"), "{said}");
    assert_eq!(imported.code, Some(1));
}

/// INV-03: one bad event never spoils its batch.
#[test]
fn a_bad_event_is_refused_with_its_line_and_field_and_the_others_are_stored() {
    check("{\"occurred_at\":", "events.ndjson:3: occurred_at is no JSON: EOF while parsing a value");
    check(&EVENT.replace("0.8", "1e999"), "events.ndjson:3: results[1].score is a number beyond the range of 64 bits");
    check(
        &EVENT.replace("0.8", "\"high\""),
        "events.ndjson:3: results[1].score is the text \"high\"; expected a number",
    );
    check(
        &EVENT.replace("\"query\"", "\"qurey\""),
        "events.ndjson:3: qurey is not a field of this event (did you mean query?)",
    );
    check(
        &EVENT.replace("2026-11-18", "9999-11-18"),
        "events.ndjson:3: occurred_at 9999-11-18T09:30:00Z lies outside of the years 2000 to 2099",
    );
    check(
        &EVENT.replace("handbook", "../../etc"),
        "events.ndjson:3: corpus has a `.`, `..` or empty part between slashes",
    );
    check(
        &format!("{{\"a\":\"{}\"}}", "x".repeat(100 << 20)),
        "events.ndjson:3: the event has 104857608 bytes, the limit is 4194304",
    );
    check("[]", "events.ndjson:3: is an array; expected an event, as an object");
    check("\u{0}\u{1}\u{ff}", "events.ndjson:3: ");
}

#[test]
fn ten_thousand_results_are_cut_to_the_limit_and_counted() {
    let results: Vec<String> = (0..10_000).map(|i| format!("{{\"doc_id\":\"document-{i}\",\"score\":0.5}}")).collect();
    let event = EVENT.replace(r#"{"doc_id":"a","score":0.9},{"doc_id":"b","score":0.8}"#, &results.join(","));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("events.ndjson");
    std::fs::write(&file, event).unwrap();
    let store = directory.path().join("store");
    let imported = import(&file, &store);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert!(imported.stdout.contains("9,000 results cut off"), "{}", imported.stdout);
    let exported = run(&["--data", &store.to_string_lossy(), "export"], b"");
    let event: serde_json::Value = serde_json::from_str(&exported.stdout).unwrap();
    assert_eq!(event["results"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(event["results_total"], 10_000);
}

#[track_caller]
fn refused(name: &str, content: Option<&[u8]>, error: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(name);
    if let Some(content) = content {
        std::fs::write(&file, content).unwrap();
    }
    let store = directory.path().join("store");
    let imported = import(&file, &store);
    let said = imported.stderr.replace(&*directory.path().to_string_lossy(), "");
    assert!(said.contains(error), "expected {error:?} in:\n{said}");
    assert!(said.contains("hint: "), "{said}");
    assert_eq!(imported.code, Some(1));
}

fn gzip(write: impl FnOnce(&mut flate2::write::GzEncoder<Vec<u8>>)) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    write(&mut encoder);
    encoder.finish().unwrap()
}

#[test]
fn what_is_no_file_of_events_is_refused_with_a_next_step() {
    refused("empty.ndjson", Some(b""), "error: /empty.ndjson is empty\n");
    refused("blank.ndjson", Some(b"\n \n"), "error: /blank.ndjson is empty\n");
    refused("missing.ndjson", None, "error: /missing.ndjson cannot be read\n  because: No such file or directory");
    refused("", None, "is a directory, not a file of events\n");
    refused(
        "array.json",
        Some(b"[{\"a\":1},"),
        "error: /array.json is no file of events\n  because: line 1: the array does not end",
    );
    refused(
        "cut.ndjson.gz",
        Some(&gzip(|encoder| encoder.write_all(&b"x".repeat(100_000)).unwrap())[..60]),
        "error: /cut.ndjson.gz is no file of events\n",
    );
    for (name, begin) in [("table.parquet.gz", b"PAR1\x15\x04"), ("table.arrow.gz", b"ARROW1")] {
        let error = format!("error: /{name} is a Parquet or Arrow file that was compressed once more\n");
        refused(name, Some(&gzip(|encoder| encoder.write_all(begin).unwrap())), &error);
    }
}

/// INV-04: nothing grows without a bound.
#[test]
fn a_compression_bomb_is_stopped_early() {
    let zeros = vec![b' '; 1 << 20];
    let bomb = gzip(|encoder| {
        for _ in 0..150 {
            encoder.write_all(&zeros).unwrap();
        }
    });
    refused("bomb.ndjson.gz", Some(&bomb), "this looks like a decompression bomb");
    let letters = vec![b'x'; 1 << 20];
    let one_line = gzip(|encoder| {
        for _ in 0..150 {
            encoder.write_all(&letters).unwrap();
        }
    });
    refused("line.ndjson.gz", Some(&one_line), "this looks like a decompression bomb");
}
