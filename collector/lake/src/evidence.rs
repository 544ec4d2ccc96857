//! What each commit of a table held, in a chain that cannot be altered unnoticed.
//!
//! Beside the tables lies `evidence/<table>/`, one entry per commit, numbered like the table's versions. An entry holds the
//! digest (BLAKE3) of the commit in the table's log, the digest of each file that the commit added, the files it removed,
//! and the hash of the entry before. So whoever alters, removes or adds a file of the table contradicts an entry, and
//! whoever alters an entry breaks the chain from there on. Who can rewrite everything can also rewrite the chain; against
//! that, note its head (`tidemark verify` prints it) in another place.
//!
//! An entry depends on nothing but the commit and its files: two processes that record the same commit write the same
//! bytes, and whoever comes second finds the entry made. A commit is recorded right after it was made; one that a crash
//! left unrecorded is recorded by whoever commits, maintains or verifies next.
//!
//! Every [`CHECKPOINT_EVERY`] versions an entry also lists all files of the table, so that old entries can go: entries are
//! packed, and the oldest packs are dropped, see [`Lake::fold_evidence`].

mod entry;
mod objects;

use std::collections::BTreeMap;

use deltalake::kernel::{Action, Add, Remove, Version};
use deltalake::logstore::{LogStoreRef, get_actions};
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tidemark_schema::Timestamp;

pub(crate) use entry::{Digest, Entry, FileDigest, Link, RemovedFile};

use crate::error::Error;
use crate::files::{NOTE, live_files, of_millis};
use crate::table::{Lake, Table};

/// How many versions lie between two entries that list all files.
pub(crate) const CHECKPOINT_EVERY: u64 = 1_024;

/// What the chain of a table comes to: its head, and the files as of there.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    /// The version that is recorded next.
    pub(crate) next: Version,
    /// The hash of the newest entry.
    pub(crate) head: Digest,
    /// The files of the table, by path.
    pub(crate) live: BTreeMap<String, FileDigest>,
    /// The files that were removed from the table and may still lie there.
    pub(crate) removed: BTreeMap<String, (Timestamp, FileDigest)>,
}

impl Chain {
    /// The chain before its first entry.
    pub(crate) fn empty() -> Self {
        Self { next: 0, head: Digest::ZERO, live: BTreeMap::new(), removed: BTreeMap::new() }
    }

    /// Whether a commit ever named a file that may still lie there.
    pub(crate) fn knows(&self, path: &str) -> bool {
        self.live.contains_key(path) || self.removed.contains_key(path)
    }

    /// Takes an entry in; whether it fits is for [`crate::verify`] to say.
    pub(crate) fn apply(&mut self, link: &Link, entry: &Entry) {
        if let Some(live) = &entry.live {
            self.live = live.iter().map(|file| (file.path.clone(), file.clone())).collect();
        }
        for file in &entry.added {
            self.removed.remove(&file.path);
            self.live.insert(file.path.clone(), file.clone());
        }
        for removed in &entry.removed {
            let known = self.live.remove(&removed.path);
            let known = known.unwrap_or_else(|| FileDigest { path: removed.path.clone(), bytes: 0, digest: None });
            self.removed.insert(removed.path.clone(), (removed.at, known));
        }
        self.head = link.hash.clone();
        self.next = entry.version + 1;
    }
}

impl Lake {
    /// Records the commits that are not recorded yet. A failure is no failure of the commit: the next one tries again.
    pub(crate) async fn record_new_commits(&self, table: Table) {
        if let Err(error) = self.record(table).await {
            let error = format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string));
            tracing::warn!(table = table.name(), error, "evidence of a commit could not be recorded yet");
        }
    }

    /// Records the commits that are not recorded yet, and begins the chain if there is none.
    pub async fn record(&self, table: Table) -> Result<(), Error> {
        let mut known = self.chain(table).lock().await;
        let mut chain = match known.take() {
            Some(chain) => chain,
            None => self.read_chain(table, |_, _| {}).await?.unwrap_or_else(Chain::empty),
        };
        let open = |source| table.open_error(source);
        let log = self.location.table(table.name())?.build().map_err(open)?.log_store();
        loop {
            let (version, commit) = match log.read_commit_entry(chain.next).await.map_err(open)? {
                Some(commit) => (chain.next, commit),
                None => match log.get_latest_version(chain.next.saturating_sub(1)).await {
                    // The table's log was shortened before this commit was recorded: begin anew with all files.
                    Ok(newest) if newest > chain.next => {
                        self.record_baseline(table, &log, &mut chain).await?;
                        continue;
                    }
                    _ => break,
                },
            };
            let entry = self.describe(table, &log, &chain, version, &commit).await?;
            if !self.write_link(table, &mut chain, entry).await? {
                // Another process recorded it first; what it wrote is the same, unless somebody interfered.
                chain = self.read_chain(table, |_, _| {}).await?.unwrap_or_else(Chain::empty);
                if chain.next <= version {
                    return Err(Error::Evidence { entry: format!("{} {version}", table.name()) });
                }
            }
        }
        *known = Some(chain);
        Ok(())
    }

    /// The chain with every commit recorded.
    pub(crate) async fn recorded_chain(&self, table: Table) -> Result<Chain, Error> {
        self.record(table).await?;
        Ok(self.chain(table).lock().await.clone().unwrap_or_else(Chain::empty))
    }

    fn chain(&self, table: Table) -> &tokio::sync::Mutex<Option<Chain>> {
        match table {
            Table::Retrievals => &self.chains[0],
            Table::Outputs => &self.chains[1],
        }
    }

    async fn describe(
        &self,
        table: Table,
        log: &LogStoreRef,
        chain: &Chain,
        version: Version,
        commit: &[u8],
    ) -> Result<Entry, Error> {
        let open = |source| table.open_error(source);
        let actions = get_actions(version, &commit.to_vec().into()).map_err(open)?;
        let (mut added, mut removed, mut at, mut note) = (Vec::new(), Vec::new(), Timestamp::MIN, None);
        for action in actions {
            match action {
                Action::Add(Add { path, size, .. }) => added.push((path, size)),
                Action::Remove(Remove { path, deletion_timestamp, .. }) => {
                    removed.push(RemovedFile { path, at: of_millis(deletion_timestamp.unwrap_or_default()) });
                }
                Action::CommitInfo(info) => {
                    at = of_millis(info.timestamp.unwrap_or_default());
                    note = info.info.get(NOTE).cloned();
                }
                _ => {}
            }
        }
        let store = log.object_store(None);
        self.make_durable(table, version, added.iter().map(|(path, _)| path.as_str())).await;
        let mut digests = Vec::with_capacity(added.len());
        for (path, size) in added {
            let digest = digest_of(store.as_ref(), &path).await?;
            digests.push(FileDigest { path, bytes: u64::try_from(size).unwrap_or_default(), digest });
        }
        digests.sort_by(|a, b| a.path.cmp(&b.path));
        removed.sort_by(|a, b| a.path.cmp(&b.path));
        let mut entry = Entry {
            table: table.name().to_owned(),
            version,
            at,
            previous: chain.head.clone(),
            log: Some(Digest::of(commit)),
            added: digests,
            removed,
            note,
            live: None,
        };
        if version > 0 && version.is_multiple_of(CHECKPOINT_EVERY) {
            let mut after = chain.clone();
            after.apply(&Link::of(&entry)?, &entry);
            entry.live = Some(after.live.into_values().collect());
        }
        Ok(entry)
    }

    /// Begins the chain, or continues it after a gap, with all files of the table as they are now.
    async fn record_baseline(&self, table: Table, log: &LogStoreRef, chain: &mut Chain) -> Result<(), Error> {
        let delta = self.load(table).await?;
        let version = delta.version().unwrap_or_default();
        let store = log.object_store(None);
        let mut live = Vec::new();
        for file in live_files(table, &delta).await? {
            let digest = digest_of(store.as_ref(), &file.path).await?;
            live.push(FileDigest { path: file.path, bytes: file.bytes, digest });
        }
        let entry = Entry {
            table: table.name().to_owned(),
            version,
            at: Timestamp::MIN,
            previous: chain.head.clone(),
            log: None,
            added: Vec::new(),
            removed: Vec::new(),
            note: Some(serde_json::json!({ "action": "baseline", "unrecorded_from": chain.next })),
            live: Some(live),
        };
        tracing::warn!(table = table.name(), from = chain.next, to = version, "commits are without evidence");
        if !self.write_link(table, chain, entry).await? {
            *chain = self.read_chain(table, |_, _| {}).await?.unwrap_or_else(Chain::empty);
        }
        Ok(())
    }

    /// What a commit wrote to a local disk is made durable before the log may forget it: a rename is not.
    async fn make_durable<'a>(&self, table: Table, version: Version, added: impl Iterator<Item = &'a str>) {
        let Some(root) = self.location.directory().map(|store| store.join(table.name())) else { return };
        let mut files: Vec<_> = added.map(|path| root.join(path)).collect();
        files.push(root.join("_delta_log").join(format!("{version:020}.json")));
        let folders: std::collections::BTreeSet<_> = files.iter().filter_map(|file| file.parent()).collect();
        let folders: Vec<_> = folders.into_iter().map(ToOwned::to_owned).collect();
        let synced = tokio::task::spawn_blocking(move || {
            files.iter().chain(&folders).try_for_each(|path| std::fs::File::open(path)?.sync_all())
        });
        match synced.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(table = table.name(), %error, "a commit could not be made durable"),
            Err(error) => tracing::warn!(table = table.name(), %error, "a commit could not be made durable"),
        }
    }
}

/// The digest of a file; none if it is gone.
pub(crate) async fn digest_of(store: &dyn ObjectStore, path: &str) -> Result<Option<Digest>, Error> {
    let failed = |source| Error::Objects { what: format!("file {path}"), source };
    let location = Path::parse(path).map_err(|error| failed(error.into()))?;
    let mut bytes = match store.get(&location).await {
        Ok(found) => found.into_stream(),
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut hasher = blake3::Hasher::new();
    while let Some(chunk) = bytes.next().await {
        hasher.update(&chunk.map_err(failed)?);
    }
    Ok(Some(Digest::finish(&hasher)))
}
