//! One source as events, whatever its form: cut, unpacked or read as a table, on a thread of its own.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidemark_collector::Compression;
use tidemark_collector::decode::tabular::{self, RowLimits, Table};
use tidemark_collector::decode::{EventDraft, Kind, Limits, Piece, Pieces, Rejection, read_json, trec};
use tokio::sync::mpsc;

use super::looks::looks_like;
use super::{CHUNK, Error, Form, Item, Options, Source};

/// A file may become this large without a further look …
const UNSUSPICIOUS_BYTES: u64 = 64 * 1024 * 1024;
/// … and beyond it this many times its compressed size. Repetitive logs reach 100; gzip of nothing but zeros 1,000.
const EXPANSION_MAX: u64 = 300;
/// Bytes of a batch of Arrow IPC whose buffers are compressed, as those of Feather files are.
const DECOMPRESSED_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes of events that are handed on at a time, if they are fewer than [`CHUNK`].
const CHUNK_BYTES: u64 = 16 * 1024 * 1024;
/// What a document of a run takes in memory, about.
const DOCUMENT_BYTES: u64 = 256;
/// What some programs write before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// A table from standard input has to be held in memory as a whole.
const HELD_BYTES: u64 = 1024 * 1024 * 1024;
const BUFFER: usize = 1 << 16;

/// Reads a source to its end; stops when nobody takes the chunks any more.
pub(super) fn read_events(
    source: &Source,
    options: &Options,
    read: &Arc<AtomicU64>,
    chunks: &mpsc::Sender<Vec<Item>>,
) -> Result<(), Error> {
    let path = source.name();
    let mut reader =
        Reader { path, limits: options.limits, kind: Kind::Retrieval, chunk: Vec::new(), bytes: 0, chunks };
    let outcome = by_form(source, options, read, &mut reader);
    // What came before the damage is good and is kept.
    reader.send();
    match outcome {
        Err(Stop::Failed(error)) => Err(error),
        Ok(()) | Err(Stop::Unwanted) => Ok(()),
    }
}

/// Why reading ends before its end.
enum Stop {
    Failed(Error),
    /// Nobody takes what is read any more.
    Unwanted,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn by_form(source: &Source, options: &Options, read: &Arc<AtomicU64>, reader: &mut Reader<'_>) -> Result<(), Stop> {
    let path = reader.path.clone();
    let failed = |source| Error::Open { path: path.clone(), source };
    let table = |source| Error::Table { path: path.clone(), source };
    let mut input = BufReader::with_capacity(BUFFER, open(source, read.clone())?);
    let first = input.fill_buf().map_err(failed)?;
    if first.is_empty() {
        return Err(Error::Empty(path).into());
    }
    let asked = |form: Form| options.form.is_none_or(|asked| asked == form);
    if tabular::is_parquet(first) && asked(Form::Parquet) {
        let content = match seekable(source, input).map_err(failed)? {
            Seekable::File(file) => tabular::parquet_file(file),
            Seekable::Held(bytes) => tabular::parquet_file(Bytes::from(bytes)),
        };
        return reader.table(content.map_err(table)?);
    }
    if tabular::is_ipc_file(first) && asked(Form::Arrow) {
        let content = match seekable(source, input).map_err(failed)? {
            Seekable::File(file) => tabular::ipc_file(BufReader::new(file), DECOMPRESSED_MAX),
            Seekable::Held(bytes) => tabular::ipc_file(Cursor::new(bytes), DECOMPRESSED_MAX),
        };
        return reader.table(content.map_err(table)?);
    }
    let mut content = decompressed(input, read.clone()).map_err(failed)?;
    let first = content.fill_buf().map_err(failed)?;
    if tabular::is_ipc_stream(first) && asked(Form::Arrow) {
        return reader.table(tabular::ipc_stream(content, DECOMPRESSED_MAX).map_err(table)?);
    }
    match options.form {
        Some(Form::Parquet | Form::Arrow) => {
            Err(Error::Form { path, form: options.form.map_or("", Form::name) }.into())
        }
        None if tabular::is_parquet(first) || tabular::is_ipc_file(first) => Err(Error::Packed(path).into()),
        Some(Form::Trec) => reader.run(content, options),
        None if trec::is_run(first) => reader.run(content, options),
        None if trec::is_judgements(first) => Err(Error::Qrels(path).into()),
        Some(Form::Json) => reader.pieces(content),
        None => match looks_like(first) {
            Some(looks) => Err(Error::LooksLike { path, looks }.into()),
            None => reader.pieces(content),
        },
    }
}

/// The text of a source: without compression, and without a mark of the order of its bytes.
pub(super) fn text(source: &Source) -> Result<impl BufRead, Error> {
    let path = source.name();
    let failed = |source| Error::Open { path: path.clone(), source };
    let read = Arc::new(AtomicU64::new(0));
    let input = BufReader::with_capacity(BUFFER, open(source, read.clone())?);
    decompressed(input, read).map_err(failed)
}

fn decompressed<'a>(mut input: impl BufRead + 'a, read: Arc<AtomicU64>) -> io::Result<impl BufRead + 'a> {
    let compression = Compression::of(input.fill_buf()?);
    let guarded = Guarded { content: compression.reader(input)?, produced: 0, read };
    let mut content = BufReader::with_capacity(BUFFER, guarded);
    if content.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        content.consume(BYTE_ORDER_MARK.len());
    }
    Ok(content)
}

/// A source on its way to those who judge its events.
struct Reader<'a> {
    path: PathBuf,
    limits: Limits,
    /// Files mostly hold one kind, so the kind of the event before is tried first.
    kind: Kind,
    chunk: Vec<Item>,
    /// Of the events in the chunk, as they were read.
    bytes: u64,
    chunks: &'a mpsc::Sender<Vec<Item>>,
}

impl Reader<'_> {
    fn pieces(&mut self, content: impl BufRead) -> Result<(), Stop> {
        for piece in Pieces::new(content, self.limits.event_bytes) {
            let piece = piece.map_err(|source| Error::Content { path: self.path.clone(), source })?;
            match piece {
                Piece::TooLong { line, bytes } => {
                    let reason = format!("the event has {bytes} bytes, the limit is {}", self.limits.event_bytes);
                    self.push(line, Err(Rejection { field: None, reason, malformed: false }))?;
                }
                Piece::Event { line, bytes } => self.event(line, &bytes)?,
            }
        }
        Ok(())
    }

    fn table(&mut self, table: Table<'_>) -> Result<(), Stop> {
        let path = self.path.clone();
        let failed = |source| Error::Table { path: path.clone(), source };
        self.kind = table.kind().unwrap_or(self.kind);
        let limits = RowLimits { row: self.limits.event_bytes, table: u64::MAX };
        let rows = table.rows(self.kind, limits).map_err(failed)?;
        self.chunk.push(Item::Table { ignored_columns: rows.ignored().len() });
        let (mut rows, mut spent) = (rows, 0);
        for number in 1.. {
            let Some(row) = rows.next() else { break };
            self.bytes += rows.spent() - spent;
            spent = rows.spent();
            self.push(number, row.map_err(failed)?)?;
        }
        Ok(())
    }

    fn run(&mut self, content: impl BufRead, options: &Options) -> Result<(), Stop> {
        let run = options.run.as_ref().ok_or_else(|| Error::RunWithoutCorpus(self.path.clone()))?;
        let path = self.path.clone();
        let mut taken = Ok(());
        let mut refuse = |line, rejection| {
            if taken.is_ok() {
                taken = self.push(line, Err(rejection));
            }
        };
        let queries = trec::queries(content, run, options.limits.results, &mut refuse)
            .map_err(|source| Error::Run { path, source })?;
        taken?;
        for (line, query) in queries {
            // A line of a document is about as long as what becomes of it is large.
            self.bytes += DOCUMENT_BYTES * query.as_ref().map_or(0, EventDraft::documents) as u64;
            self.push(line, query)?;
        }
        Ok(())
    }

    fn event(&mut self, line: u64, bytes: &[u8]) -> Result<(), Stop> {
        let draft = read_json(bytes, self.kind).or_else(|rejection| match Kind::of(bytes) {
            Some(other) if other != self.kind => {
                self.kind = other;
                read_json(bytes, other)
            }
            _ => Err(rejection),
        });
        self.bytes += bytes.len() as u64;
        self.push(line, draft)
    }

    fn push(&mut self, line: u64, draft: Result<EventDraft, Rejection>) -> Result<(), Stop> {
        self.chunk.push(Item::Event { line, draft });
        let room = self.chunk.len() < CHUNK && self.bytes < CHUNK_BYTES;
        if room || self.send() { Ok(()) } else { Err(Stop::Unwanted) }
    }

    /// Whether it was taken.
    fn send(&mut self) -> bool {
        self.bytes = 0;
        let chunk = std::mem::take(&mut self.chunk);
        chunk.is_empty() || self.chunks.blocking_send(chunk).is_ok()
    }
}

/// A table is read from its end, so it has to be a file or be held in memory.
enum Seekable {
    File(File),
    Held(Vec<u8>),
}

fn seekable(source: &Source, mut input: impl Read) -> io::Result<Seekable> {
    match source {
        Source::File(path) => {
            let mut file = File::open(path)?;
            // A pipe has a path too.
            if file.metadata()?.is_file() {
                file.rewind()?;
                return Ok(Seekable::File(file));
            }
        }
        Source::StandardInput => {}
    }
    let mut bytes = Vec::new();
    input.by_ref().take(HELD_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > HELD_BYTES {
        return Err(io::Error::other(format!("it has more than {HELD_BYTES} bytes; save it as a file and name that")));
    }
    Ok(Seekable::Held(bytes))
}

fn open(source: &Source, read: Arc<AtomicU64>) -> Result<Counted<Box<dyn Read>>, Error> {
    let input: Box<dyn Read> = match source {
        Source::StandardInput => Box::new(io::stdin()),
        Source::File(path) => {
            let failed = |source| Error::Open { path: path.clone(), source };
            let file = File::open(path).map_err(failed)?;
            if file.metadata().map_err(failed)?.is_dir() {
                return Err(Error::Directory(path.clone()));
            }
            Box::new(file)
        }
    };
    Ok(Counted { input, read })
}

struct Counted<R> {
    input: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Ends a stream that grows out of all proportion to what was read for it.
struct Guarded<R> {
    content: R,
    produced: u64,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.produced += count as u64;
        let read = self.read.load(Ordering::Relaxed);
        if self.produced > UNSUSPICIOUS_BYTES && self.produced / read.max(1) > EXPANSION_MAX {
            return Err(io::Error::other(format!(
                "{read} compressed bytes became more than {} bytes: this looks like a decompression bomb",
                self.produced
            )));
        }
        Ok(count)
    }
}
