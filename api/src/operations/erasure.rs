//! Taking the events of a principal out of a store.

use std::time::Duration;

use futures::TryStreamExt;
use serde::Serialize;
use serde_json::json;
use tidemark_collector::{Collector, Settings};
use tidemark_lake::{Erased, Filter, Scan, Table};
use tidemark_schema::{FingerprintKey, Label};

use super::{Action, Caller, Error, Operations, permit};
use crate::store::Store;

/// Nothing can be erased before the log was read and its newest events were looked up in the tables.
const START_WAIT: Duration = Duration::from_mins(10);

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

impl Operations {
    /// How many events of a principal are in the tables.
    pub async fn count_events(&self, caller: &Caller, principal: &Label) -> Result<u64, Error> {
        let store = self.store(caller, Action::CountEvents).await?;
        let mut events = 0;
        for table in Table::ALL {
            let filters = vec![Filter::Principal(principal.clone())];
            let mut rows = store.lake.scan(Scan { table, filters, columns: vec!["event_id"], version: None }).await?;
            while let Some(batch) = rows.try_next().await? {
                events += batch.num_rows() as u64;
            }
        }
        Ok(events)
    }

    /// Brings what the write-ahead log holds into the tables and out of the log, for those who erase next and have reason to
    /// wait for it elsewhere.
    pub async fn empty_log(&self, caller: &Caller) -> Result<(), Error> {
        permit(caller, Action::EraseEvents)?;
        match &self.collector {
            // It holds events of the default tenant alone.
            Some(collector) if caller.tenant.is_default() => Ok(collector.forget_flushed().await?),
            _ => Ok(()),
        }
    }

    /// Takes all events of a principal out of the store: rewrites every file that holds one, and deletes all earlier
    /// versions of the tables.
    ///
    /// What the write-ahead log still holds is brought into the tables first, so that it does not come back. Without a
    /// collector of this process one is started for that, which fails while another process has the log. The log holds
    /// events of the default tenant alone.
    pub async fn erase(&self, caller: &Caller, principal: &Label) -> Result<Erasure, Error> {
        let store = self.store(caller, Action::EraseEvents).await?;
        let keys = self.stores.keys().load_or_create().await?;
        let own = if caller.tenant.is_default() && self.collector.is_none() {
            Some(self.start_and_forget().await?)
        } else {
            self.empty_log(caller).await?;
            None
        };
        let erased = self.erase_from(&store, caller, principal, &keys.current).await;
        if let Some(own) = own {
            own.shutdown().await?;
        }
        erased
    }

    async fn start_and_forget(&self) -> Result<Collector, Error> {
        let directory = self.stores.log_directory();
        let settings = Settings { start_wait: START_WAIT, ..Settings::in_directory(directory) };
        let collector = self.start_collector(settings).await?;
        collector.forget_flushed().await?;
        Ok(collector)
    }

    async fn erase_from(
        &self,
        store: &Store,
        caller: &Caller,
        principal: &Label,
        key: &FingerprintKey,
    ) -> Result<Erasure, Error> {
        // Principals of two tenants who have the same name are not the same.
        let of_tenant = if caller.tenant.is_default() { String::new() } else { format!(" of {}", caller.tenant) };
        let tombstone = key.fingerprint(&format!("erased principal {principal}{of_tenant}")).to_string();
        let mut erasure = Erasure { tombstone, rows: 0, tables: Vec::new() };
        for table in Table::ALL {
            let erased = store.lake.erase(table, principal, &erasure.tombstone, self.now()).await?;
            erasure.rows += erased.rows;
            erasure.tables.push(TableErasure { table: table.name(), erased });
        }
        let detail = json!({ "principal": erasure.tombstone, "rows": erasure.rows, "tables": erasure.tables });
        self.record_if_possible(caller, "erasure", detail);
        Ok(erasure)
    }
}
