//! Where the parts are put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use tidemark_collector::decode::Kind;
use tidemark_collector::{Batch, EventSink, SinkError, policy};
use tidemark_corpus::Registry;
use tidemark_lake::{Filter, Lake, Location, Position, Scan, Table};
use tidemark_schema::columns::Columns;
use tidemark_schema::{EventId, Timestamp};

use crate::audit::AuditLog;
use crate::fingerprint_key::KeyRing;
use crate::maintenance::Rules;

/// A store: what was recorded, what the corpora held, and the secret that makes fingerprints.
#[derive(Clone)]
pub struct Store {
    /// The tables.
    pub lake: Arc<Lake>,
    /// The versions of the corpora.
    pub registry: Registry,
    /// What makes fingerprints.
    pub keys: KeyRing,
    /// What belongs to this machine alone: the write-ahead log and the audit log.
    pub state: PathBuf,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The tables.
    #[error(transparent)]
    Lake(#[from] tidemark_lake::Error),
    /// The data lies in an object store, and nothing says where this machine may write.
    #[error("{0} is an object store, and --state does not say which local directory holds the write-ahead log")]
    NoState(String),
}

impl StoreError {
    /// The next step.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Lake(error) => error.hint(),
            Self::NoState(_) => {
                Some("add --state DIR (or TIDEMARK_STATE), a directory on a local disk that survives restarts")
            }
        }
    }
}

impl Store {
    /// Opens a store and makes what is missing.
    pub async fn create(location: Location, place: LocalPlace) -> Result<Self, StoreError> {
        let state = state_directory(&location, place.state)?;
        let lake = Lake::create(location).await?;
        Self::around(lake, state, place.keys)
    }

    /// Opens a store that must be there already.
    pub async fn open(location: Location, place: LocalPlace) -> Result<Self, StoreError> {
        let state = state_directory(&location, place.state)?;
        let lake = Lake::open(location).await?;
        Self::around(lake, state, place.keys)
    }

    fn around(lake: Lake, state: PathBuf, keys: Option<PathBuf>) -> Result<Self, StoreError> {
        let (objects, prefix) = lake.location().object_store()?;
        let registry = Registry::new(objects.clone(), prefix.clone().join("corpora"));
        let folder = adopt_key(&state, keys.unwrap_or_else(|| beside(&state)));
        let keys = KeyRing::new(folder, objects, &prefix);
        Ok(Self { lake: Arc::new(lake), registry, keys, state })
    }

    /// What was done to it from this machine.
    pub fn audit(&self) -> AuditLog {
        AuditLog::in_state(&self.state, self.keys.folder())
    }

    /// Where the write-ahead log lies.
    pub fn log_directory(&self) -> PathBuf {
        self.state.join("wal")
    }
}

/// Where this machine keeps what does not belong into the store.
#[derive(Debug, Clone, Default)]
pub struct LocalPlace {
    /// The write-ahead log and the audit log; the store itself when that is local.
    pub state: Option<PathBuf>,
    /// The fingerprint keys; beside the state directory when not given.
    pub keys: Option<PathBuf>,
}

/// `store.keys` beside `store`: whoever copies or shares the store does not take the keys along by accident.
fn beside(state: &Path) -> PathBuf {
    let mut name = state.file_name().unwrap_or_default().to_owned();
    name.push(".keys");
    state.with_file_name(name)
}

/// Earlier versions kept the key inside of the state directory. It is moved, or used where it is if it cannot be.
fn adopt_key(state: &Path, keys: PathBuf) -> PathBuf {
    let (old, new) = (state.join("fingerprint.key"), keys.join("fingerprint.key"));
    if !old.is_file() || new.is_file() {
        return keys;
    }
    let moved = std::fs::create_dir_all(&keys).and_then(|()| match std::fs::rename(&old, &new) {
        Ok(()) => Ok(()),
        // Another file system.
        Err(_) => std::fs::copy(&old, &new).and_then(|_| std::fs::remove_file(&old)),
    });
    match moved {
        Ok(()) => {
            tracing::info!(to = %new.display(), "the fingerprint key was moved out of the store");
            keys
        }
        Err(error) => {
            tracing::warn!(%error, key = %old.display(), "the fingerprint key could not be moved out of the store");
            state.to_owned()
        }
    }
}

fn state_directory(location: &Location, state: Option<PathBuf>) -> Result<PathBuf, StoreError> {
    state.or_else(|| location.directory()).ok_or_else(|| StoreError::NoState(location.to_string()))
}

/// The lake as the collector sees it.
pub struct LakeSink(pub Arc<Lake>);

impl EventSink for LakeSink {
    async fn append(&self, batch: Batch, writer: &str, next: u64) -> Result<(), SinkError> {
        let position = || Some(Position { writer: writer.to_owned(), next });
        self.0.append_retrievals(batch.retrievals, position()).await?;
        self.0.append_outputs(batch.outputs, position()).await?;
        Ok(())
    }

    async fn committed(&self, kind: Kind, writer: &str) -> Result<Option<u64>, SinkError> {
        Ok(self.0.committed(table_of(kind), writer).await?)
    }

    async fn received_since(&self, since: Timestamp, limit: usize) -> Result<Vec<(Timestamp, EventId)>, SinkError> {
        let mut received = Vec::new();
        for table in Table::ALL {
            let filters = vec![Filter::ReceivedSince(since)];
            let columns = vec!["event_id", "received_at"];
            let mut rows = self.0.scan(Scan { table, filters, columns, version: None }).await?;
            while let Some(batch) = rows.try_next().await? {
                let columns = Columns::of(&batch);
                for row in 0..batch.num_rows() {
                    received.push((columns.time("received_at", row)?, columns.event_id("event_id", row)?));
                }
                // The newest are wanted, and rows come in no order: keep twice the limit at most while reading.
                if received.len() > 2 * limit.max(1) {
                    keep_newest(&mut received, limit);
                }
            }
        }
        keep_newest(&mut received, limit);
        Ok(received)
    }
}

fn keep_newest(received: &mut Vec<(Timestamp, EventId)>, limit: usize) {
    received.sort_unstable_by(|a, b| b.cmp(a));
    received.truncate(limit);
}

/// What a policy keeps, as maintenance needs it.
pub fn rules(retention: &policy::Retention) -> Rules {
    let corpora = retention
        .corpora
        .iter()
        .map(|(corpus, own)| (corpus.clone(), tidemark_lake::CorpusRetention { days: own.days, bytes: own.bytes }));
    Rules {
        retention: tidemark_lake::Retention {
            days: retention.days,
            corpora: corpora.collect(),
            bytes: retention.bytes,
        },
        removed_files_s: i64::try_from(retention.removed_files_s).unwrap_or(i64::MAX),
    }
}

/// The table that holds events of a kind.
pub fn table_of(kind: Kind) -> Table {
    match kind {
        Kind::Retrieval => Table::Retrievals,
        Kind::Output => Table::Outputs,
    }
}
