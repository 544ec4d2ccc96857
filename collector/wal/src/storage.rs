//! The seam between the log and the disk.

mod file;

use std::io;
use std::path::PathBuf;

pub use file::FileStorage;

/// A folder of files that only grow at their end, with the promises a disk gives and no more.
///
/// Two implementations exist: [`FileStorage`], and the faulty disk of the tests, which loses whatever was not synced.
/// Implementors must keep the three rules the log builds on:
///
/// - written bytes are readable at once but survive a power loss only after [`Storage::sync`];
/// - created and removed names survive a power loss only after [`Storage::sync_folder`];
/// - a failed [`Storage::append`] may have written any prefix of its bytes.
pub trait Storage {
    /// An open file to read from.
    type File: io::Read + io::Seek;

    /// What to call a file in a message.
    fn path(&self, name: &str) -> PathBuf;

    /// The names of all files in the folder, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file for reading.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// The length of a file.
    fn bytes(&self, name: &str) -> io::Result<u64>;

    /// Creates an empty file; fails if the name is taken.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Writes at the end of a file.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to its first `bytes` bytes.
    fn set_len(&mut self, name: &str, bytes: u64) -> io::Result<()>;

    /// Makes the content of a file durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Makes created and removed names durable.
    fn sync_folder(&mut self) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}
