//! Pages of a file, whose headers are looked at before the decoder is: for events what
//! `corpus-versions/src/read/parquet/page_headers.rs` is for manifests. The crates that read Parquet have only the vocabulary in
//! common, and that reads no files.

use std::io::{self, BufReader, ErrorKind, Read};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Bytes of the end of a file, which is read like a page and has no header.
const FOOTER_BYTES: u64 = 8;
/// A header holds a few numbers, and the least and the greatest value of its page.
const HEADER_BYTES_MAX: u64 = 1024 * 1024;
/// Headers are nested two deep.
const DEPTH_MAX: u32 = 16;

/// Refuses pages whose header holds a list, which none does by the format
/// (<https://github.com/apache/parquet-format>, `PageHeader`).
///
/// The decoder skips lists that it does not know, takes their length for true, and needs no byte for a truth value: a file of a
/// thousand bytes keeps it busy for hours.
pub(super) struct PageHeaders<R>(pub(super) R);

impl<R: ChunkReader> Length for PageHeaders<R> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl<R: ChunkReader> ChunkReader for PageHeaders<R> {
    type T = R::T;

    /// The decoder asks in this way for the headers of pages, and for the footer.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        if start.saturating_add(FOOTER_BYTES) < self.len() {
            let mut header = BufReader::new(self.0.get_read(start)?).take(HEADER_BYTES_MAX);
            match check_struct(&mut header, DEPTH_MAX) {
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    return Err(ParquetError::General(error.to_string()));
                }
                Err(_) if header.limit() == 0 => {
                    let reason = format!("the header of a page is longer than {HEADER_BYTES_MAX} bytes");
                    return Err(ParquetError::General(reason));
                }
                // The decoder says in its own words that a file ends too early.
                Ok(()) | Err(_) => {}
            }
        }
        self.0.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.0.get_bytes(start, length)
    }
}

/// Reads to the end of a struct in Thrift's compact protocol
/// (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>).
fn check_struct(header: &mut impl Read, depth: u32) -> io::Result<()> {
    let refused = |reason: &str| Err(io::Error::new(ErrorKind::InvalidData, reason));
    if depth == 0 {
        return refused("the header of a page is nested too deep");
    }
    loop {
        let field = byte(header)?;
        let (step, kind) = (field >> 4, field & 0x0f);
        if kind == 0 {
            return Ok(());
        }
        if step == 0 {
            number(header)?;
        }
        match kind {
            1 | 2 => {}
            3 => skip(header, 1)?,
            4..=6 => {
                number(header)?;
            }
            7 => skip(header, 8)?,
            8 => {
                let length = number(header)?;
                skip(header, length)?;
            }
            12 => check_struct(header, depth - 1)?,
            _ => return refused("the header of a page holds a list"),
        }
    }
}

fn byte(header: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    header.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// A number in groups of seven bits.
fn number(header: &mut impl Read) -> io::Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let group = byte(header)?;
        number |= u64::from(group & 0x7f) << shift;
        if group & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(io::Error::new(ErrorKind::InvalidData, "the header of a page holds a number of more than 64 bits"))
}

fn skip(header: &mut impl Read, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut header.take(bytes), &mut io::sink())?;
    if skipped < bytes { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
