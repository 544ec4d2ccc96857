//! The tour of the README, as it is printed there.

use std::path::Path;

use tidemark_tests::{Server, TemporaryStore, run};

#[test]
fn the_readme_shows_what_the_commands_print() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("demo").to_string_lossy().into_owned();
    assert_eq!(run(&["--data", &data, "demo"], b"").code, Some(0));
    let blocks: Vec<&str> = readme.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 3);
    for block in blocks {
        let mut lines = block.lines();
        let command = lines.next().and_then(|line| line.strip_prefix("$ tidemark ")).unwrap();
        let command = command.replace("tidemark-demo", &data);
        let printed = run(&command.split_whitespace().collect::<Vec<_>>(), b"").stdout;
        let mut rest = printed.as_str();
        for line in lines.filter(|line| *line != "…") {
            let found = rest.find(line).unwrap_or_else(|| panic!("`{command}` does not print {line:?} here:\n{rest}"));
            rest = rest.get(found + line.len()..).unwrap_or_default();
        }
    }
}

#[test]
fn the_snippet_for_rust_is_the_example_and_its_event_arrives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let snippet = rust_snippet("README.md");
    let example = std::fs::read_to_string(root.join("collector/client/examples/record.rs")).unwrap();
    assert!(example.ends_with(&snippet), "README.md and the example differ");

    let store = TemporaryStore::new();
    let server = Server::start(store.path());
    // Cargo builds examples beside the tests.
    let built = std::env::current_exe().unwrap();
    let built = built.parent().and_then(Path::parent).unwrap().join("examples").join("record");
    let ended = std::process::Command::new(built).env("TIDEMARK_URL", server.url("")).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    server.stop();
    assert_eq!(run(&["--data", &store.data(), "export"], b"").stdout.lines().count(), 1);
}

/// `tests/python/test_qdrant.py` runs the example, against the engine of Qdrant.
#[test]
fn the_snippet_for_qdrant_is_part_of_its_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let snippet = rust_snippet("collector/client/README.md");
    let example = std::fs::read_to_string(root.join("collector/client/examples/recorded_qdrant.rs")).unwrap();
    let indented: String = snippet.lines().map(|line| ["    ", line, "\n"].concat()).collect();
    assert!(example.contains(&indented), "the README of the client and the example differ");
}

/// The one snippet in Rust of a page.
fn rust_snippet(page: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join(page)).unwrap();
    let snippets = text.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
    let [snippet]: [&str; 1] = snippets.collect::<Vec<_>>().try_into().unwrap();
    snippet.to_owned()
}
