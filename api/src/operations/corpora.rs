//! What each version of a corpus holds.

use tidemark_corpus::{CorpusVersionRecord, EncodedManifest, ManifestDiff, NewVersion, Qrels, Registered};
use tidemark_schema::{CorpusName, CorpusVersion};

use super::{Action, Caller, Error, Operations};

impl Operations {
    /// The versions of a corpus, or of all, by corpus and time of registration.
    pub async fn versions(
        &self,
        caller: &Caller,
        corpus: Option<&CorpusName>,
    ) -> Result<Vec<CorpusVersionRecord>, Error> {
        let store = self.store(caller, Action::ListVersions).await?;
        Ok(store.registry.list(corpus).await?)
    }

    /// What is on record about a version.
    pub async fn version(
        &self,
        caller: &Caller,
        corpus: &CorpusName,
        version: &CorpusVersion,
    ) -> Result<CorpusVersionRecord, Error> {
        let store = self.store(caller, Action::ShowVersion).await?;
        Ok(store.registry.show(corpus, version).await?)
    }

    /// What changed from one version of a corpus to another.
    pub async fn diff_versions(
        &self,
        caller: &Caller,
        corpus: &CorpusName,
        [from, to]: [&CorpusVersion; 2],
    ) -> Result<ManifestDiff, Error> {
        let store = self.store(caller, Action::DiffVersions).await?;
        Ok(store.registry.diff(corpus, from, to).await?)
    }

    /// Puts a version on record.
    pub async fn register_version(
        &self,
        caller: &Caller,
        new: NewVersion,
        manifest: EncodedManifest,
    ) -> Result<Registered, Error> {
        let store = self.store_or_new(caller, Action::RegisterVersion).await?;
        Ok(store.registry.register_encoded(new, manifest).await?)
    }

    /// Puts the judgements of a corpus on record, in place of those that were there.
    pub async fn put_qrels(&self, caller: &Caller, corpus: &CorpusName, qrels: &Qrels) -> Result<(), Error> {
        let store = self.store_or_new(caller, Action::PutQrels).await?;
        Ok(store.registry.put_qrels(corpus, qrels).await?)
    }
}
