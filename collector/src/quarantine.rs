//! Records of the log that cannot be read are set aside, so that nothing acknowledged vanishes without a trace.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tidemark_wal::Record;

const FILES_MAX: usize = 100;
const BYTES_MAX: u64 = 16 * 1024 * 1024;
const PREFIX: &str = "unreadable-";
const SUFFIX: &str = ".json";

/// The records set aside in one directory.
#[derive(Debug)]
pub(crate) struct Quarantine {
    directory: PathBuf,
    files: usize,
    bytes: u64,
}

impl Quarantine {
    /// Counts what earlier starts have left in `directory`, which the log makes if it is not there yet.
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        let mut quarantine = Self { directory, files: 0, bytes: 0 };
        let entries = match fs::read_dir(&quarantine.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(quarantine),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
                quarantine.files += 1;
                quarantine.bytes += entry.metadata()?.len();
            }
        }
        Ok(quarantine)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Keeps a record, durably, unless enough are kept already.
    pub(crate) fn keep(&mut self, record: &Record) -> io::Result<()> {
        let path = self.directory.join(format!("{PREFIX}{}{SUFFIX}", record.sequence));
        let bytes = record.payload.len() as u64;
        let room = self.files < FILES_MAX && self.bytes.saturating_add(bytes) <= BYTES_MAX;
        if room && !path.try_exists()? {
            let unfinished = self.directory.join("unreadable.new");
            let mut file = File::create(&unfinished)?;
            file.write_all(&record.payload)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.directory)?.sync_all()?;
            self.files += 1;
            self.bytes += bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tidemark_wal::Sequence;

    use super::*;

    #[test]
    fn records_are_kept_up_to_a_bound() {
        let directory = tempfile::tempdir().unwrap();
        let mut quarantine = Quarantine::open(directory.path().to_owned()).unwrap();
        let record = |number: u64, payload: &[u8]| Record {
            sequence: Sequence::try_from(number).unwrap(),
            payload: payload.to_owned(),
        };
        for _ in 0..2 {
            quarantine.keep(&record(7, b"\xff")).unwrap();
        }
        assert_eq!(fs::read(directory.path().join("unreadable-7.json")).unwrap(), b"\xff");
        quarantine.keep(&record(8, &vec![0; 17 * 1024 * 1024])).unwrap();
        for number in 9..300 {
            quarantine.keep(&record(number, b"x")).unwrap();
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), FILES_MAX);
        let again = Quarantine::open(directory.path().to_owned()).unwrap();
        assert_eq!((again.files, again.bytes), (FILES_MAX, 100));
    }
}
