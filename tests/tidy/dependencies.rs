//! Who may depend on whom, and under which licence.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::root;

/// What `cargo metadata` says. It is asked directly: a crate that reads it would turn on features of others' dependencies,
/// and the tests would be built with another set of them than the binary.
fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        Command::new(cargo).args(["metadata", "--format-version", "1", "--locked"]).current_dir(root()).output();
    serde_json::from_slice(&output.unwrap().stdout).unwrap()
}

/// Our crates.
fn members(metadata: &Value) -> Vec<&Value> {
    let ids = metadata["workspace_members"].as_array().unwrap();
    metadata["packages"].as_array().unwrap().iter().filter(|package| ids.contains(&package["id"])).collect()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

/// The crates that a crate uses outside of its tests.
fn uses(package: &Value) -> Vec<&str> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies.filter(|dependency| dependency["kind"].is_null()).map(name).collect()
}

#[test]
fn the_graph_of_our_crates_is_the_one_that_was_agreed() {
    let metadata = metadata();
    let ours: BTreeSet<&str> = members(&metadata).into_iter().map(name).collect();
    let lines = members(&metadata).into_iter().map(|package| {
        let of_ours: BTreeSet<&str> = uses(package).into_iter().filter(|name| ours.contains(name)).collect();
        format!("{} <- {}", name(package), of_ours.into_iter().collect::<Vec<_>>().join(", "))
    });
    let lines: BTreeSet<String> = lines.collect();
    insta::assert_snapshot!(lines.into_iter().collect::<Vec<_>>().join("\n"), @r"
    tidemark-analyzer <- tidemark-corpus, tidemark-lake, tidemark-schema, tidemark-stats
    tidemark-api <- tidemark-analyzer, tidemark-collector, tidemark-corpus, tidemark-lake, tidemark-report, tidemark-schema
    tidemark-client <- tidemark-schema
    tidemark-collector <- tidemark-schema, tidemark-wal
    tidemark-corpus <- tidemark-schema
    tidemark-lake <- tidemark-schema
    tidemark-report <- tidemark-analyzer, tidemark-schema
    tidemark-schema <- 
    tidemark-stats <- 
    tidemark-tests <- 
    tidemark-wal <-
    ");
}

#[test]
fn each_heavy_dependency_has_its_one_door() {
    let doors = BTreeMap::from([
        ("deltalake", vec!["tidemark-lake"]),
        ("datafusion", vec![]),
        ("object_store", vec!["tidemark-lake", "tidemark-corpus"]),
        ("parquet", vec!["tidemark-collector", "tidemark-corpus"]),
        ("opentelemetry-proto", vec!["tidemark-api", "tidemark-collector"]),
        ("axum", vec!["tidemark-api"]),
        ("tonic", vec!["tidemark-api"]),
        ("tonic-types", vec!["tidemark-api"]),
        ("qdrant-client", vec!["tidemark-client"]),
        ("utoipa", vec!["tidemark-api"]),
        ("clap", vec!["tidemark-api"]),
        ("statrs", vec!["tidemark-stats"]),
        ("ndarray", vec!["tidemark-stats"]),
    ]);
    for package in members(&metadata()) {
        for used in uses(package) {
            if let Some(allowed) = doors.get(used) {
                assert!(allowed.contains(&name(package)), "{} uses {used}, whose door is {allowed:?}", name(package));
            }
        }
    }
}

/// A dependency that no source names costs build time and an audit for nothing.
#[test]
fn every_dependency_is_used() {
    let metadata = metadata();
    for package in members(&metadata) {
        let folder = std::path::Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned();
        let folder = folder.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let sources: String = crate::files(&[".rs"])
            .into_iter()
            .filter(|(name, _)| folder.is_empty() || name.starts_with(&format!("{folder}/")))
            .map(|(_, text)| text)
            .collect();
        let unused: Vec<&str> = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .map(name)
            .filter(|name| !sources.contains(&name.replace('-', "_")))
            .collect();
        assert!(unused.is_empty(), "{} names {unused:?} in its manifest and nowhere else", name(package));
    }
}

#[test]
fn leaves_know_neither_a_runtime_nor_a_file_format_of_others() {
    let forbidden = ["tokio", "axum", "deltalake", "object_store", "parquet", "chrono-tz"];
    for package in members(&metadata()) {
        if ["tidemark-schema", "tidemark-wal", "tidemark-stats"].contains(&name(package)) {
            let found: Vec<&str> = uses(package).into_iter().filter(|used| forbidden.contains(used)).collect();
            assert!(found.is_empty(), "{} uses {found:?}", name(package));
        }
    }
}

#[test]
fn every_licence_is_permissive() {
    let permissive = [
        "0BSD",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CDLA-Permissive-2.0",
        "ISC",
        "MIT",
        "MIT-0",
        "Unicode-3.0",
        "Unlicense",
        "Zlib",
        "bzip2-1.0.6",
        "OpenSSL",
    ];
    // A file-level copyleft: it asks nothing of those who use it unchanged. It comes with deltalake (over `dirs`).
    let excepted = ["option-ext"];
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let unknown: Vec<String> = packages
        .filter(|package| !excepted.contains(&name(package)))
        .filter(|package| !may_use(package["license"].as_str().unwrap_or("none"), &permissive))
        .map(|package| format!("{} {}: {}", name(package), package["version"], package["license"]))
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// Whether an SPDX expression can be met with permissive licences alone: all of an `AND`, any of an `OR`.
fn may_use(expression: &str, permissive: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ");
    let all =
        |part: &str| part.split(" AND ").all(|licence| permissive.contains(&licence.trim_matches(['(', ')', ' '])));
    // In `A AND (B OR C)` the alternatives are inside of the brackets; splitting at the conjunction first is right there.
    let any = |part: &str| part.trim_matches(['(', ')', ' ']).split(" OR ").any(all);
    if expression.contains(") AND ") || expression.contains(" AND (") {
        expression.split(" AND ").all(any)
    } else {
        any(&expression)
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace_and_forbids_unsafe_code() {
    for package in members(&metadata()) {
        let manifest = std::fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} does not take the lints", name(package));
    }
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
}
