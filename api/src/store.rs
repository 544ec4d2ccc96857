//! Where the parts are put together: the tables, the registry of corpus versions and the fingerprint keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use tidemark_collector::decode::Kind;
use tidemark_collector::{Batch, EventSink, SinkError};
use tidemark_corpus::Registry;
use tidemark_lake::{Filter, Lake, Location, Position, Scan, Table};
use tidemark_schema::columns::Columns;
use tidemark_schema::{EventId, TenantName, Timestamp};
use tokio::sync::OnceCell;

use crate::audit::AuditLog;
use crate::fingerprint_key::KeyRing;

/// A store with all its tenants, each of which is opened when it is first asked for.
pub struct Stores {
    location: Location,
    keys: KeyRing,
    state: PathBuf,
    open: Mutex<BTreeMap<TenantName, Arc<OnceCell<Arc<Store>>>>>,
}

/// What a store holds of one tenant.
pub struct Store {
    /// The tables.
    pub lake: Arc<Lake>,
    /// The versions of the corpora.
    pub registry: Registry,
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

impl Stores {
    /// A store at a place, which is neither read nor made yet; a fingerprint key that lies in it is moved beside it.
    pub fn at(location: Location, directories: LocalDirectories) -> Result<Self, StoreError> {
        let state = directories.state.or_else(|| location.directory());
        let state = state.ok_or_else(|| StoreError::NoState(location.to_string()))?;
        let (objects, prefix) = location.object_store()?;
        let folder = adopt_key(&state, directories.keys.unwrap_or_else(|| beside(&state)));
        let keys = KeyRing::new(folder, objects, &prefix);
        Ok(Self { location, keys, state, open: Mutex::default() })
    }

    /// What the store holds of a tenant, which must be there already.
    pub async fn open(&self, tenant: &TenantName) -> Result<Arc<Store>, StoreError> {
        self.get(tenant, false).await
    }

    /// What the store holds of a tenant; what is missing is made.
    pub async fn create(&self, tenant: &TenantName) -> Result<Arc<Store>, StoreError> {
        self.get(tenant, true).await
    }

    async fn get(&self, tenant: &TenantName, make: bool) -> Result<Arc<Store>, StoreError> {
        let known = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(open.entry(tenant.clone()).or_default())
        };
        // On the heap: each operation would carry what opening takes once.
        let open = Box::pin(async {
            let location = self.location.of_tenant(tenant)?;
            let (objects, prefix) = location.object_store()?;
            let lake = if make { Lake::create(location).await? } else { Lake::open(location).await? };
            let registry = Registry::new(objects, prefix.join("corpora"));
            Ok::<_, StoreError>(Arc::new(Store { lake: Arc::new(lake), registry }))
        });
        known.get_or_try_init(|| open).await.map(Arc::clone)
    }

    /// The tenants that have data, the default one first.
    pub async fn tenants(&self) -> Result<Vec<TenantName>, StoreError> {
        Ok(self.location.tenants().await?)
    }

    /// Where it lies.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// What makes fingerprints.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// What was done to it from this machine.
    pub fn audit(&self) -> AuditLog {
        AuditLog::in_state(&self.state, self.keys.folder())
    }

    /// The directory of what belongs to this machine alone.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Where the write-ahead log lies.
    pub fn log_directory(&self) -> PathBuf {
        self.state.join("wal")
    }
}

/// Where this machine keeps what does not belong into the store.
#[derive(Debug, Clone, Default)]
pub struct LocalDirectories {
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

/// The table that holds events of a kind.
fn table_of(kind: Kind) -> Table {
    match kind {
        Kind::Retrieval => Table::Retrievals,
        Kind::Output => Table::Outputs,
    }
}
