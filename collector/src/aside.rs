//! Records of the log that cannot be read are kept aside, so that nothing acknowledged vanishes without a trace.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

const FILES_MAX: usize = 100;
const BYTES_MAX: u64 = 16 * 1024 * 1024;
const PREFIX: &str = "unreadable-";
const SUFFIX: &str = ".json";

/// The records kept aside in one directory.
#[derive(Debug)]
pub(crate) struct Aside {
    directory: PathBuf,
    files: usize,
    bytes: u64,
    /// Everything before this number has been counted; a record that is met again is not counted again.
    counted_before: u64,
}

impl Aside {
    /// Counts what earlier starts have left in `directory`.
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        let mut aside = Self { directory, files: 0, bytes: 0, counted_before: 0 };
        for entry in fs::read_dir(&aside.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
                aside.files += 1;
                aside.bytes += entry.metadata()?.len();
            }
        }
        Ok(aside)
    }

    /// Keeps a record, durably, unless enough are kept already; says whether it is one that was not met before.
    pub(crate) fn keep(&mut self, sequence: u64, payload: &[u8]) -> io::Result<bool> {
        let path = self.directory.join(format!("{PREFIX}{sequence}{SUFFIX}"));
        let bytes = payload.len() as u64;
        let room = self.files < FILES_MAX && self.bytes.saturating_add(bytes) <= BYTES_MAX;
        if room && !path.try_exists()? {
            let unfinished = self.directory.join("unreadable.new");
            let mut file = File::create(&unfinished)?;
            file.write_all(payload)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.directory)?.sync_all()?;
            self.files += 1;
            self.bytes += bytes;
        }
        let new = sequence >= self.counted_before;
        self.counted_before = self.counted_before.max(sequence.saturating_add(1));
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_kept_up_to_a_bound_and_each_is_counted_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut aside = Aside::open(directory.path().to_owned()).unwrap();
        assert!(aside.keep(7, b"\xff").unwrap());
        assert!(!aside.keep(7, b"\xff").unwrap());
        assert_eq!(fs::read(directory.path().join("unreadable-7.json")).unwrap(), b"\xff");
        assert!(aside.keep(8, &vec![0; 17 * 1024 * 1024]).unwrap(), "counted, though it is not kept");
        for sequence in 9..300 {
            assert!(aside.keep(sequence, b"x").unwrap());
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), FILES_MAX);
        let again = Aside::open(directory.path().to_owned()).unwrap();
        assert_eq!((again.files, again.bytes), (FILES_MAX, 100));
    }
}
