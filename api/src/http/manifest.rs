//! A manifest from the body of a request: NDJSON, compressed or not.
//!
//! What it may take of memory: the body as it was sent (64 MiB by default), one buffer of the decompressor, and some 50 MiB
//! to sort its entries, which are spilled to a temporary file. It is decompressed as it is read, so the 256 MiB that it may have are never in memory
//! at once. Parquet is refused: its decoder takes a file at its word about how much memory it needs, so that it is read
//! only from files that an operator names.

use std::io::{self, BufRead, BufReader, Read};

use tidemark_collector::Compression;
use tidemark_corpus::{EncodedManifest, Error, encode_ndjson};

use super::app::Limits;
use super::problem::{MALFORMED, Problem, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE};

/// With these four bytes every Parquet file begins.
const PARQUET: &[u8] = b"PAR1";

/// Reads the manifest; meant for a blocking thread.
pub(crate) fn read(bytes: &[u8], compression: Compression, limits: &Limits) -> Result<EncodedManifest, Problem> {
    if bytes.is_empty() {
        let hint = "send the manifest as NDJSON, one entry per line";
        return Err(Problem::new(&MALFORMED, "the body is empty").hint(hint));
    }
    let content = compression.reader(bytes).map_err(|error| broken(&error))?;
    let mut content = BufReader::new(Bounded::new(content, limits.manifest_content_bytes));
    let manifest = match content.fill_buf() {
        Ok(start) if start.starts_with(PARQUET) => Err(parquet()),
        Ok(_) => encode_ndjson(&mut content, limits.manifest_entries).map_err(refused),
        Err(error) => Err(broken(&error)),
    };
    if content.get_ref().exceeded {
        let limit = limits.manifest_content_bytes;
        return Err(too_large(format!("the manifest is larger than {limit} bytes after decompression")));
    }
    manifest
}

fn parquet() -> Problem {
    let detail = "the body is Parquet, and a manifest over HTTP is NDJSON, plain or compressed";
    let hint = "send NDJSON, or use `tidemark corpus register` on the machine of the store: it reads Parquet files";
    Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail).hint(hint)
}

fn refused(error: Error) -> Problem {
    match &error {
        // The body is in memory, so what cannot be read is the sender's compression.
        Error::ReadLine { source, .. } => broken(source),
        Error::TooManyEntries { .. } => too_large(error.to_string()),
        _ => Problem::from(error),
    }
}

fn too_large(detail: String) -> Problem {
    Problem::new(&TOO_LARGE, detail).hint("use `tidemark corpus register` on the machine of the store: it takes more")
}

fn broken(error: &io::Error) -> Problem {
    Problem::new(&MALFORMED, "the body cannot be decompressed")
        .caused_by(error)
        .hint("check that the body is complete and compressed as Content-Encoding says")
}

/// A reader that fails beyond a limit, and remembers that it did.
struct Bounded<R> {
    reader: R,
    left: u64,
    exceeded: bool,
}

impl<R> Bounded<R> {
    fn new(reader: R, limit: u64) -> Self {
        Self { reader, left: limit, exceeded: false }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let Some(left) = self.left.checked_sub(read as u64) else {
            self.exceeded = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.left = left;
        Ok(read)
    }
}
