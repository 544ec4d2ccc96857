use std::path::{Path, PathBuf};

/// A place for a store and what lies beside it, which is gone at the end of the test.
#[derive(Debug)]
pub struct TemporaryStore {
    directory: tempfile::TempDir,
    path: PathBuf,
}

impl Default for TemporaryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl TemporaryStore {
    /// A place of its own.
    ///
    /// # Panics
    ///
    /// If there is no temporary directory.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let path = directory.path().join("store");
        Self { directory, path }
    }

    /// Where the store lies; it is not there before somebody makes it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same as an argument.
    pub fn data(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// A file beside the store.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
