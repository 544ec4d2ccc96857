//! What can be done with a store: one function for each [`Action`].
//!
//! Each takes the [`Caller`], looks first whether the caller may do that ([`Error::Denied`]) and which tenant's data is
//! meant, and returns what is to be shown. What changes something is recorded in the audit log here, under the name of the
//! caller. The command line, HTTP and gRPC call these functions and nothing beneath them.

mod action;
mod audit;
mod caller;
mod comparisons;
mod corpora;
mod erasure;
mod error;
mod examination;
pub mod export;
pub mod import;
mod keys;
pub mod maintenance;
mod policy;
mod sql;
pub mod storage;
#[cfg(test)]
mod tests;
mod traces;
mod verification;

use std::sync::Arc;

use serde_json::Value;
use tidemark_collector::intake::{Answers, Read};
use tidemark_collector::policy::Policy;
use tidemark_collector::{Collector, Settings};
use tidemark_lake::Location;
use tidemark_schema::{Clock, TenantName, Timestamp};

use crate::audit::Record;
use crate::store::{LakeSink, LocalDirectories, Store, Stores};

pub use action::{Action, Verb};
pub use audit::AuditPage;
pub use caller::{Caller, Rights};
pub use comparisons::Comparison;
pub use erasure::{Erasure, TableErasure};
pub use error::Error;
pub use examination::{CorpusFindings, Examination, TableFindings};
pub use traces::Trace;
pub use verification::{Quarantined, Verification};

/// What can be done with a store. Cloning is cheap.
#[derive(Clone)]
pub struct Operations {
    stores: Arc<Stores>,
    clock: Arc<dyn Clock>,
    policy: Arc<Policy>,
    /// The running collector of this process; without one, the write-ahead log is nobody's.
    collector: Option<Arc<Collector>>,
}

impl Operations {
    /// Operations on the store at a place, which is opened or made when it is first needed.
    pub fn on(location: Location, directories: LocalDirectories, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let stores = Arc::new(Stores::at(location, directories)?);
        Ok(Self { stores, clock, policy: Arc::default(), collector: None })
    }

    /// The same under a policy.
    #[must_use]
    pub fn with_policy(self, policy: Arc<Policy>) -> Self {
        Self { policy, ..self }
    }

    /// The same with the collector that this process runs.
    #[must_use]
    pub fn with_collector(self, collector: Arc<Collector>) -> Self {
        Self { collector: Some(collector), ..self }
    }

    /// The store, for what runs beside the operations: the collector, maintenance and the names of the keys.
    pub fn stores(&self) -> &Arc<Stores> {
        &self.stores
    }

    /// What is kept of whom.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Starts a collector that hands its events to the default tenant's tables.
    pub async fn start_collector(&self, settings: Settings) -> Result<Collector, Error> {
        let store = self.stores.create(&TenantName::default()).await?;
        let sink = Arc::new(LakeSink(Arc::clone(&store.lake)));
        Ok(Collector::start(settings, sink, Arc::clone(&self.clock)).await?)
    }

    /// Makes what is missing of the store that the caller asks for.
    pub async fn create_store(&self, caller: &Caller) -> Result<(), Error> {
        self.stores.create(&caller.tenant).await?;
        Ok(())
    }

    /// Whether the caller may send events, and the collector would take them now: who asks first need not read what would be
    /// refused.
    pub fn ready_to_ingest(&self, caller: &Caller) -> Result<(), Error> {
        permit(caller, Action::IngestEvents)?;
        Ok(self.running_collector()?.ready()?)
    }

    /// Makes the events of a request durable; says what became of each.
    pub async fn ingest(&self, caller: &Caller, read: Read) -> Result<Answers, Error> {
        permit(caller, Action::IngestEvents)?;
        Ok(self.running_collector()?.ingest(read).await?)
    }

    fn running_collector(&self) -> Result<&Collector, Error> {
        self.collector.as_deref().ok_or(Error::Collector(tidemark_collector::Error::Stopped))
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the caller may work on, if it may do that.
    async fn store(&self, caller: &Caller, action: Action) -> Result<Arc<Store>, Error> {
        permit(caller, action)?;
        Ok(self.stores.open(&caller.tenant).await?)
    }

    /// The same where the action makes what is missing.
    async fn store_or_new(&self, caller: &Caller, action: Action) -> Result<Arc<Store>, Error> {
        permit(caller, action)?;
        Ok(self.stores.create(&caller.tenant).await?)
    }

    /// Records in the audit log what was done.
    fn record(&self, caller: &Caller, action: &str, detail: Value) -> std::io::Result<()> {
        self.stores.audit().append(self.now(), caller.actor, action, of_tenant(&caller.tenant, detail))
    }

    /// The same for what is done already and stays done, whether or not the disk of the audit log takes the record.
    fn record_if_possible(&self, caller: &Caller, action: &str, detail: Value) {
        if let Err(error) = self.record(caller, action, detail) {
            tracing::error!(%error, action, "the audit log could not be written");
        }
    }
}

/// Whether the caller may do that.
fn permit(caller: &Caller, action: Action) -> Result<(), Error> {
    if caller.rights.allow(action) {
        return Ok(());
    }
    let named = caller.principal.as_ref().map_or_else(|| caller.actor.to_owned(), ToString::to_string);
    Err(Error::Denied { caller: named, action })
}

/// Whether a record of the audit log is about a tenant's data.
fn is_about(record: &Record, tenant: &TenantName) -> bool {
    record.detail["tenant"].as_str().map_or_else(|| tenant.is_default(), |named| named == tenant.as_str())
}

/// Records of the default tenant do not name it: there is none in most stores.
fn of_tenant(tenant: &TenantName, mut detail: Value) -> Value {
    if let (false, Some(fields)) = (tenant.is_default(), detail.as_object_mut()) {
        fields.insert("tenant".to_owned(), Value::from(tenant.as_str()));
    }
    detail
}
