//! A file whose end is an end: for events what `corpus-versions/src/read/parquet/ending.rs` is for manifests. The crates that
//! read Parquet have only the vocabulary in common, and that reads no files.

use std::io::{self, ErrorKind, Read};

use bytes::Bytes;
use parquet::errors::Result;
use parquet::file::reader::{ChunkReader, Length};

/// How often one reader may be asked for bytes behind the end before it refuses. A reader that comes to the end by itself
/// asks once.
const READS_BEHIND_END_MAX: u32 = 16;

/// Refuses to be read behind its end again and again.
///
/// The decoder takes a length in a page header for true and skips that many values, each of them with a read that gives
/// nothing: 2³¹ of them for a list, and as many again for each list in it, out of a file of a thousand bytes.
pub(super) struct Ending<R>(pub(super) R);

impl<R: ChunkReader> Length for Ending<R> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl<R: ChunkReader> ChunkReader for Ending<R> {
    type T = EndingRead<R::T>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(EndingRead { inner: self.0.get_read(start)?, behind_end: 0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.0.get_bytes(start, length)
    }
}

/// A reader of a part of it.
pub(super) struct EndingRead<R> {
    inner: R,
    behind_end: u32,
}

impl<R: Read> Read for EndingRead<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        if count == 0 && !into.is_empty() {
            self.behind_end += 1;
            if self.behind_end > READS_BEHIND_END_MAX {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(count)
    }
}
