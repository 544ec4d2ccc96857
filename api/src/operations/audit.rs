//! What was done to the store.

use crate::audit::{Contents, Record};

use super::{Action, Caller, Error, Operations, is_about};

/// A part of the audit log, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<Record>,
    /// How many records that were asked for are not among them: older ones for [`Operations::newest_records`], newer ones
    /// for [`Operations::records_after`].
    pub left_out: usize,
    /// Where the chain of hashes is broken; empty when it is whole.
    pub breaks: Vec<String>,
    /// The hash of the newest record of the log.
    pub head: String,
}

impl Operations {
    /// At most `most` records with numbers after `after`, of one action or of all.
    pub async fn records_after(
        &self,
        caller: &Caller,
        action: Option<&str>,
        after: u64,
        most: usize,
    ) -> Result<AuditPage, Error> {
        let Contents { mut records, breaks, head } = self.audit_log(caller, action).await?;
        records.retain(|record| record.number > after);
        let left_out = records.len().saturating_sub(most);
        records.truncate(most);
        Ok(AuditPage { records, left_out, breaks, head })
    }

    /// The newest `most` records, of one action or of all.
    pub async fn newest_records(&self, caller: &Caller, action: Option<&str>, most: usize) -> Result<AuditPage, Error> {
        let Contents { mut records, breaks, head } = self.audit_log(caller, action).await?;
        let left_out = records.len().saturating_sub(most);
        records.drain(..left_out);
        Ok(AuditPage { records, left_out, breaks, head })
    }

    async fn audit_log(&self, caller: &Caller, action: Option<&str>) -> Result<Contents, Error> {
        self.store(caller, Action::ReadAudit).await?;
        let log = self.stores.audit();
        let read = tokio::task::spawn_blocking(move || log.read()).await;
        let mut contents = read.map_err(std::io::Error::other).flatten().map_err(Error::ReadAudit)?;
        let wanted = |record: &Record| action.is_none_or(|action| record.action == action);
        contents.records.retain(|record| wanted(record) && is_about(record, &caller.tenant));
        Ok(contents)
    }
}
