//! Whether a store is what its writers left: the tables against their chains of evidence, the manifests against their
//! roots, the audit log against its own chain.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tidemark_lake::{FindingKind, Table, Verified};
use tidemark_schema::{ErrorKind, Timestamp};

use crate::audit::Record;
use crate::wire::Store;

/// How long files that no commit names yet are given: a flush writes them a moment before.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was looked at, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Whether everything is as it was left.
    pub intact: bool,
    /// When it was looked at.
    pub at: Timestamp,
    /// When it was last found intact before, as the audit log of this machine says: what is wrong came after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_intact_at: Option<Timestamp>,
    /// The tables.
    pub tables: Vec<Verified>,
    /// Files that no commit names and that were there when the collector started: what an interrupted write left. No reader
    /// sees them, and they are swept by themselves.
    pub uncommitted: Vec<String>,
    /// Manifests that were read.
    pub manifests: u64,
    /// Manifests that are not what was registered: corpus, version and reason.
    pub damaged_manifests: Vec<String>,
    /// Records of the audit log.
    pub audit_records: u64,
    /// Where the audit log is broken.
    pub audit_breaks: Vec<String>,
    /// The hash of its newest record.
    pub audit_head: String,
}

/// Why a store could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tables could not be read.
    #[error(transparent)]
    Lake(#[from] tidemark_lake::Error),
    /// The registry could not be read.
    #[error(transparent)]
    Registry(#[from] tidemark_corpus::Error),
    /// The audit log could not be read.
    #[error("the audit log could not be read")]
    Audit(#[source] std::io::Error),
}

/// Under which action the audit log tells of files that an interrupted write left.
const LEFTOVERS: &str = "leftovers";
/// How many of them are named.
const LEFTOVERS_NAMED: usize = 500;

/// Notes in the audit log which files no commit names, before anything is written: a process that was killed in the middle
/// of a flush leaves some, and later they shall not be taken for something that was put there.
pub async fn note_leftovers(store: &Store, now: Timestamp) -> Result<(), Error> {
    let mut files = Vec::new();
    for table in Table::ALL {
        files.extend(store.lake.uncommitted(table).await?);
    }
    let audit = store.audit();
    let before = audit.read().map_err(Error::Audit)?;
    let known = leftovers(&before.records);
    files.retain(|file| !known.contains(file.as_str()));
    files.truncate(LEFTOVERS_NAMED);
    if files.is_empty() {
        return Ok(());
    }
    audit.append(now, "server", LEFTOVERS, json!({ "files": files })).map_err(Error::Audit)
}

/// The files that the audit log tells of as left by interrupted writes.
fn leftovers(records: &[Record]) -> BTreeSet<&str> {
    let told = records.iter().filter(|record| record.action == LEFTOVERS);
    told.filter_map(|record| record.detail["files"].as_array()).flatten().filter_map(Value::as_str).collect()
}

/// Reads everything. `head`, if given, must be the head of one of the chains at some time. `progress` is told how many bytes
/// were read.
pub async fn verify(
    store: &Store,
    head: Option<&str>,
    now: Timestamp,
    mut progress: impl FnMut(u64),
) -> Result<Verification, Error> {
    let mut tables = Vec::new();
    for table in Table::ALL {
        tables.push(store.lake.verify(table, head, PATIENCE, &mut progress).await?);
    }
    let audit = store.audit().read().map_err(Error::Audit)?;
    let last_intact =
        audit.records.iter().rev().find(|record| record.action == "verify" && record.detail["intact"] == true);
    let mut verification = Verification {
        intact: false,
        at: now,
        last_intact_at: last_intact.map(|record| record.at),
        tables,
        uncommitted: Vec::new(),
        manifests: 0,
        damaged_manifests: Vec::new(),
        audit_records: audit.records.len() as u64,
        audit_breaks: audit.breaks.clone(),
        audit_head: audit.head.clone(),
    };
    for registered in store.registry.list(None).await? {
        verification.manifests += 1;
        match store.registry.manifest(&registered.corpus, &registered.version).await {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                let (corpus, version) = (&registered.corpus, &registered.version);
                verification.damaged_manifests.push(format!("{corpus} {version}: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let left = leftovers(&audit.records);
    for table in &mut verification.tables {
        let (known, strange): (Vec<_>, Vec<_>) = std::mem::take(&mut table.findings)
            .into_iter()
            .partition(|found| found.kind == FindingKind::Extra && left.contains(found.path.as_str()));
        table.findings = strange;
        verification.uncommitted.extend(known.into_iter().map(|found| found.path));
    }
    let found_head =
        head.is_none() || verification.tables.iter().any(|table| table.contains_expected_head == Some(true));
    verification.intact = found_head
        && verification.tables.iter().all(|table| table.findings.is_empty())
        && verification.damaged_manifests.is_empty()
        && verification.audit_breaks.is_empty();
    Ok(verification)
}
