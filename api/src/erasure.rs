//! Taking the events of a principal out of a store.

use serde::Serialize;
use serde_json::json;
use tidemark_lake::{Erased, Table};
use tidemark_schema::{FingerprintKey, Label, Timestamp};

use crate::wire::Store;

/// What an erasure did. What is left of the principal is `tombstone`, in the chain of evidence and in the audit log: a keyed
/// hash of its name, by which those who have the key and the name can prove that the erasure was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// The keyed hash of the principal's name.
    pub tombstone: String,
    /// Rows of retrievals that are gone, and of outputs.
    pub rows: u64,
    /// The tables, in the order retrievals, outputs.
    pub tables: Vec<TableErasure>,
}

/// What an erasure did to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableErasure {
    /// Which one.
    pub table: &'static str,
    /// What was done.
    #[serde(flatten)]
    pub erased: Erased,
}

/// Rewrites every file that holds events of the principal and deletes all earlier versions of the tables. The write-ahead
/// log must have been brought into the tables before, and hold nothing that is in them.
pub async fn erase(
    store: &Store,
    key: &FingerprintKey,
    principal: &Label,
    actor: &str,
    now: Timestamp,
) -> Result<Erasure, tidemark_lake::Error> {
    let tombstone = key.fingerprint(&format!("erased principal {principal}")).to_string();
    let mut erasure = Erasure { tombstone, rows: 0, tables: Vec::new() };
    for table in Table::ALL {
        let erased = store.lake.erase(table, principal, &erasure.tombstone, now).await?;
        erasure.rows += erased.rows;
        erasure.tables.push(TableErasure { table: table.name(), erased });
    }
    let detail = json!({ "principal": erasure.tombstone, "rows": erasure.rows, "tables": erasure.tables });
    if let Err(error) = store.audit().append(now, actor, "erasure", detail) {
        tracing::error!(%error, "the audit log could not be written");
    }
    Ok(erasure)
}
