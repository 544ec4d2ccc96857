//! Which version of a corpus was registered last at a time: a copy of the registry, read again when it is old.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidemark_schema::{CorpusName, CorpusVersion, Timestamp};

use crate::operations::{Caller, Error, Operations};

/// How long a copy is used, in seconds.
const FRESH_S: i64 = 10;

/// The versions of each corpus by the time of their registration.
#[derive(Debug, Default)]
pub(crate) struct Versions(BTreeMap<CorpusName, BTreeMap<Timestamp, CorpusVersion>>);

impl Versions {
    /// The one that was registered last at this time.
    pub(crate) fn at(&self, corpus: &CorpusName, time: Timestamp) -> Option<CorpusVersion> {
        self.0.get(corpus)?.range(..=time).next_back().map(|(_, version)| version.clone())
    }
}

/// The newest copy, and when it was made.
#[derive(Debug, Default)]
pub(crate) struct Registered(Mutex<Option<(Timestamp, Arc<Versions>)>>);

impl Registered {
    /// A copy that is not older than a few seconds.
    pub(crate) async fn versions(
        &self,
        operations: &Operations,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Arc<Versions>, Error> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((made, versions)) = known
            && now < made.plus_seconds(FRESH_S)
        {
            return Ok(versions);
        }
        let mut versions = Versions::default();
        for record in operations.versions(caller, None).await? {
            versions.0.entry(record.corpus).or_default().insert(record.created_at, record.version);
        }
        let versions = Arc::new(versions);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&versions)));
        Ok(versions)
    }
}
