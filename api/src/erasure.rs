//! Taking the events of a principal out of a store.

use serde::Serialize;
use serde_json::json;
use tidemark_lake::{Erased, Share, Table};
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

/// What an erasure would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// Events that name the principal.
    pub named: u64,
    /// Events that name nobody and are of an operation or a trace in which another one names it.
    pub nameless: u64,
}

/// Counts the events of a principal.
pub async fn owned(store: &Store, principal: &Label) -> Result<Owned, tidemark_lake::Error> {
    let owner = store.lake.owner(principal).await?;
    let mut owned = Owned { named: 0, nameless: 0 };
    for table in Table::ALL {
        owned.named += store.lake.owned(table, &owner, Share::Named).await?;
        owned.nameless += store.lake.owned(table, &owner, Share::Nameless).await?;
    }
    Ok(owned)
}

/// Rewrites every file that holds events of the principal, also those that do not name it ([`tidemark_lake::Owner`]), and deletes all earlier versions of the tables. The write-ahead
/// log must have been brought into the tables before, and hold nothing that is in them.
pub async fn erase(
    store: &Store,
    key: &FingerprintKey,
    principal: &Label,
    actor: &str,
    now: Timestamp,
) -> Result<Erasure, tidemark_lake::Error> {
    let tombstone = key.fingerprint(&format!("erased principal {principal}")).to_string();
    let owner = store.lake.owner(principal).await?;
    let mut tables = Table::ALL.map(|table| TableErasure { table: table.name(), erased: Erased::default() });
    for share in Share::ALL {
        for (table, told) in Table::ALL.into_iter().zip(&mut tables) {
            told.erased = told.erased.and(store.lake.erase(table, &owner, share, &tombstone, now).await?);
        }
    }
    let rows = tables.iter().map(|table| table.erased.rows).sum();
    let erasure = Erasure { tombstone, rows, tables: tables.into() };
    let detail = json!({ "principal": erasure.tombstone, "rows": erasure.rows, "tables": erasure.tables });
    if let Err(error) = store.audit().append(now, actor, "erasure", detail) {
        tracing::error!(%error, "the audit log could not be written");
    }
    Ok(erasure)
}
