//! Who may depend on whom, and under which licence.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::root;

fn metadata() -> Metadata {
    MetadataCommand::new().current_dir(root()).other_options(["--locked".to_owned()]).exec().unwrap()
}

fn members(metadata: &Metadata) -> Vec<&Package> {
    metadata.workspace_packages()
}

fn uses(package: &Package) -> impl Iterator<Item = &str> {
    package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal).map(|d| d.name.as_str())
}

#[test]
fn the_graph_of_our_crates_is_the_one_that_was_agreed() {
    let metadata = metadata();
    let ours: BTreeSet<&str> = members(&metadata).iter().map(|package| package.name.as_str()).collect();
    let lines = members(&metadata).into_iter().map(|package| {
        let of_ours: BTreeSet<&str> = uses(package).filter(|name| ours.contains(name)).collect();
        format!("{} <- {}", package.name, of_ours.into_iter().collect::<Vec<_>>().join(", "))
    });
    let lines: BTreeSet<String> = lines.collect();
    insta::assert_snapshot!(lines.into_iter().collect::<Vec<_>>().join("\n"), @"");
}

#[test]
fn each_heavy_dependency_has_its_one_door() {
    let doors = BTreeMap::from([
        ("deltalake", vec!["tidemark-lake"]),
        ("datafusion", vec![]),
        ("object_store", vec!["tidemark-lake", "tidemark-corpus"]),
        ("parquet", vec!["tidemark-corpus"]),
        ("axum", vec!["tidemark-api"]),
        ("utoipa", vec!["tidemark-api"]),
        ("clap", vec!["tidemark-api"]),
        ("statrs", vec!["tidemark-stats"]),
        ("ndarray", vec!["tidemark-stats"]),
    ]);
    for package in members(&metadata()) {
        for name in uses(package) {
            if let Some(allowed) = doors.get(name) {
                assert!(
                    allowed.contains(&package.name.as_str()),
                    "{} uses {name}, whose door is {allowed:?}",
                    package.name
                );
            }
        }
    }
}

#[test]
fn leaves_know_neither_a_runtime_nor_a_file_format_of_others() {
    let forbidden = ["tokio", "axum", "deltalake", "object_store", "parquet", "chrono-tz"];
    for package in members(&metadata()) {
        if ["tidemark-schema", "tidemark-wal", "tidemark-stats"].contains(&package.name.as_str()) {
            let found: Vec<&str> = uses(package).filter(|name| forbidden.contains(name)).collect();
            assert!(found.is_empty(), "{} uses {found:?}", package.name);
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
    let metadata = metadata();
    let unknown: Vec<String> = metadata
        .packages
        .iter()
        .filter(|package| {
            let licence = package.license.as_deref().unwrap_or("none");
            !may_use(licence, &permissive)
        })
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
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
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} does not take the lints", package.name);
    }
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
}
