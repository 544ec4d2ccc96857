//! The log on a real disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Storage;
use crate::error::Error;

/// The name of the file whose lock says that the folder is in use. It stays when the process ends; the lock does not.
const LOCK_NAME: &str = "wal.lock";

/// A folder on disk, locked against a second owner for as long as this value lives.
#[derive(Debug)]
pub struct FileStorage {
    folder: PathBuf,
    /// The file last written to. It stays open until another one is written, because an error of writing back is
    /// only certain to be told to a handle that was open when it happened.
    writing: Option<(String, File)>,
    _lock: File,
}

impl FileStorage {
    /// Opens the folder, creating it if need be, and locks it.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        create_durably(&folder).map_err(|source| Error::OpeningFolder { path: folder.clone(), source })?;
        let path = folder.join(LOCK_NAME);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| Error::Locking { path: path.clone(), source })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, writing: None, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::AlreadyLocked { path }),
            Err(TryLockError::Error(source)) => Err(Error::Locking { path, source }),
        }
    }

    /// The handle for writing `name`, opened if it is not the file written to last.
    fn writing(&mut self, name: &str) -> io::Result<&mut File> {
        let kept = self.writing.take().filter(|(open, _)| open == name);
        let entry = match kept {
            Some(entry) => entry,
            None => (name.to_owned(), OpenOptions::new().append(true).open(self.folder.join(name))?),
        };
        Ok(&mut self.writing.insert(entry).1)
    }
}

impl Storage for FileStorage {
    type File = File;

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            // A name that is not UTF-8 is no segment of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.folder.join(name))
    }

    fn bytes(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.folder.join(name))?.len())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let file = OpenOptions::new().append(true).create_new(true).open(self.folder.join(name))?;
        self.writing = Some((name.to_owned(), file));
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.writing(name)?.write_all(bytes)
    }

    fn set_len(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.writing(name)?.set_len(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.writing(name)?.sync_data()
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        sync_folder(&self.folder)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.writing = self.writing.take().filter(|(open, _)| open != name);
        fs::remove_file(self.folder.join(name))
    }
}

/// Creates the folder and whatever is missing above it; each new name is synced in the folder that holds it, or a
/// power loss could take the whole log with it.
fn create_durably(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    create_durably(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_folder(above)
}

/// Only Unix can sync a folder; elsewhere the file system orders names by itself.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
