//! Batches on disk: one file each, complete or not there, the oldest sent first.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::event::Kind;
use crate::settings::Spill;

/// The directory and what is in it.
#[derive(Debug)]
pub(crate) struct Spilled {
    directory: PathBuf,
    bytes_max: u64,
    bytes: u64,
    next: u64,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) kind: Kind,
    pub(crate) lines: Vec<Vec<u8>>,
    path: PathBuf,
    bytes: u64,
}

impl Spilled {
    /// Opens the directory; says how many events earlier processes left in it.
    pub(crate) fn open(spill: &Spill) -> io::Result<(Self, usize)> {
        fs::create_dir_all(&spill.directory)?;
        let mut spilled = Self { directory: spill.directory.clone(), bytes_max: spill.bytes, bytes: 0, next: 0 };
        let mut events = 0;
        for path in spilled.files()? {
            let content = fs::read(&path)?;
            events += lines_of(&content).count();
            spilled.bytes += content.len() as u64;
            spilled.next = spilled.next.max(number(&path).map_or(0, |number| number + 1));
        }
        Ok((spilled, events))
    }

    /// Puts a batch aside; false if there is no room for it.
    pub(crate) fn put(&mut self, kind: Kind, lines: &[Vec<u8>]) -> io::Result<bool> {
        let bytes = lines.iter().map(|line| line.len() as u64 + 1).sum::<u64>();
        if self.bytes + bytes > self.bytes_max {
            return Ok(false);
        }
        let name = format!("{:016}.{}", self.next, suffix(kind));
        let (path, unfinished) = (self.directory.join(&name), self.directory.join(format!("{name}.unfinished")));
        let mut file = fs::File::create(&unfinished)?;
        for line in lines {
            file.write_all(line)?;
            file.write_all(b"\n")?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        self.next += 1;
        self.bytes += bytes;
        Ok(true)
    }

    /// The oldest batch.
    pub(crate) fn oldest(&self) -> io::Result<Option<Batch>> {
        let Some(path) = self.files()?.into_iter().next() else { return Ok(None) };
        let content = fs::read(&path)?;
        let lines = lines_of(&content).map(<[u8]>::to_vec);
        let kind =
            if path.extension().is_some_and(|suffix| suffix == "outputs") { Kind::Output } else { Kind::Retrieval };
        Ok(Some(Batch { kind, lines: lines.collect(), bytes: content.len() as u64, path }))
    }

    /// A batch was sent.
    pub(crate) fn remove(&mut self, batch: &Batch) -> io::Result<()> {
        fs::remove_file(&batch.path)?;
        self.bytes = self.bytes.saturating_sub(batch.bytes);
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let ours = path.extension().is_some_and(|suffix| suffix == "outputs" || suffix == "retrievals");
            if ours && number(&path).is_some() {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }
}

fn lines_of(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn suffix(kind: Kind) -> &'static str {
    match kind {
        Kind::Retrieval => "retrievals",
        Kind::Output => "outputs",
    }
}

fn number(path: &std::path::Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_come_back_in_their_order_and_within_their_room() {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill { directory: directory.path().to_owned(), bytes: 12 };
        let (mut spilled, left) = Spilled::open(&spill).unwrap();
        assert_eq!(left, 0);
        assert!(spilled.put(Kind::Retrieval, &[b"{1}".to_vec()]).unwrap());
        assert!(spilled.put(Kind::Output, &[b"{2}".to_vec(), b"{3}".to_vec()]).unwrap());
        assert!(!spilled.put(Kind::Output, &[b"{4}".to_vec()]).unwrap(), "there is no room left");
        let (mut again, left) = Spilled::open(&spill).unwrap();
        assert_eq!(left, 3);
        let first = again.oldest().unwrap().unwrap();
        assert_eq!((first.kind, first.lines.as_slice()), (Kind::Retrieval, &[b"{1}".to_vec()][..]));
        again.remove(&first).unwrap();
        assert_eq!(again.oldest().unwrap().unwrap().lines.len(), 2);
        assert!(again.put(Kind::Output, &[b"{5}".to_vec()]).unwrap(), "what was sent makes room");
    }
}
