//! The headers of pages, looked at before the decoder reads them.

use std::io::Read;

use bytes::Bytes;
use parquet::errors::Result;
use parquet::file::reader::{ChunkReader, Length};

use crate::grammar::PAGE_HEADER;
use crate::refused;
use crate::thrift::{Visitor, walk};

/// A header holds a few numbers, and the least and the greatest value of its page.
const BYTES_MAX: u64 = 1024 * 1024;

/// A file whose pages are read one after the other; each header is walked through before it is given out.
pub(crate) struct Headers<'a, R> {
    pub(crate) input: &'a R,
    pub(crate) page_bytes: u64,
}

impl<R: ChunkReader> Length for Headers<'_, R> {
    fn len(&self) -> u64 {
        self.input.len()
    }
}

impl<R: ChunkReader> ChunkReader for Headers<'_, R> {
    type T = R::T;

    /// Who reads pages one after the other asks in this way for their headers alone.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut sizes = Sizes { file: self.len(), page_bytes: self.page_bytes };
        walk(&mut self.input.get_read(start)?.take(BYTES_MAX), PAGE_HEADER, &mut sizes)?;
        self.input.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.input.get_bytes(start, length)
    }
}

/// The sizes that a header announces (`PageHeader` in
/// <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>).
struct Sizes {
    file: u64,
    page_bytes: u64,
}

const UNCOMPRESSED_PAGE_SIZE: &[i16] = &[2];
const COMPRESSED_PAGE_SIZE: &[i16] = &[3];

impl Visitor for Sizes {
    /// By the format a header holds none. The decoder would skip one that it does not know, and take its length for true.
    const LISTS: bool = false;

    fn number(&mut self, place: &[i16], value: i64) -> Result<()> {
        let limit = match place {
            UNCOMPRESSED_PAGE_SIZE => self.page_bytes,
            COMPRESSED_PAGE_SIZE => self.file,
            _ => return Ok(()),
        };
        match u64::try_from(value) {
            Ok(size) if size <= limit => Ok(()),
            _ => Err(refused(format!("a page says that it has {value} bytes, the limit is {limit}"))),
        }
    }

    fn end(&mut self, _: &[i16]) -> Result<()> {
        Ok(())
    }
}
