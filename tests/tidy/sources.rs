//! Sources stay readable, and stand alone.

use crate::files;

#[test]
fn a_file_has_one_subject_and_at_most_500_lines() {
    let long: Vec<String> = files(&[".rs", ".py"])
        .into_iter()
        .filter(|(_, text)| text.lines().count() > 500)
        .map(|(name, text)| format!("{name}: {} lines", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn nothing_refers_to_a_place_outside_of_the_project() {
    let places = [["..", "/shared"].concat(), ["/wo", "rk/"].concat(), ["/ro", "ot/"].concat()];
    let mut found = Vec::new();
    for (name, text) in files(&[".rs", ".py", ".md", ".toml", ".sh", "run", ".ipynb"]) {
        for place in &places {
            if text.contains(place.as_str()) {
                found.push(format!("{name}: {place}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// INV-07: statistics never read a clock, a random source or a file.
#[test]
fn statistics_never_read_a_clock_a_random_source_or_a_file() {
    let forbidden =
        ["std::fs", "std::time", "SystemTime", "Instant::now", "rand::rng(", "from_os_rng", "std::env", "std::net"];
    for (name, text) in files(&[".rs"]) {
        if name.starts_with("analyzer/stats/src") {
            let found: Vec<&str> = forbidden.into_iter().filter(|word| text.contains(word)).collect();
            assert!(found.is_empty(), "{name} uses {found:?}");
        }
    }
}

/// Rights, tenants and the audit log are the operations' business: what asks them has no other way to a store.
#[test]
fn commands_and_routes_reach_a_store_through_operations_alone() {
    let beneath = ["store.lake", "store.registry", "diff_trace(", "tidemark_analyzer::compare", "Collector::start("];
    for (name, text) in files(&[".rs"]) {
        if name.starts_with("api/src/bin/") || name.starts_with("api/src/http") || name == "api/src/grpc.rs" {
            let found: Vec<&str> = beneath.into_iter().filter(|word| text.contains(word)).collect();
            assert!(found.is_empty(), "{name} uses {found:?}");
        }
    }
}

#[test]
fn nothing_is_left_to_do_in_code() {
    let markers = [["to", "do!("].concat(), ["unimple", "mented!("].concat(), ["FIX", "ME"].concat()];
    for (name, text) in files(&[".rs", ".py"]) {
        for marker in &markers {
            assert!(!text.contains(marker.as_str()), "{name} holds {marker}");
        }
    }
}
