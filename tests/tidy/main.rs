//! Rules about the repository itself, each a test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod budget;
mod dependencies;
mod documents;
mod sources;

use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// All files with one of these endings, by their paths from the root; build results and hidden directories left out.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    fn collect(directory: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let skipped =
                name.starts_with('.') || ["target", "data", "snapshots", "tidemark-demo"].contains(&name.as_str());
            if path.is_dir() && !skipped {
                collect(&path, endings, found);
            } else if path.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(&root(), endings, &mut found);
    found.sort();
    let named = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        (name, std::fs::read_to_string(&path).unwrap_or_default())
    };
    found.into_iter().map(named).collect()
}
