//! Batches on disk: one file each, complete or not there, the oldest sent first.
//!
//! ```text
//! directory/
//!   ID.lock                     held for as long as the recorder lives
//!   ID.run/                     what this recorder put aside
//!     0000000000000000-500.retrievals     its number, and how many events it holds
//! ```
//!
//! The lock is taken before the folder is made and removed after it, so a folder whose lock is free has no owner: whoever
//! gets the lock sends what is in it. The client for Python does the same, in the same folders.

use std::collections::VecDeque;
use std::fs::{self, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::event::Kind;
use crate::settings::Spill;

/// What a recorder put aside, and what it took over.
#[derive(Debug)]
pub(crate) struct Spilled {
    bytes_max: u64,
    bytes: u64,
    next: u64,
    own: Run,
    adopted: Vec<Run>,
    /// The oldest first.
    files: VecDeque<File>,
}

/// A batch as it was written.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) kind: Kind,
    pub(crate) lines: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    number: u64,
    kind: Kind,
    events: usize,
    bytes: u64,
}

impl Spilled {
    /// Makes a folder for this run, and takes over those that nobody holds.
    pub(crate) fn open(spill: &Spill, run: &str) -> io::Result<Self> {
        fs::create_dir_all(&spill.directory)?;
        let adopted = Run::orphans(&spill.directory)?;
        let own = Run::create(&spill.directory, run)?;
        let mut files = VecDeque::new();
        for run in &adopted {
            files.extend(run.files()?);
        }
        let bytes = files.iter().map(|file: &File| file.bytes).sum();
        Ok(Self { bytes_max: spill.bytes, bytes, next: 0, own, adopted, files })
    }

    /// Events that wait here.
    pub(crate) fn events(&self) -> usize {
        self.files.iter().map(|file| file.events).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Puts a batch aside; false if there is no room for it.
    pub(crate) fn put(&mut self, kind: Kind, lines: &[Vec<u8>]) -> io::Result<bool> {
        if self.bytes + bytes_of(lines) > self.bytes_max {
            return Ok(false);
        }
        let file = File::write(&self.own.directory, self.next, kind, lines)?;
        self.next += 1;
        self.bytes += file.bytes;
        self.files.push_back(file);
        Ok(true)
    }

    /// The oldest batch.
    pub(crate) fn oldest(&self) -> io::Result<Option<Batch>> {
        let Some(file) = self.files.front() else { return Ok(None) };
        let content = fs::read(&file.path)?;
        let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(Some(Batch { kind: file.kind, lines: lines.map(<[u8]>::to_vec).collect() }))
    }

    /// The oldest batch is done, but for the lines that are left.
    pub(crate) fn settle(&mut self, left: &[Vec<u8>]) -> io::Result<()> {
        let Some(done) = self.files.pop_front() else { return Ok(()) };
        if !left.is_empty() {
            let directory = done.path.parent().unwrap_or(&self.own.directory);
            match File::write(directory, done.number, done.kind, left) {
                Ok(file) => {
                    self.bytes += file.bytes;
                    self.files.push_front(file);
                }
                Err(error) => {
                    // Then all of it is sent again: the server knows what it has.
                    self.files.push_front(done);
                    return Err(error);
                }
            }
        }
        self.forget(&done);
        fs::remove_file(&done.path)?;
        let files = &self.files;
        let (kept, drained): (Vec<Run>, Vec<Run>) = std::mem::take(&mut self.adopted)
            .into_iter()
            .partition(|run| files.iter().any(|file| file.path.starts_with(&run.directory)));
        self.adopted = kept;
        drained.into_iter().for_each(Run::end);
        Ok(())
    }

    /// The oldest batch cannot be read: it stays where it is, but is no longer looked at. How many events it holds.
    pub(crate) fn pass_over(&mut self) -> usize {
        let Some(file) = self.files.pop_front() else { return 0 };
        self.forget(&file);
        file.events
    }

    fn forget(&mut self, file: &File) {
        self.bytes = self.bytes.saturating_sub(file.bytes);
    }

    /// Leaves what is still there to whoever comes next.
    pub(crate) fn end(self) {
        self.adopted.into_iter().chain([self.own]).for_each(Run::end);
    }
}

impl File {
    /// Writes it under another name first, so that it is complete or not there.
    fn write(directory: &Path, number: u64, kind: Kind, lines: &[Vec<u8>]) -> io::Result<Self> {
        let name = format!("{number:016}-{}.{}", lines.len(), suffix(kind));
        let (path, unfinished) = (directory.join(&name), directory.join(format!("{name}.unfinished")));
        let written = write_lines(&unfinished, lines).and_then(|()| fs::rename(&unfinished, &path));
        if let Err(error) = written {
            // What is left of it takes room; if it cannot be removed either, whoever comes next will.
            drop(fs::remove_file(&unfinished));
            return Err(error);
        }
        Ok(Self { path, number, kind, events: lines.len(), bytes: bytes_of(lines) })
    }

    /// A file of a folder, if its name is one of ours.
    fn read(path: PathBuf) -> io::Result<Option<Self>> {
        let kind = match path.extension().and_then(|suffix| suffix.to_str()) {
            Some("retrievals") => Kind::Retrieval,
            Some("outputs") => Kind::Output,
            _ => return Ok(None),
        };
        let name = path.file_stem().and_then(|name| name.to_str()?.split_once('-'));
        let Some((Ok(number), Ok(events))) =
            name.map(|(number, events)| (number.parse::<u64>(), events.parse::<usize>()))
        else {
            return Ok(None);
        };
        let bytes = fs::metadata(&path)?.len();
        Ok(Some(Self { path, number, kind, events, bytes }))
    }
}

fn write_lines(path: &Path, lines: &[Vec<u8>]) -> io::Result<()> {
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    for line in lines {
        file.write_all(line)?;
        file.write_all(b"\n")?;
    }
    file.into_inner()?.sync_all()
}

fn bytes_of(lines: &[Vec<u8>]) -> u64 {
    lines.iter().map(|line| line.len() as u64 + 1).sum()
}

fn suffix(kind: Kind) -> &'static str {
    match kind {
        Kind::Retrieval => "retrievals",
        Kind::Output => "outputs",
    }
}

/// The folder of one recorder, held by its lock.
#[derive(Debug)]
struct Run {
    directory: PathBuf,
    lock: PathBuf,
    /// The operating system lets it go with the process, whatever becomes of that.
    _held: fs::File,
}

impl Run {
    fn create(directory: &Path, id: &str) -> io::Result<Self> {
        let taken = || io::Error::other(format!("{id} is taken by another recorder"));
        let run = Self::hold(directory.join(format!("{id}.run")))?.ok_or_else(taken)?;
        fs::create_dir(&run.directory)?;
        Ok(run)
    }

    /// The folders of recorders that are gone, in the order in which those began.
    fn orphans(directory: &Path) -> io::Result<Vec<Self>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|suffix| suffix == "run") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut orphans = Vec::new();
        for path in paths {
            // What cannot be locked, such as the folder of another user, is as good as held.
            orphans.extend(Self::hold(path).ok().flatten());
        }
        Ok(orphans)
    }

    /// Nothing if another recorder holds it.
    fn hold(directory: PathBuf) -> io::Result<Option<Self>> {
        let lock = directory.with_extension("lock");
        let held = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&lock)?;
        match held.try_lock() {
            Ok(()) => Ok(Some(Self { directory, lock, _held: held })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn files(&self) -> io::Result<Vec<File>> {
        let mut files = Vec::new();
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            // Its owner ended while the lock was asked for.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|suffix| suffix == "unfinished") {
                fs::remove_file(path)?;
            } else {
                files.extend(File::read(path)?);
            }
        }
        files.sort_by_key(|file| file.number);
        Ok(files)
    }

    /// Removes the folder if nothing is left in it, and lets it go.
    fn end(self) {
        let gone = match fs::remove_dir(&self.directory) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if gone {
            // An empty file that stays is no harm.
            drop(fs::remove_file(&self.lock));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    fn next(spilled: &Spilled) -> Batch {
        spilled.oldest().unwrap().unwrap()
    }

    #[test]
    fn batches_come_back_in_their_order_and_within_their_room() {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill { directory: directory.path().to_owned(), bytes: 12 };
        let mut first = Spilled::open(&spill, "1").unwrap();
        assert!(first.is_empty());
        assert!(first.put(Kind::Retrieval, &lines(&["{1}"])).unwrap());
        assert!(first.put(Kind::Output, &lines(&["{2}", "{3}"])).unwrap());
        assert!(!first.put(Kind::Output, &lines(&["{4}"])).unwrap(), "there is no room left");
        first.end();
        let mut again = Spilled::open(&spill, "2").unwrap();
        assert_eq!(again.events(), 3);
        assert!(!again.put(Kind::Output, &lines(&["{4}"])).unwrap(), "what was taken over takes room");
        assert_eq!((next(&again).kind, next(&again).lines), (Kind::Retrieval, lines(&["{1}"])));
        again.settle(&[]).unwrap();
        assert_eq!(next(&again).lines, lines(&["{2}", "{3}"]));
        assert!(again.put(Kind::Output, &lines(&["{5}"])).unwrap(), "what was sent makes room");
    }

    #[test]
    fn a_folder_belongs_to_one_recorder_at_a_time_and_is_gone_when_it_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill { directory: directory.path().to_owned(), bytes: 1_000 };
        let mut first = Spilled::open(&spill, "1").unwrap();
        assert!(first.put(Kind::Output, &lines(&["{1}"])).unwrap());
        let mut second = Spilled::open(&spill, "2").unwrap();
        assert!(second.is_empty(), "the first is still there");
        assert!(second.put(Kind::Output, &lines(&["{2}"])).unwrap());
        assert_eq!((next(&first).lines, next(&second).lines), (lines(&["{1}"]), lines(&["{2}"])));
        first.end();
        second.end();
        let mut third = Spilled::open(&spill, "3").unwrap();
        assert_eq!(third.events(), 2);
        third.settle(&[]).unwrap();
        assert_eq!(next(&third).lines, lines(&["{2}"]));
        third.settle(&[]).unwrap();
        third.end();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn of_a_batch_that_was_taken_in_part_the_rest_stays() {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill { directory: directory.path().to_owned(), bytes: 12 };
        let mut spilled = Spilled::open(&spill, "1").unwrap();
        assert!(spilled.put(Kind::Output, &lines(&["{1}", "{2}", "{3}"])).unwrap());
        spilled.settle(&lines(&["{2}"])).unwrap();
        assert_eq!((spilled.events(), next(&spilled).lines), (1, lines(&["{2}"])));
        assert!(spilled.put(Kind::Output, &lines(&["{4}", "{5}"])).unwrap());
        spilled.end();
        let again = Spilled::open(&spill, "2").unwrap();
        assert_eq!((again.events(), next(&again).lines), (3, lines(&["{2}"])));
    }
}
