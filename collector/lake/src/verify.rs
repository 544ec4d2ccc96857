//! Whether the tables are what their writers left: every file against the chain of evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deltalake::protocol::DeltaOperation;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use serde::Serialize;
use serde_json::json;
use tidemark_schema::Timestamp;

use crate::error::Error;
use crate::evidence::{Chain, Digest, FileDigest, digest_of};
use crate::files::{DataFile, live_files, of_millis};
use crate::table::{Lake, Table};

/// What a commit that sets damaged files aside says of itself.
const SET_ASIDE: &str = "set aside";

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// It does not hold what was written.
    Altered,
    /// It is gone.
    Missing,
    /// Nobody wrote it: no commit names it, so no reader sees it.
    Extra,
    /// An entry of the chain of evidence does not follow from the one before, or cannot be read.
    ChainBroken,
    /// There is no chain of evidence.
    NoEvidence,
    /// The table's log lists other files than were committed.
    LogContradicts,
}

/// Something that is not as it was left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Of which table.
    pub table: &'static str,
    /// What is wrong.
    pub kind: FindingKind,
    /// Which file, from the store's root.
    pub path: String,
    /// In words.
    pub detail: String,
    /// When it was recorded as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<Timestamp>,
    /// When the file was last written, as far as its store tells: since then it is as it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// What was looked at of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Which one.
    pub table: &'static str,
    /// The first version that the chain tells of.
    pub first_version: u64,
    /// The last one.
    pub last_version: u64,
    /// The hash of the newest entry. Noted in another place, it proves later that the chain was not rewritten.
    pub head: String,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Erasures that the chain tells of: versions.
    pub erasures: Vec<u64>,
    /// Versions with which damaged files were set aside.
    pub set_aside: Vec<u64>,
    /// Versions at which the chain began anew because commits were not recorded in time.
    pub gaps: Vec<u64>,
    /// Whether the head that was asked for is in the chain; none if none was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains_expected_head: Option<bool>,
    /// What is not as it was left.
    pub findings: Vec<Finding>,
}

/// What the entries of a chain say together.
struct History {
    chain: Chain,
    first: u64,
    heads: BTreeSet<String>,
    logs: BTreeMap<u64, Digest>,
    recorded: BTreeMap<String, Timestamp>,
    erasures: Vec<u64>,
    set_aside: Vec<u64>,
    gaps: Vec<u64>,
    findings: Vec<Finding>,
}

impl Lake {
    /// Reads every file of a table and compares it with the chain of evidence. `expected_head` must be in the chain if it
    /// is given. A commit that another process is about to make is waited for up to `patience`, because its files are
    /// there before it. `progress` gets the bytes of each file that was read.
    pub async fn verify(
        &self,
        table: Table,
        expected_head: Option<&str>,
        patience: Duration,
        mut progress: impl FnMut(u64),
    ) -> Result<Verified, Error> {
        let mut history = self.history(table).await?;
        let mut verified = Verified {
            table: table.name(),
            first_version: history.first,
            last_version: history.chain.next.saturating_sub(1),
            head: history.chain.head.as_str().to_owned(),
            files: 0,
            bytes: 0,
            erasures: Vec::new(),
            set_aside: Vec::new(),
            gaps: Vec::new(),
            contains_expected_head: expected_head.map(|head| history.heads.contains(head)),
            findings: Vec::new(),
        };
        if history.chain.next == 0 {
            verified.findings = vec![finding(table, FindingKind::NoEvidence, "", "nothing was ever recorded")];
            return Ok(verified);
        }
        let store = self.load(table).await?.object_store();
        let mut objects = list(table, store.as_ref()).await?;
        let strange = |history: &History, objects: &BTreeMap<String, ObjectMeta>| {
            objects.keys().any(|path| is_data(path) && !history.chain.knows(path))
        };
        let mut waited = Duration::ZERO;
        while strange(&history, &objects) && waited < patience {
            let pause = Duration::from_millis(250);
            tokio::time::sleep(pause).await;
            waited += pause;
            self.record(table).await?;
            history = self.history(table).await?;
            objects = list(table, store.as_ref()).await?;
        }
        verified.last_version = history.chain.next.saturating_sub(1);
        history.chain.head.as_str().clone_into(&mut verified.head);
        let mut findings = std::mem::take(&mut history.findings);
        // Nobody reads them any more but those who are at an earlier version, and they are about to be swept.
        objects.retain(|path, _| !history.chain.removed.contains_key(path));
        for file in history.chain.live.values() {
            let recorded_at = history.recorded.get(&file.path).copied();
            let Some(object) = objects.remove(&file.path) else {
                let missing = finding(table, FindingKind::Missing, &file.path, "it is gone, and its events with it");
                findings.push(Finding { recorded_at, ..missing });
                continue;
            };
            if let Some(detail) = differs(store.as_ref(), file, &object).await? {
                let altered = finding(table, FindingKind::Altered, &file.path, &detail);
                findings.push(Finding { recorded_at, since: Some(modified(&object)), ..altered });
            }
            verified.files += 1;
            verified.bytes += object.size;
            progress(object.size);
        }
        for (path, object) in objects.iter().filter(|(path, _)| is_data(path)) {
            let extra = finding(table, FindingKind::Extra, path, "no commit names it, so no reader sees it");
            findings.push(Finding { since: Some(modified(object)), ..extra });
        }
        findings.extend(self.check_log(table, store.as_ref(), &history, &objects).await?);
        findings.sort();
        let History { erasures, set_aside, gaps, .. } = history;
        Ok(Verified { erasures, set_aside, gaps, findings, ..verified })
    }

    /// Takes files that are damaged or gone out of a table, so that the rest of it can be read. Gives how many there were
    /// and how many events they held. They are swept like other removed files: who wants to examine one copies it before.
    pub async fn set_aside(&self, table: Table, damaged: &[Finding], now: Timestamp) -> Result<(u64, u64), Error> {
        let named = |file: &DataFile| {
            let path = format!("{}/{}", table.name(), file.path);
            damaged
                .iter()
                .any(|found| matches!(found.kind, FindingKind::Altered | FindingKind::Missing) && found.path == path)
        };
        let rows = |files: &[DataFile]| files.iter().map(|file| file.rows).sum::<u64>();
        let note = |files: &[DataFile]| json!({ "action": SET_ASIDE, "files": files.len(), "rows": rows(files) });
        let removed = self.remove_where(table, named, DeltaOperation::FileSystemCheck {}, note, now).await?;
        Ok((removed.len() as u64, rows(&removed)))
    }

    /// Goes through the chain and checks that each entry follows from the one before.
    async fn history(&self, table: Table) -> Result<History, Error> {
        let mut history = History {
            chain: Chain::empty(),
            first: 0,
            heads: BTreeSet::new(),
            logs: BTreeMap::new(),
            recorded: BTreeMap::new(),
            erasures: Vec::new(),
            set_aside: Vec::new(),
            gaps: Vec::new(),
            findings: Vec::new(),
        };
        let mut before: Option<(u64, Digest)> = None;
        let chain = self
            .read_chain(table, |place, read| {
                let Some((link, entry)) = read else {
                    let detail = format!("{place} cannot be read");
                    history.findings.push(finding(table, FindingKind::ChainBroken, "evidence", &detail));
                    return;
                };
                let place = format!("entry {}", entry.version);
                let broken = |detail: &str| Finding {
                    recorded_at: Some(entry.at),
                    ..finding(table, FindingKind::ChainBroken, &place, detail)
                };
                if !link.is_intact() {
                    history.findings.push(broken("the entry was altered: its hash is not that of what it says"));
                }
                match &before {
                    None => history.first = entry.version,
                    // The same entry in its pack and by itself.
                    Some((version, hash)) if *version == entry.version && *hash == link.hash => return,
                    Some((version, hash)) => {
                        if entry.previous != *hash {
                            history.findings.push(broken("it does not follow from the entry before"));
                        }
                        if entry.log.is_some() && entry.version != version + 1 {
                            history.findings.push(broken(&format!("the entries after {version} are missing")));
                        }
                    }
                }
                if entry.log.is_none() {
                    history.gaps.push(entry.version);
                }
                match entry.note.as_ref().and_then(|note| note["action"].as_str()) {
                    Some("erasure") => history.erasures.push(entry.version),
                    Some(SET_ASIDE) => history.set_aside.push(entry.version),
                    _ => {}
                }
                if let Some(log) = &entry.log {
                    history.logs.insert(entry.version, log.clone());
                }
                history.recorded.extend(entry.added.iter().map(|file| (file.path.clone(), entry.at)));
                history.heads.insert(link.hash.as_str().to_owned());
                before = Some((entry.version, link.hash.clone()));
            })
            .await?;
        history.chain = chain.unwrap_or_else(Chain::empty);
        Ok(history)
    }

    /// The table's log against the chain: each commit that is still there, and the files that readers take for the table's.
    async fn check_log(
        &self,
        table: Table,
        store: &dyn ObjectStore,
        history: &History,
        objects: &BTreeMap<String, ObjectMeta>,
    ) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        let oldest = objects.keys().filter_map(|path| commit_version(path)).min();
        for (version, expected) in history.logs.range(oldest.unwrap_or(0)..) {
            let path = format!("_delta_log/{version:020}.json");
            match (digest_of(store, &path).await?, objects.get(&path)) {
                (Some(found), _) if found == *expected => {}
                (None, _) => {
                    let detail = "the commit is gone from the table's log";
                    findings.push(finding(table, FindingKind::Missing, &path, detail));
                }
                (Some(_), object) => {
                    let altered =
                        finding(table, FindingKind::Altered, &path, "the commit in the table's log was altered");
                    findings.push(Finding { since: object.map(modified), ..altered });
                }
            }
        }
        for (path, object) in objects {
            if !is_data(path) && !is_log_file(path) {
                let extra = finding(table, FindingKind::Extra, path, "it does not belong into the table's log");
                findings.push(Finding { since: Some(modified(object)), ..extra });
            }
        }
        let mut delta = self.load(table).await?;
        let last = history.chain.next.saturating_sub(1);
        if delta.version() != Some(last) {
            delta.load_version(last).await.map_err(|source| table.open_error(source))?;
        }
        let listed: BTreeSet<String> = live_files(table, &delta).await?.into_iter().map(|file| file.path).collect();
        let committed: BTreeSet<String> = history.chain.live.keys().cloned().collect();
        for path in listed.symmetric_difference(&committed) {
            let detail = if listed.contains(path) {
                "readers see it, and no recorded commit added it"
            } else {
                "readers do not see it, and no recorded commit removed it"
            };
            findings.push(finding(table, FindingKind::LogContradicts, path, detail));
        }
        Ok(findings)
    }
}

fn finding(table: Table, kind: FindingKind, path: &str, detail: &str) -> Finding {
    let path = if path.is_empty() { table.name().to_owned() } else { format!("{}/{path}", table.name()) };
    Finding { table: table.name(), kind, path, detail: detail.to_owned(), recorded_at: None, since: None }
}

/// All objects of a table by their path under its root.
pub(crate) async fn list(table: Table, store: &dyn ObjectStore) -> Result<BTreeMap<String, ObjectMeta>, Error> {
    let failed = |source| Error::Objects { what: format!("the files of table {}", table.name()), source };
    store.list(None).map_ok(|object| (object.location.to_string(), object)).try_collect().await.map_err(failed)
}

async fn differs(store: &dyn ObjectStore, file: &FileDigest, object: &ObjectMeta) -> Result<Option<String>, Error> {
    let Some(expected) = &file.digest else { return Ok(None) };
    if object.size != file.bytes {
        return Ok(Some(format!("it has {} bytes in place of {}", object.size, file.bytes)));
    }
    let found = digest_of(store, &file.path).await?;
    let same = found.as_ref() == Some(expected);
    Ok((!same).then(|| "its bytes are not those that were written".to_owned()))
}

fn modified(object: &ObjectMeta) -> Timestamp {
    of_millis(object.last_modified.timestamp_millis())
}

/// Whether a path is that of a data file, as against the table's log.
pub(crate) fn is_data(path: &str) -> bool {
    !Path::from(path).parts().any(|part| part.as_ref() == "_delta_log")
}

/// The version of the table that an object of its log makes.
pub(crate) fn commit_version(path: &str) -> Option<u64> {
    path.strip_prefix("_delta_log/")?.strip_suffix(".json")?.parse().ok()
}

/// The names that the Delta protocol gives to files of the log, and what writers leave there for a moment.
fn is_log_file(path: &str) -> bool {
    let Some(name) = path.strip_prefix("_delta_log/") else { return false };
    let number = name.get(..20).is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let kind = name.get(20..).unwrap_or_default();
    (number
        && (kind == ".json" || kind == ".crc" || kind.starts_with(".checkpoint.") || kind.ends_with(".compacted.json")))
        || name == "_last_checkpoint"
        || name.starts_with("_commit_")
}
