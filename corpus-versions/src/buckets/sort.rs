//! Entries in the order of their places, however many there are: runs are sorted in memory, put aside in a temporary file,
//! and merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;

use crate::encoding::{encode, put_framed, split_framed};
use crate::error::Error;
use crate::manifest::ManifestEntry;
use crate::merkle::{Place, Placed, place_of};

/// Read ahead from each run while they are merged.
const READ_BYTES: usize = 32 * 1024;

/// Takes entries in any order.
pub(super) struct Sorter {
    run: Run,
    run_bytes: usize,
    scratch: Vec<u8>,
    spilled: Option<Spilled>,
    entries: u64,
}

/// Entries in memory: their encodings one behind another, each behind its length, and where each stands in the tree and
/// in the bytes.
#[derive(Default)]
struct Run {
    bytes: Vec<u8>,
    entries: Vec<(Place, usize)>,
}

struct Spilled {
    file: Arc<File>,
    runs: Vec<Range<u64>>,
}

impl Sorter {
    /// `run_bytes` is what is held in memory until it is sorted and put aside.
    pub(super) fn new(run_bytes: usize) -> Self {
        Self { run: Run::default(), run_bytes, scratch: Vec::new(), spilled: None, entries: 0 }
    }

    /// How many entries it was given.
    pub(super) fn len(&self) -> u64 {
        self.entries
    }

    pub(super) fn push(&mut self, entry: &ManifestEntry) -> Result<(), Error> {
        self.scratch.clear();
        encode(entry, &mut self.scratch);
        self.run.entries.push((place_of(&entry.doc_id), self.run.bytes.len()));
        put_framed(&self.scratch, &mut self.run.bytes);
        self.entries += 1;
        if self.run.bytes.len() + self.run.entries.len() * size_of::<(Place, usize)>() < self.run_bytes {
            return Ok(());
        }
        self.spill().map_err(|source| Error::SortEntries { source })
    }

    fn spill(&mut self) -> io::Result<()> {
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            none => none.insert(Spilled { file: Arc::new(tempfile::tempfile()?), runs: Vec::new() }),
        };
        let start = spilled.runs.last().map_or(0, |last| last.end);
        let mut out = BufWriter::new(spilled.file.as_ref());
        self.run.sort();
        for (place, framed) in self.run.framed() {
            out.write_all(place)?;
            out.write_all(framed)?;
        }
        out.flush()?;
        drop(out);
        spilled.runs.push(start..spilled.file.as_ref().stream_position()?);
        self.run.bytes.clear();
        self.run.entries.clear();
        Ok(())
    }

    /// The entries in the order of their places. Equal places, which are equal ids, follow each other.
    pub(super) fn finish(mut self) -> Result<Merge, Error> {
        self.run.sort();
        let mut runs = vec![Source::Memory { run: self.run, next: 0 }];
        if let Some(Spilled { file, runs: spilled }) = self.spilled {
            runs.extend(spilled.into_iter().map(|range| {
                let section = Section { file: Arc::clone(&file), range };
                Source::File(BufReader::with_capacity(READ_BYTES, section))
            }));
        }
        let mut merge = Merge { heads: BinaryHeap::new(), runs };
        for run in 0..merge.runs.len() {
            if let Some(entry) = merge.read(run)? {
                merge.heads.push(Reverse((entry, run)));
            }
        }
        Ok(merge)
    }
}

impl Run {
    fn sort(&mut self) {
        self.entries.sort_unstable();
    }

    fn framed(&self) -> impl Iterator<Item = (&Place, &[u8])> {
        self.entries.iter().filter_map(|(place, start)| {
            let bytes = self.bytes.get(*start..)?;
            let (_, after) = split_framed(bytes)?;
            Some((place, bytes.get(..bytes.len() - after.len())?))
        })
    }
}

/// The entries of all runs, the first place first.
pub(super) struct Merge {
    heads: BinaryHeap<Reverse<(Placed, usize)>>,
    runs: Vec<Source>,
}

impl Merge {
    fn read(&mut self, run: usize) -> Result<Option<Placed>, Error> {
        let Some(run) = self.runs.get_mut(run) else { return Ok(None) };
        run.next().transpose().map_err(|source| Error::SortEntries { source })
    }
}

impl Iterator for Merge {
    type Item = Result<Placed, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let run = self.heads.peek()?.0.1;
        let following = match self.read(run) {
            Ok(following) => following,
            Err(error) => {
                self.heads.clear();
                return Some(Err(error));
            }
        };
        let mut head = self.heads.peek_mut()?;
        let entry = match following {
            Some(following) => std::mem::replace(&mut head.0.0, following),
            None => PeekMut::pop(head).0.0,
        };
        Some(Ok(entry))
    }
}

/// A sorted run.
enum Source {
    Memory { run: Run, next: usize },
    File(BufReader<Section>),
}

impl Iterator for Source {
    type Item = io::Result<Placed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Memory { run, next } => {
                let (place, start) = *run.entries.get(*next)?;
                *next += 1;
                let (encoding, _) = split_framed(run.bytes.get(start..)?)?;
                Some(Ok((place, encoding.to_vec())))
            }
            Self::File(reader) => read_entry(reader).transpose(),
        }
    }
}

fn read_entry(reader: &mut BufReader<Section>) -> io::Result<Option<Placed>> {
    if reader.buffer().is_empty() && reader.get_ref().range.is_empty() {
        return Ok(None);
    }
    let (mut place, mut length) = ([0; 32], [0; 4]);
    reader.read_exact(&mut place)?;
    reader.read_exact(&mut length)?;
    let mut encoding = vec![0; usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?];
    reader.read_exact(&mut encoding)?;
    Ok(Some((place, encoding)))
}

/// A part of a file that several readers share, one at a time.
struct Section {
    file: Arc<File>,
    range: Range<u64>,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.as_ref();
        file.seek(SeekFrom::Start(self.range.start))?;
        let read = file.take(self.range.end - self.range.start).read(buffer)?;
        self.range.start += read as u64;
        Ok(read)
    }
}
