//! Files of events into the tables.
//!
//! A file is read as a stream, so that its size does not matter; a bad event is refused with its line and its field, and
//! the rest goes in. Importing a file again adds nothing: events that are stored already are left out.

mod looks;
mod read;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_collector::decode::tabular::TableError;
use tidemark_collector::decode::trec::{Run, RunError};
use tidemark_collector::decode::{Context, EventDraft, Limits, PieceError, Rejection, TextPolicy};
use tidemark_collector::policy::Policy;
use tidemark_collector::{Batch, accept};
use tidemark_lake::BulkLoad;
use tidemark_schema::{FingerprintKeys, Ingest, Stored, Timestamp};
use tokio::sync::mpsc;

use super::{Action, Caller, Operations};

/// How many events are handed on at a time.
const CHUNK: usize = 4_096;
/// Rows of a table one after the other that are no events.
const ROWS_REFUSED_MAX: u64 = 1_000_000;
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
    /// It cannot be read as a table of events, or not any further.
    #[error("{} is no table of events", path.display())]
    Table {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: TableError,
    },
    /// Such a table is read from its end, and this one is compressed as a whole.
    #[error("{} is a Parquet or Arrow file that was compressed once more", .0.display())]
    Packed(PathBuf),
    /// A table of which hardly a row is an event. A few bytes can stand for any number of such rows.
    #[error("{} has {rows} rows one after the other that are no events", path.display())]
    NoEvents {
        /// Which.
        path: PathBuf,
        /// How many.
        rows: u64,
    },
    /// It cannot be read as a run any further.
    #[error("{} is no run of TREC", path.display())]
    Run {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: RunError,
    },
    /// It is a run, and nothing says of what.
    #[error("{} is a run of TREC, which says nothing about its corpus and its time", .0.display())]
    RunWithoutCorpus(PathBuf),
    /// It holds judgements, not events.
    #[error("{} holds judgements of TREC (qrels), not events", .0.display())]
    Qrels(PathBuf),
    /// It is something else.
    #[error("{} looks like {looks}", path.display())]
    LooksLike {
        /// Which.
        path: PathBuf,
        /// What it looks like, and what would read it.
        looks: String,
    },
    /// It is not in the form that was asked for.
    #[error("{} is not in the form {form}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// The form.
        form: &'static str,
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
            Self::Table { source: TableError::Type { .. } | TableError::Columns(_), .. } => {
                Some("name the columns after the fields of an event, or after the columns of an export")
            }
            Self::Table { .. } => {
                Some("write it anew as Parquet or Arrow IPC; rows that came before, if any, were imported")
            }
            Self::Packed(_) => Some("decompress it first, for instance with gunzip"),
            Self::NoEvents { .. } => Some("see above why they were refused; the events before them were imported"),
            Self::Run { .. } => Some("a run has lines of `query Q0 document rank score tag`"),
            Self::RunWithoutCorpus(_) => {
                Some("add --corpus NAME and --at TIME, and --corpus-version VERSION if it is known")
            }
            Self::LooksLike { .. } => Some("if it holds events all the same, say --format json"),
            Self::Qrels(_) => Some("add --format qrels and --corpus NAME"),
            Self::Form { .. } => Some("leave --format out to have the form recognised"),
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

/// How events are written in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// NDJSON, a JSON array or one JSON object.
    Json,
    /// A table in Parquet.
    Parquet,
    /// A table in Arrow IPC, as a stream or a file.
    Arrow,
    /// A run of TREC.
    Trec,
}

impl Form {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Trec => "trec",
        }
    }
}

/// How a source is read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The form of the source; recognised by its content if `None`.
    pub form: Option<Form>,
    /// What a run of TREC is of.
    pub run: Option<Run>,
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
    /// Events whose text the policy does not keep.
    pub texts_dropped: usize,
    /// Columns of tables that were passed over because they hold nothing of an event: the index that pandas adds.
    pub ignored_columns: usize,
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

/// What was read of a source, in its order.
#[expect(clippy::large_enum_variant, reason = "nearly all are events, the larger variant")]
enum Item {
    /// The columns of a table, before its rows.
    Table { ignored_columns: usize },
    /// What should be an event, and the line or row in which it begins.
    Event { line: u64, draft: Result<EventDraft, Rejection> },
}

/// The text of a source, decompressed.
pub fn text(source: &Source) -> Result<impl io::BufRead, Error> {
    read::text(source)
}

impl Operations {
    /// Imports one source under the policy. `progress` gets from time to time how far it has come.
    pub async fn import(
        &self,
        caller: &Caller,
        source: &Source,
        options: &Options,
        mut progress: impl FnMut(Progress),
    ) -> Result<Summary, super::Error> {
        let store = self.store_or_new(caller, Action::ImportEvents).await?;
        let keys = self.stores.keys().load_or_create().await?;
        let mut importer = Importer {
            path: source.name(),
            now: self.now(),
            keys: &keys,
            policy: &self.policy,
            limits: options.limits,
            load: store.lake.bulk_load().await?,
            refused: 0,
            is_table: false,
            summary: Summary::default(),
        };
        let read = Arc::new(AtomicU64::new(0));
        // Two chunks in flight: one is read while the other is judged and spilled.
        let (sender, mut chunks) = mpsc::channel::<Vec<Item>>(1);
        let reader = {
            let (source, options, read) = (source.clone(), options.clone(), read.clone());
            tokio::task::spawn_blocking(move || read::read_events(&source, &options, &read, &sender))
        };
        let mut events = 0;
        let mut outcome = Ok(());
        while let Some(chunk) = chunks.recv().await {
            events += chunk.iter().filter(|item| matches!(item, Item::Event { .. })).count() as u64;
            outcome = importer.chunk(chunk).await;
            if outcome.is_err() {
                break;
            }
            progress(Progress { bytes: read.load(Ordering::Relaxed), events });
        }
        drop(chunks);
        // What came before the damage of a file is good and is kept.
        let Importer { load, is_table, summary, path, .. } = importer;
        load.finish().await?;
        outcome?;
        match reader.await {
            Ok(result) => result?,
            Err(error) => return Err(Error::Open { path, source: io::Error::other(error) }.into()),
        }
        if events == 0 && !is_table {
            return Err(Error::Empty(path).into());
        }
        Ok(summary)
    }
}

/// Events on their way into the tables.
struct Importer<'a> {
    path: PathBuf,
    now: Timestamp,
    keys: &'a FingerprintKeys,
    policy: &'a Policy,
    limits: Limits,
    load: BulkLoad<'a>,
    /// Refused since the last event.
    refused: u64,
    /// Whether the source is a table: one without rows is the export of an empty window; a file without bytes shows nothing.
    is_table: bool,
    summary: Summary,
}

impl Importer<'_> {
    async fn chunk(&mut self, chunk: Vec<Item>) -> Result<(), Error> {
        let context = Context { now: None, keys: self.keys, policy: self.policy, limits: self.limits };
        let summary = &mut self.summary;
        let mut batch = Batch::default();
        for read in chunk {
            let (line, draft) = match read {
                Item::Table { ignored_columns } => {
                    self.is_table = true;
                    summary.ignored_columns += ignored_columns;
                    continue;
                }
                Item::Event { line, draft } => (line, draft),
            };
            let has_text = draft.as_ref().is_ok_and(EventDraft::has_text);
            match draft.and_then(|draft| accept(draft, &context)) {
                Ok(event) => {
                    self.refused = 0;
                    summary.texts_dropped += usize::from(has_text && self.policy.text() == TextPolicy::None);
                    summary.truncated_results += u64::from(event.truncated_results());
                    for mark in event.marks() {
                        *summary.marks.entry(mark.to_string()).or_default() += 1;
                    }
                    batch.push(Stored { received_at: self.now, ingest: Ingest::Imported, event });
                }
                Err(Rejection { field, reason, .. }) => {
                    self.refused += 1;
                    summary.refused += 1;
                    if summary.refusals.len() < REFUSALS_NAMED {
                        let field = field.map(|field| format!("{field} ")).unwrap_or_default();
                        summary.refusals.push(format!("{}:{line}: {field}{reason}", self.path.display()));
                    }
                }
            }
        }
        let retrievals = self.load.push_retrievals(batch.retrievals).await?;
        let outputs = self.load.push_outputs(batch.outputs).await?;
        summary.retrievals += retrievals.rows;
        summary.outputs += outputs.rows;
        summary.duplicates += retrievals.duplicates + outputs.duplicates;
        if self.is_table && self.refused >= ROWS_REFUSED_MAX {
            return Err(Error::NoEvents { path: self.path.clone(), rows: ROWS_REFUSED_MAX });
        }
        Ok(())
    }
}
