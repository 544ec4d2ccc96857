use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::binary::run;
use crate::store::TemporaryStore;

/// A recording with a known cause: events, manifests, and what a comparison must find.
#[derive(Debug)]
pub struct Recording {
    /// `SET/SCENARIO`.
    pub name: String,
    /// Where its files lie.
    pub directory: PathBuf,
    /// What a comparison must find.
    pub truth: Value,
}

/// All recordings of a set, by name.
///
/// # Panics
///
/// If one cannot be read.
pub fn recordings(set: &str) -> Vec<Recording> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/driftbench").join(set);
    let entries = std::fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut directories: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    directories.sort();
    let read = |directory: PathBuf| {
        let truth =
            std::fs::read(directory.join("truth.json")).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let truth = truth.unwrap_or_else(|| panic!("{} has no truth", directory.display()));
        let scenario = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Recording { name: format!("{set}/{scenario}"), directory, truth }
    };
    directories.into_iter().map(read).collect()
}

impl Recording {
    /// A text of the truth.
    pub fn text(&self, key: &str) -> &str {
        self.truth.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Imports the recording into a store of its own and compares its two windows; gives the report.
    ///
    /// # Panics
    ///
    /// If a command fails.
    pub fn compare(&self) -> Value {
        let store = TemporaryStore::new();
        let data = store.data();
        let file = |name: &str| self.directory.join(name).to_string_lossy().into_owned();
        let done = |arguments: &[&str], codes: &[i32]| {
            let arguments: Vec<&str> = ["--data", &data].into_iter().chain(arguments.iter().copied()).collect();
            let finished = run(&arguments, b"");
            assert!(finished.code.is_some_and(|code| codes.contains(&code)), "{}: {finished:?}", self.name);
            finished.stdout
        };
        done(&["import", &file("retrievals.ndjson.gz"), &file("outputs.ndjson.gz")], &[0]);
        let corpus = self.text("corpus");
        for version in ["v1", "v2"] {
            let manifest = file(&format!("manifest-{version}.ndjson.gz"));
            if Path::new(&manifest).is_file() {
                done(&["corpus", "register", corpus, version, &manifest], &[0]);
            }
        }
        let (reference, current) = (self.text("reference"), self.text("current"));
        let windows = ["--reference", reference, "--current", current, "--format", "json"];
        let report = done(&[&["compare", "--corpus", corpus], windows.as_slice()].concat(), &[0, 3, 4]);
        serde_json::from_str(&report).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}
