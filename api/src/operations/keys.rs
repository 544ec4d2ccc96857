//! The keys that make fingerprints of texts.

use serde_json::json;
use tidemark_schema::{FingerprintKey, FingerprintKeys, TenantName};

use super::{Action, Caller, Error, Operations};

/// The keys are those of all tenants, whichever is named.
fn of_all_tenants(caller: &Caller) -> Caller {
    caller.of_tenant(TenantName::default())
}

impl Operations {
    /// The keys, which are made if there are none.
    pub async fn keys(&self, caller: &Caller) -> Result<FingerprintKeys, Error> {
        self.store(caller, Action::ShowKeys).await?;
        Ok(self.stores.keys().load_or_create().await?)
    }

    /// Makes a new key and keeps the one before.
    pub async fn rotate_keys(&self, caller: &Caller) -> Result<FingerprintKeys, Error> {
        self.store(caller, Action::RotateKeys).await?;
        let keys = self.stores.keys().rotate().await?;
        let previous = keys.previous.as_ref().map(FingerprintKey::id);
        let detail = json!({ "key": keys.current.id(), "previous": previous });
        self.record(&of_all_tenants(caller), "key", detail).map_err(Error::WriteAudit)?;
        Ok(keys)
    }

    /// Forgets the key before: fingerprints that were made with it match nothing any more.
    pub async fn forget_previous_key(&self, caller: &Caller) -> Result<FingerprintKeys, Error> {
        self.store(caller, Action::ForgetKey).await?;
        self.stores.keys().forget_previous()?;
        let keys = self.stores.keys().load_or_create().await?;
        self.record(&of_all_tenants(caller), "key", json!({ "key": keys.current.id() })).map_err(Error::WriteAudit)?;
        Ok(keys)
    }
}
