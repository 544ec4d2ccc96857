//! Documents say what is true: their links lead somewhere, and each invariant has a test.

use std::path::Path;

use crate::{files, root};

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for (name, text) in files(&[".md"]) {
        let directory = root().join(Path::new(&name).parent().unwrap_or(Path::new("")));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            let path = link.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if !elsewhere && !directory.join(path).try_exists().unwrap() {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn each_invariant_of_the_architecture_is_named_by_a_test_or_listed_as_open() {
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let tests: String = files(&[".rs", ".py"]).into_iter().map(|(_, text)| text).collect();
    let named = |text: &str| -> Vec<String> {
        let parts = text.split("INV-").skip(1);
        parts
            .filter_map(|rest| rest.get(..2))
            .filter(|n| n.chars().all(|c| c.is_ascii_digit()))
            .map(|n| format!("INV-{n}"))
            .collect()
    };
    let (kept, open) = architecture.split_once("### Not kept yet").unwrap_or((&architecture, ""));
    let open = named(open.split("\n#").next().unwrap_or_default());
    assert!(!named(kept).is_empty());
    let missing: Vec<String> =
        named(kept).into_iter().filter(|id| !open.contains(id) && !tests.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
}

#[test]
fn the_readme_names_the_two_commands_and_ci_runs_the_second() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains("cargo run -- demo") && readme.contains("bash tests/run"));
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(ci.contains("bash tests/run"));
}
