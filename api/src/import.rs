//! Files of events into the tables.
//!
//! A file is read as a stream, so that its size does not matter; a bad event is refused with its line and its field, and
//! the rest goes in. Importing a file again adds nothing: events that are stored already are left out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_collector::decode::{Context, Event, Kind, Limits, Piece, PieceError, Pieces, decode};
use tidemark_collector::policy::Policy;
use tidemark_collector::{Batch, Compression};
use tidemark_lake::Appended;
use tidemark_schema::{FingerprintKeys, Ingest, Stored, Timestamp};
use tokio::sync::mpsc;

use crate::wire::Store;

/// How many events are committed at a time.
const CHUNK: usize = 20_000;
/// A file may become this large without a further look …
const UNSUSPICIOUS_BYTES: u64 = 64 * 1024 * 1024;
/// … and beyond it this many times its compressed size. Repetitive logs reach 100; gzip of nothing but zeros 1,000.
const EXPANSION_MAX: u64 = 300;
/// How many refused events are named one by one.
const REFUSALS_NAMED: usize = 20;

/// Why a file could not be imported. What was imported before stays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file, or it cannot be read.
    #[error("{} cannot be read", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is a directory.
    #[error("{} is a directory, not a file of events", .0.display())]
    Directory(PathBuf),
    /// Nothing is in it.
    #[error("{} is empty", .0.display())]
    Empty(PathBuf),
    /// It cannot be cut into events any further.
    #[error("{} is no file of events", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: PieceError,
    },
    /// The tables did not take the events.
    #[error(transparent)]
    Lake(#[from] tidemark_lake::Error),
}

impl Error {
    /// The next step.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open { .. } => Some("check the path and its permissions; `-` is standard input"),
            Self::Directory(_) => Some("name the files in it, for instance with DIRECTORY/*.ndjson.gz"),
            Self::Empty(_) => {
                Some("the export that made it may have failed; a file of events has one JSON object per line")
            }
            Self::Content { .. } => {
                Some("events are NDJSON, a JSON array or one JSON object, plain or compressed with gzip or zstd")
            }
            Self::Lake(error) => error.hint(),
        }
    }
}

/// Where events come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input.
    StandardInput,
}

impl Source {
    fn name(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::StandardInput => PathBuf::from("-"),
        }
    }
}

/// What importing needs besides the events.
#[derive(Debug, Clone)]
pub struct Options {
    /// The present: when the events were received.
    pub now: Timestamp,
    /// What may be stored of whom, and how much.
    pub policy: Arc<Policy>,
    /// What makes fingerprints.
    pub keys: FingerprintKeys,
    /// What an event may be at most.
    pub limits: Limits,
}

/// What one import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Retrieval events that are new.
    pub retrievals: usize,
    /// Output events that are new.
    pub outputs: usize,
    /// Events that were stored already.
    pub duplicates: usize,
    /// Events by what was noticed about them or done to them, such as `bound.results` or `redacted.email`.
    pub marks: BTreeMap<String, usize>,
    /// Events that were refused.
    pub refused: usize,
    /// Results that were left out because an event had more than are kept.
    pub truncated_results: u64,
    /// The first refused events: file, line, field and reason.
    pub refusals: Vec<String>,
}

/// How far an import has come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Bytes of the file that were read, before decompression.
    pub bytes: u64,
    /// Events that were read.
    pub events: u64,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are events, the larger variant")]
enum Decoded {
    Event(Event),
    Refused(String),
}

/// Imports one source. `progress` is told from time to time how far it has come.
pub async fn import(
    store: &Store,
    source: &Source,
    options: &Options,
    mut progress: impl FnMut(Progress),
) -> Result<Summary, Error> {
    let read = Arc::new(AtomicU64::new(0));
    // Two chunks in flight: one is decoded while the other is committed.
    let (sender, mut chunks) = mpsc::channel::<Vec<Decoded>>(1);
    let reader = {
        let (source, options, read) = (source.clone(), options.clone(), read.clone());
        tokio::task::spawn_blocking(move || read_events(&source, &options, &read, &sender))
    };
    let mut summary = Summary::default();
    let mut events = 0;
    while let Some(chunk) = chunks.recv().await {
        events += chunk.len() as u64;
        store_chunk(store, chunk, options.now, &mut summary).await?;
        progress(Progress { bytes: read.load(Ordering::Relaxed), events });
    }
    match reader.await {
        Ok(result) => result?,
        Err(error) => {
            return Err(Error::Open { path: source.name(), source: io::Error::other(error) });
        }
    }
    if events == 0 {
        return Err(Error::Empty(source.name()));
    }
    Ok(summary)
}

async fn store_chunk(store: &Store, chunk: Vec<Decoded>, now: Timestamp, summary: &mut Summary) -> Result<(), Error> {
    let mut batch = Batch::default();
    for read in chunk {
        match read {
            Decoded::Event(event) => {
                summary.truncated_results += u64::from(event.truncated_results());
                for mark in event.marks() {
                    *summary.marks.entry(mark.to_string()).or_default() += 1;
                }
                batch.push(Stored { received_at: now, ingest: Ingest::Imported, event });
            }
            Decoded::Refused(refusal) => {
                summary.refused += 1;
                if summary.refusals.len() < REFUSALS_NAMED {
                    summary.refusals.push(refusal);
                }
            }
        }
    }
    let retrievals = store.lake.append_retrievals(batch.retrievals, None).await?;
    let outputs = store.lake.append_outputs(batch.outputs, None).await?;
    summary.retrievals += retrievals.rows;
    summary.outputs += outputs.rows;
    summary.duplicates += [retrievals, outputs].iter().map(|Appended { duplicates, .. }| duplicates).sum::<usize>();
    Ok(())
}

/// Reads a source to its end on a thread of its own; stops when nobody takes the chunks any more.
fn read_events(
    source: &Source,
    options: &Options,
    read: &Arc<AtomicU64>,
    chunks: &mpsc::Sender<Vec<Decoded>>,
) -> Result<(), Error> {
    let path = source.name();
    let failed = |source| Error::Open { path: path.clone(), source };
    let mut input = BufReader::with_capacity(1 << 16, open(source, read.clone())?);
    let first = io::BufRead::fill_buf(&mut input).map_err(failed)?;
    if first.is_empty() {
        return Err(Error::Empty(path));
    }
    let compression = Compression::of(first);
    let plain = compression.reader(input).map_err(failed)?;
    let guarded = Guarded { content: plain, produced: 0, read: read.clone() };
    let context = Context { now: None, keys: &options.keys, policy: &options.policy, limits: options.limits };
    let mut kind = Kind::Retrieval;
    let mut chunk = Vec::with_capacity(CHUNK);
    for piece in Pieces::new(BufReader::with_capacity(1 << 16, guarded), options.limits.event_bytes) {
        match piece {
            Ok(piece) => chunk.push(read_event(&path, piece, &mut kind, &context)),
            Err(source) => {
                // What came before the damage is good and is kept.
                send(chunks, chunk);
                return Err(Error::Content { path, source });
            }
        }
        if chunk.len() == CHUNK && !send(chunks, std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK))) {
            return Ok(());
        }
    }
    send(chunks, chunk);
    Ok(())
}

fn send(chunks: &mpsc::Sender<Vec<Decoded>>, chunk: Vec<Decoded>) -> bool {
    chunk.is_empty() || chunks.blocking_send(chunk).is_ok()
}

/// Files mostly hold one kind, so the kind of the event before is tried first.
fn read_event(path: &Path, piece: Piece, kind: &mut Kind, context: &Context<'_>) -> Decoded {
    let (line, bytes) = match piece {
        Piece::TooLong { line, bytes } => {
            let limit = context.limits.event_bytes;
            return Decoded::Refused(format!(
                "{}:{line}: the event has {bytes} bytes, the limit is {limit}",
                path.display()
            ));
        }
        Piece::Event { line, bytes } => (line, bytes),
    };
    let decoded = decode(&bytes, *kind, context).or_else(|rejection| match Kind::of(&bytes) {
        Some(other) if other != *kind => {
            *kind = other;
            decode(&bytes, other, context)
        }
        _ => Err(rejection),
    });
    match decoded {
        Ok(event) => Decoded::Event(event),
        Err(rejection) => {
            let field = rejection.field.map(|field| format!("{field} ")).unwrap_or_default();
            Decoded::Refused(format!("{}:{line}: {field}{}", path.display(), rejection.reason))
        }
    }
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
