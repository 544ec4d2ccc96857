//! The pages of a file, one after the other: what each announces of its size is looked at before it is decompressed.

use std::io::{Read, sink};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::errors::Result;
use parquet::file::reader::{ChunkReader, Length};

use crate::grammar::PAGE_HEADER;
use crate::refused;
use crate::thrift::{Visitor, walk};

/// A header holds a few numbers, and the least and the greatest value of its page.
const HEADER_BYTES_MAX: u64 = 1024 * 1024;

/// A column chunk whose reader asks for the header of each page, and then for its content.
pub(crate) struct Pages<'a, R> {
    input: &'a R,
    /// Bytes of a page, decompressed.
    page_bytes: u64,
    gzip: bool,
    /// The bytes of the present page that are not compressed: its levels, in the second version of pages.
    plain: AtomicU64,
}

impl<'a, R: ChunkReader> Pages<'a, R> {
    pub(crate) fn of(input: &'a R, page_bytes: u64, gzip: bool) -> Self {
        Self { input, page_bytes, gzip, plain: AtomicU64::new(0) }
    }
}

impl<R: ChunkReader> Length for Pages<'_, R> {
    fn len(&self) -> u64 {
        self.input.len()
    }
}

impl<R: ChunkReader> ChunkReader for Pages<'_, R> {
    type T = R::T;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut sizes = Sizes { file: self.len(), page_bytes: self.page_bytes, plain: 0 };
        walk(&mut self.input.get_read(start)?.take(HEADER_BYTES_MAX), PAGE_HEADER, &mut sizes)?;
        self.plain.store(sizes.plain, Ordering::Relaxed);
        self.input.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.input.get_bytes(start, length)?;
        if self.gzip {
            let plain = usize::try_from(self.plain.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
            check_gzip(bytes.get(plain..).unwrap_or_default(), self.page_bytes)?;
        }
        Ok(bytes)
    }
}

/// The decoder takes what gzip makes of a page, however much that is. Of the other compressions it takes what was announced.
fn check_gzip(compressed: &[u8], limit: u64) -> Result<()> {
    let mut content = MultiGzDecoder::new(compressed).take(limit + 1);
    // What cannot be decompressed, the decoder says in its own words.
    match std::io::copy(&mut content, &mut sink()) {
        Ok(bytes) if bytes > limit => Err(refused(format!("a page has more than {limit} bytes, the limit"))),
        _ => Ok(()),
    }
}

/// The sizes that a header announces (`PageHeader` and `DataPageHeaderV2` in
/// <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>).
struct Sizes {
    file: u64,
    page_bytes: u64,
    plain: u64,
}

const PAGE_TYPE: &[i16] = &[1];
/// Data pages of both versions and dictionaries. The fourth kind, an index, is written by no program, and passed over by the
/// decoder without anybody noticing how many there are.
const PAGE_TYPES: [i64; 3] = [0, 2, 3];
const UNCOMPRESSED_PAGE_SIZE: &[i16] = &[2];
const COMPRESSED_PAGE_SIZE: &[i16] = &[3];
const DEFINITION_LEVELS_BYTE_LENGTH: &[i16] = &[8, 5];
const REPETITION_LEVELS_BYTE_LENGTH: &[i16] = &[8, 6];

impl Visitor for Sizes {
    /// By the format a header holds none. The decoder would skip one that it does not know, and take its length for true.
    const LISTS: bool = false;

    fn text(&mut self, _: &[i16], _: u64) -> Result<()> {
        Ok(())
    }

    fn number(&mut self, place: &[i16], value: i64) -> Result<()> {
        let limit = match place {
            PAGE_TYPE if !PAGE_TYPES.contains(&value) => {
                return Err(refused(format!("a page is of the kind {value}, which holds no values")));
            }
            UNCOMPRESSED_PAGE_SIZE | DEFINITION_LEVELS_BYTE_LENGTH | REPETITION_LEVELS_BYTE_LENGTH => self.page_bytes,
            COMPRESSED_PAGE_SIZE => self.file,
            _ => return Ok(()),
        };
        let size = u64::try_from(value).ok().filter(|size| *size <= limit);
        let too_large =
            || refused(format!("a page says that it has {value} bytes, the limit is {limit}; write smaller pages"));
        let size = size.ok_or_else(too_large)?;
        if matches!(place, DEFINITION_LEVELS_BYTE_LENGTH | REPETITION_LEVELS_BYTE_LENGTH) {
            self.plain += size;
        }
        Ok(())
    }

    fn end(&mut self, _: &[i16]) -> Result<()> {
        Ok(())
    }
}
