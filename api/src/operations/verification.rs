//! Whether a store is what its writers left: the tables against their chains of evidence, the manifests against their
//! roots, the audit log against its own chain.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tidemark_lake::{FindingKind, Table, Verified};
use tidemark_schema::{ErrorKind, TenantName, Timestamp};

use super::{Action, Caller, Error, Operations, is_about};
use crate::audit::Record;

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

/// Damaged files that were taken out of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Which table.
    pub table: &'static str,
    /// How many files.
    pub files: u64,
    /// How many events are in them.
    pub rows: u64,
}

/// Under which action the audit log tells of files that an interrupted write left.
const LEFTOVERS: &str = "leftovers";
/// How many of them are named.
const LEFTOVERS_NAMED: usize = 500;

impl Operations {
    /// Notes in the audit log which files no commit names, before anything is written: a process that was killed in the
    /// middle of a flush leaves some, and later they shall not be taken for something that was put there.
    pub async fn note_leftovers(&self, caller: &Caller) -> Result<(), Error> {
        let mut outcome = Ok(());
        for tenant in self.stores.tenants().await? {
            // A tenant that cannot be read keeps nobody else's from being noted.
            let noted = self.note_leftovers_of(&caller.of_tenant(tenant)).await;
            outcome = outcome.and(noted);
        }
        outcome
    }

    async fn note_leftovers_of(&self, caller: &Caller) -> Result<(), Error> {
        let store = self.store(caller, Action::MaintainStore).await?;
        let mut files = Vec::new();
        for table in Table::ALL {
            files.extend(store.lake.uncommitted(table).await?);
        }
        let before = self.stores.audit().read().map_err(Error::ReadAudit)?;
        let known = leftovers(&before.records, &caller.tenant);
        files.retain(|file| !known.contains(file.as_str()));
        files.truncate(LEFTOVERS_NAMED);
        if files.is_empty() {
            return Ok(());
        }
        self.record(caller, LEFTOVERS, json!({ "files": files })).map_err(Error::WriteAudit)
    }

    /// Reads everything. `head`, if given, must be the head of one of the chains at some time. `progress` gets the bytes that
    /// were read since it was called last.
    pub async fn verify(
        &self,
        caller: &Caller,
        head: Option<&str>,
        progress: impl FnMut(u64),
    ) -> Result<Verification, Error> {
        let verification = self.examine_evidence(caller, head, progress).await?;
        let heads: Vec<_> =
            verification.tables.iter().map(|table| json!({ "table": table.table, "head": table.head })).collect();
        let findings: usize = verification.tables.iter().map(|table| table.findings.len()).sum();
        let detail = json!({ "intact": verification.intact, "findings": findings, "heads": heads });
        // A store that can only be read can still be verified.
        self.record_if_possible(caller, "verify", detail);
        Ok(verification)
    }

    async fn examine_evidence(
        &self,
        caller: &Caller,
        head: Option<&str>,
        mut progress: impl FnMut(u64),
    ) -> Result<Verification, Error> {
        let store = self.store(caller, Action::VerifyStore).await?;
        let mut tables = Vec::new();
        for table in Table::ALL {
            tables.push(store.lake.verify(table, head, PATIENCE, &mut progress).await?);
        }
        let audit = self.stores.audit().read().map_err(Error::ReadAudit)?;
        let intact_before = |record: &&Record| record.action == "verify" && record.detail["intact"] == true;
        let mut of_tenant = audit.records.iter().rev().filter(|record| is_about(record, &caller.tenant));
        let last_intact = of_tenant.find(intact_before).map(|record| record.at);
        let mut verification = Verification {
            intact: false,
            at: self.now(),
            last_intact_at: last_intact,
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
            match store.registry.verify(&registered.corpus, &registered.version).await {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    let (corpus, version) = (&registered.corpus, &registered.version);
                    verification.damaged_manifests.push(format!("{corpus} {version}: {error}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let left = leftovers(&audit.records, &caller.tenant);
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

    /// Takes the damaged files that were found out of the tables, so that the rest can be read; says from which tables.
    pub async fn quarantine(&self, caller: &Caller, found: &Verification) -> Result<Vec<Quarantined>, Error> {
        let store = self.store(caller, Action::QuarantineFiles).await?;
        let mut quarantined = Vec::new();
        for (table, verified) in Table::ALL.into_iter().zip(&found.tables) {
            let (files, rows) = store.lake.set_aside(table, &verified.findings, self.now()).await?;
            if files > 0 {
                let detail =
                    json!({ "table": table.name(), "files": files, "rows": rows, "findings": verified.findings });
                self.record(caller, "set aside", detail).map_err(Error::WriteAudit)?;
                quarantined.push(Quarantined { table: table.name(), files, rows });
            }
        }
        Ok(quarantined)
    }
}

/// The files of a tenant that interrupted writes left, as the audit log says.
fn leftovers<'a>(records: &'a [Record], tenant: &TenantName) -> BTreeSet<&'a str> {
    let noted = records.iter().filter(|record| record.action == LEFTOVERS && is_about(record, tenant));
    noted.filter_map(|record| record.detail["files"].as_array()).flatten().filter_map(Value::as_str).collect()
}
