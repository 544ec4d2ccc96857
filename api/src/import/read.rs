//! One source as events, whatever its form: cut, unpacked or read as a table, on a thread of its own.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidemark_collector::decode::tabular::{self, RowLimits, Table};
use tidemark_collector::decode::{Context, EventDraft, Kind, Piece, Pieces, Rejection, TextPolicy, read_json, trec};
use tidemark_collector::{Compression, accept};
use tokio::sync::mpsc;

use super::looks::looks_like;
use super::{CHUNK, Decoded, Error, Form, Options, Source};

/// A file may become this large without a further look …
const UNSUSPICIOUS_BYTES: u64 = 64 * 1024 * 1024;
/// … and beyond it this many times its compressed size. Repetitive logs reach 100; gzip of nothing but zeros 1,000.
const EXPANSION_MAX: u64 = 300;
/// Bytes of a batch of Arrow IPC whose buffers are compressed, as those of Feather files are.
const DECOMPRESSED_MAX: u64 = 1024 * 1024 * 1024;
/// Rows of a table one after the other that are no events.
const ROWS_REFUSED_MAX: u64 = 1_000_000;
/// Bytes of events that are handed on at a time, if they are fewer than [`CHUNK`].
const CHUNK_BYTES: u64 = 16 * 1024 * 1024;
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
    chunks: &mpsc::Sender<Vec<Decoded>>,
) -> Result<(), Error> {
    let path = source.name();
    let context = Context { now: None, keys: &options.keys, policy: &options.policy, limits: options.limits };
    let mut taken = Taken { path, context, kind: Kind::Retrieval, chunk: Vec::new(), bytes: 0, refused: 0, chunks };
    let outcome = by_form(source, options, read, &mut taken);
    // What came before the damage is good and is kept.
    taken.send();
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

fn by_form(source: &Source, options: &Options, read: &Arc<AtomicU64>, taken: &mut Taken<'_>) -> Result<(), Stop> {
    let path = taken.path.clone();
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
        return taken.table(content.map_err(table)?);
    }
    if tabular::is_ipc_file(first) && asked(Form::Arrow) {
        let content = match seekable(source, input).map_err(failed)? {
            Seekable::File(file) => tabular::ipc_file(BufReader::new(file), DECOMPRESSED_MAX),
            Seekable::Held(bytes) => tabular::ipc_file(Cursor::new(bytes), DECOMPRESSED_MAX),
        };
        return taken.table(content.map_err(table)?);
    }
    let mut content = decompressed(input, read.clone()).map_err(failed)?;
    let first = content.fill_buf().map_err(failed)?;
    if tabular::is_ipc_stream(first) && asked(Form::Arrow) {
        return taken.table(tabular::ipc_stream(content, DECOMPRESSED_MAX).map_err(table)?);
    }
    match options.form {
        Some(Form::Parquet | Form::Arrow) => {
            Err(Error::Form { path, form: options.form.map_or("", Form::name) }.into())
        }
        None if tabular::is_parquet(first) || tabular::is_ipc_file(first) => Err(Error::Packed(path).into()),
        Some(Form::Trec) => taken.run(content, options),
        None if trec::is_run(first) => taken.run(content, options),
        None if trec::is_judgements(first) => Err(Error::Judgements(path).into()),
        Some(Form::Json) => taken.pieces(content),
        None => match looks_like(first) {
            Some(looks) => Err(Error::LooksLike { path, looks }.into()),
            None => taken.pieces(content),
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

/// Events on their way to the tables.
struct Taken<'a> {
    path: PathBuf,
    context: Context<'a>,
    /// Files mostly hold one kind, so the kind of the event before is tried first.
    kind: Kind,
    chunk: Vec<Decoded>,
    /// What the events in the chunk take in memory.
    bytes: u64,
    /// Refused since the last event.
    refused: u64,
    chunks: &'a mpsc::Sender<Vec<Decoded>>,
}

impl Taken<'_> {
    fn pieces(&mut self, content: impl BufRead) -> Result<(), Stop> {
        for piece in Pieces::new(content, self.context.limits.event_bytes) {
            let piece = piece.map_err(|source| Error::Content { path: self.path.clone(), source })?;
            match piece {
                Piece::TooLong { line, bytes } => {
                    let reason =
                        format!("the event has {bytes} bytes, the limit is {}", self.context.limits.event_bytes);
                    self.refuse(line, &reason)?;
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
        let limits = RowLimits { row: self.context.limits.event_bytes, table: u64::MAX };
        let rows = table.rows(self.kind, limits).map_err(failed)?;
        self.push(Decoded::Table { ignored_columns: rows.ignored().len() })?;
        for (number, row) in (1..).zip(rows) {
            self.draft(number, row.map_err(failed)?)?;
            if self.refused >= ROWS_REFUSED_MAX {
                return Err(Error::NoEvents { path, rows: self.refused }.into());
            }
        }
        Ok(())
    }

    fn run(&mut self, content: impl BufRead, options: &Options) -> Result<(), Stop> {
        let run = options.run.as_ref().ok_or_else(|| Error::Untold(self.path.clone()))?;
        let path = self.path.clone();
        let mut taken = Ok(());
        let mut refuse = |line, rejection| {
            if taken.is_ok() {
                taken = self.reject(line, rejection);
            }
        };
        let queries = trec::queries(content, run, options.limits.results, &mut refuse)
            .map_err(|source| Error::Run { path, source })?;
        taken?;
        for (line, query) in queries {
            self.draft(line, query)?;
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
        self.draft(line, draft)
    }

    fn draft(&mut self, line: u64, draft: Result<EventDraft, Rejection>) -> Result<(), Stop> {
        let has_text = draft.as_ref().is_ok_and(EventDraft::has_text);
        match draft.and_then(|draft| accept(draft, &self.context)) {
            Ok(event) => {
                self.bytes += event.bytes();
                self.refused = 0;
                let text_dropped = has_text && self.context.policy.text() == TextPolicy::None;
                self.push(Decoded::Event { event, text_dropped })
            }
            Err(rejection) => self.reject(line, rejection),
        }
    }

    fn reject(&mut self, line: u64, rejection: Rejection) -> Result<(), Stop> {
        let field = rejection.field.map(|field| format!("{field} ")).unwrap_or_default();
        self.refuse(line, &format_args!("{field}{}", rejection.reason))
    }

    fn refuse(&mut self, line: u64, reason: &impl Display) -> Result<(), Stop> {
        self.refused += 1;
        self.push(Decoded::Refused(format!("{}:{line}: {reason}", self.path.display())))
    }

    fn push(&mut self, decoded: Decoded) -> Result<(), Stop> {
        self.chunk.push(decoded);
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
