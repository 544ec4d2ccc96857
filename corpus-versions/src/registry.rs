mod layout;
mod nearest;
mod objects;
mod stored;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::path::Path;
use serde::Serialize;
use tidemark_schema::{CorpusName, CorpusVersion};

use crate::buckets::{EncodedManifest, Sizes};
use crate::diff::{ManifestDiff, diff};
use crate::error::Error;
use crate::manifest::Manifest;
use crate::merkle::{MerkleRoot, list_root};
use crate::qrels::Qrels;
use crate::read::read_own_parquet;
use crate::version::{CorpusVersionRecord, ManifestFormat, NewVersion};
use crate::write::write_parquet;
use layout::Layout;
use nearest::nearest;
use objects::{Creation, Objects};
use stored::Stored;

/// Records read at once by [`Registry::list`].
const READS_AT_ONCE: usize = 16;

/// The corpus versions in an object store.
///
/// Under the prefix lie `versions/<corpus>/<version>.json`, one record each, and `manifests/<root>.buckets`, which
/// versions of the same content share (`manifests/<root>.parquet` for those that were registered in the earlier format); `judgements/<corpus>.json` is what people judged. Names are percent-encoded to one
/// path part each.
///
/// A version is registered once its record is there. The manifest is written before, and the record is created, never
/// overwritten; so a record without a manifest means damage, a manifest without a record a registration that was cut off,
/// and of two registrations at once one is told of the other. Any number of processes may use the same store.
///
/// Encoding and decoding run on the blocking threads of tokio, so every method needs its runtime.
#[derive(Debug, Clone)]
pub struct Registry {
    objects: Objects,
    layout: Layout,
    sizes: Sizes,
}

/// A version is on record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Registered {
    /// What is on record.
    pub record: CorpusVersionRecord,
    /// The version was there before, with the same root.
    pub already_registered: bool,
    /// The fields in which the caller's words differ from the record, which stays as it was. Empty for a new version.
    pub kept: Vec<&'static str>,
}

impl Registry {
    /// A registry under a prefix of a store. Reads and writes nothing yet.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self { objects: Objects::new(store), layout: Layout::new(prefix), sizes: Sizes::default() }
    }

    /// Puts a version on record, in the state `Registered`.
    ///
    /// The same version with the same root again is fine: the record stays, and a damaged or lost manifest is written
    /// anew. With another root it is refused ([`Error::RegisterOtherRoot`]), as is a parent that is not registered.
    pub async fn register(&self, new: NewVersion, manifest: Manifest) -> Result<Registered, Error> {
        let sizes = self.sizes;
        let encoded = in_background(move || manifest.encode_with(sizes)).await?;
        self.register_encoded(new, encoded).await
    }

    /// [`Self::register`] for a manifest that was read without holding it in memory.
    pub async fn register_encoded(&self, new: NewVersion, manifest: EncodedManifest) -> Result<Registered, Error> {
        let path = self.layout.record(&new.corpus, &new.version);
        let offered = new.into_record(manifest.root(), manifest.len());
        let existing = self.read_record(&path).await?;
        if let Some(existing) = &existing {
            if existing.format == ManifestFormat::Parquet {
                return self.register_again_as_parquet(existing, &offered, manifest).await;
            }
            same_root(existing, offered.root)?;
        } else if let Some(parent) = &offered.parent {
            self.check_parent(&offered.corpus, parent).await?;
        }
        // Overwriting is safe: the name is made from the content, so whoever wrote it first wrote the same manifest.
        self.objects.put_manifest(&self.layout.manifest(offered.root, offered.format), manifest).await?;
        if let Some(existing) = existing {
            return Ok(already(existing, &offered));
        }
        let json =
            serde_json::to_vec_pretty(&offered).map_err(|source| Error::EncodeRecord { path: path.clone(), source })?;
        if self.objects.create(&path, json.into()).await? == Creation::New {
            return Ok(Registered { record: offered, already_registered: false, kept: Vec::new() });
        }
        // Somebody else was first, between the look above and now.
        let existing = self.show(&offered.corpus, &offered.version).await?;
        same_root(&existing, offered.root)?;
        Ok(already(existing, &offered))
    }

    /// A version that is on record with the root of a list keeps it, and its manifest in Parquet. All of it is in memory.
    async fn register_again_as_parquet(
        &self,
        existing: &CorpusVersionRecord,
        offered: &CorpusVersionRecord,
        manifest: EncodedManifest,
    ) -> Result<Registered, Error> {
        let (root, parquet) = in_background(move || {
            let manifest = manifest.into_manifest()?;
            Ok((list_root(manifest.entries()), write_parquet(&manifest)?))
        })
        .await?;
        same_root(existing, root)?;
        self.objects.put(&self.layout.manifest(root, ManifestFormat::Parquet), parquet).await?;
        Ok(already(existing.clone(), offered))
    }

    /// The versions of one corpus or of all, by corpus, then time, then name. Empty when there are none.
    pub async fn list(&self, corpus: Option<&CorpusName>) -> Result<Vec<CorpusVersionRecord>, Error> {
        let prefix = corpus.map_or_else(|| self.layout.corpora(), |corpus| self.layout.versions(corpus));
        let mut records: Vec<CorpusVersionRecord> = self
            .objects
            .list(&prefix)
            .try_filter(|path| std::future::ready(Layout::is_record(path)))
            .map(|path| async { self.read_record(&path?).await })
            .buffer_unordered(READS_AT_ONCE)
            .try_filter_map(|record| std::future::ready(Ok(record)))
            .try_collect()
            .await?;
        records.sort_by(|a, b| (&a.corpus, a.created_at, &a.version).cmp(&(&b.corpus, b.created_at, &b.version)));
        Ok(records)
    }

    /// One version.
    pub async fn show(&self, corpus: &CorpusName, version: &CorpusVersion) -> Result<CorpusVersionRecord, Error> {
        match self.read_record(&self.layout.record(corpus, version)).await? {
            Some(record) => Ok(record),
            None => Err(self.unknown(corpus, version).await?),
        }
    }

    /// The version of a corpus that was registered last; `None` when it has none.
    pub async fn latest(&self, corpus: &CorpusName) -> Result<Option<CorpusVersionRecord>, Error> {
        Ok(self.list(Some(corpus)).await?.pop())
    }

    /// What a version holds. The root is computed again from what was read: a manifest that was altered in the store is
    /// reported ([`Error::VerifyManifest`]), never returned.
    pub async fn manifest(&self, corpus: &CorpusName, version: &CorpusVersion) -> Result<Manifest, Error> {
        self.manifest_of(self.show(corpus, version).await?).await
    }

    /// Checks that the stored manifest of a version is what was registered, to the byte. Holds a few blocks of it at a time,
    /// or all of it when it is stored as Parquet.
    pub async fn verify(&self, corpus: &CorpusName, version: &CorpusVersion) -> Result<(), Error> {
        let record = self.show(corpus, version).await?;
        if record.format == ManifestFormat::Parquet {
            return self.manifest_of(record).await.map(drop);
        }
        let stored = self.stored(record).await?;
        stored.parts(self.sizes.span_bytes).try_for_each(|_| std::future::ready(Ok(()))).await
    }

    async fn stored(&self, record: CorpusVersionRecord) -> Result<Stored, Error> {
        Stored::open(&self.objects, &self.layout, record, self.sizes).await
    }

    async fn manifest_of(&self, record: CorpusVersionRecord) -> Result<Manifest, Error> {
        if record.format == ManifestFormat::Buckets {
            return self.stored(record).await?.manifest(self.sizes.span_bytes).await;
        }
        let CorpusVersionRecord { corpus, version, root, entries, .. } = record;
        let bytes = self.objects.get(&self.layout.manifest(root, ManifestFormat::Parquet)).await?;
        let Some(bytes) = bytes else { return Err(Error::MissingManifest { corpus, version }) };
        in_background(move || {
            let decoded = read_own_parquet(bytes, entries);
            match decoded.map(|manifest| (list_root(manifest.entries()), manifest)) {
                Ok((found, manifest)) if found == root => Ok(manifest),
                Ok((found, _)) => Err(Error::VerifyManifest { corpus, version, registered: root, found }),
                Err(source) => Err(Error::DecodeManifest { corpus, version, source: Box::new(source) }),
            }
        })
        .await
    }

    /// Keeps what people judged of a corpus, in place of what was kept before.
    pub async fn put_qrels(&self, corpus: &CorpusName, qrels: &Qrels) -> Result<(), Error> {
        let path = self.layout.judgements(corpus);
        let json = serde_json::to_vec(qrels).map_err(|source| Error::EncodeRecord { path: path.clone(), source })?;
        self.objects.put(&path, json.into()).await
    }

    /// What people judged of a corpus.
    pub async fn qrels(&self, corpus: &CorpusName) -> Result<Option<Qrels>, Error> {
        let path = self.layout.judgements(corpus);
        let Some(bytes) = self.objects.get(&path).await? else { return Ok(None) };
        in_background(move || {
            serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| Error::DecodeRecord { path, reason: error.to_string() })
        })
        .await
    }

    /// What changed from the version `before` to the version `after` of a corpus.
    ///
    /// Of both manifests the index and the buckets that differ are read, so it costs as much as has changed; memory grows
    /// with the documents that changed. Where one of them is stored as Parquet, both are read and held as a whole.
    pub async fn diff(
        &self,
        corpus: &CorpusName,
        before: &CorpusVersion,
        after: &CorpusVersion,
    ) -> Result<ManifestDiff, Error> {
        let (before, after) = futures::try_join!(self.show(corpus, before), self.show(corpus, after))?;
        if [before.format, after.format] == [ManifestFormat::Buckets; 2] {
            let (before, after) = futures::try_join!(self.stored(before), self.stored(after))?;
            return before.diff(&after, self.sizes.span_bytes).await;
        }
        let (before, after) = futures::try_join!(self.manifest_of(before), self.manifest_of(after))?;
        in_background(move || Ok(diff(&before, &after))).await
    }

    async fn read_record(&self, path: &Path) -> Result<Option<CorpusVersionRecord>, Error> {
        let Some(bytes) = self.objects.get(path).await? else {
            return Ok(None);
        };
        let damaged = |reason: String| Error::DecodeRecord { path: path.clone(), reason };
        let record: CorpusVersionRecord = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if self.layout.record(&record.corpus, &record.version) == *path {
            Ok(Some(record))
        } else {
            Err(damaged(format!("it belongs to version {} of the corpus {}", record.version, record.corpus)))
        }
    }

    async fn check_parent(&self, corpus: &CorpusName, parent: &CorpusVersion) -> Result<(), Error> {
        if self.read_record(&self.layout.record(corpus, parent)).await?.is_some() {
            return Ok(());
        }
        let versions = self.objects.names(&self.layout.versions(corpus)).await?;
        Err(Error::UnknownParent {
            corpus: corpus.clone(),
            parent: parent.clone(),
            nearest: nearest(versions, parent.as_str()),
        })
    }

    /// The error for a version that is not there, with what is.
    async fn unknown(&self, corpus: &CorpusName, version: &CorpusVersion) -> Result<Error, Error> {
        let versions = self.objects.names(&self.layout.versions(corpus)).await?;
        if !versions.is_empty() {
            return Ok(Error::UnknownVersion {
                corpus: corpus.clone(),
                version: version.clone(),
                nearest: nearest(versions, version.as_str()),
            });
        }
        let corpora = self.objects.names(&self.layout.corpora()).await?;
        Ok(Error::UnknownCorpus { corpus: corpus.clone(), nearest: nearest(corpora, corpus.as_str()) })
    }
}

fn same_root(existing: &CorpusVersionRecord, offered: MerkleRoot) -> Result<(), Error> {
    if existing.root == offered {
        return Ok(());
    }
    Err(Error::RegisterOtherRoot {
        corpus: existing.corpus.clone(),
        version: existing.version.clone(),
        registered: existing.root,
        offered,
    })
}

fn already(existing: CorpusVersionRecord, offered: &CorpusVersionRecord) -> Registered {
    let differs = [
        ("parent", existing.parent != offered.parent),
        ("embedder", existing.embedder != offered.embedder),
        ("index", existing.index != offered.index),
        ("index_params", existing.index_params != offered.index_params),
        ("source", existing.source != offered.source),
        ("creator", existing.creator != offered.creator),
    ];
    Registered {
        record: existing,
        already_registered: true,
        kept: differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect(),
    }
}

/// A million entries take a second: too long for a thread that serves requests.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|source| Error::RunInBackground { source })?
}

#[cfg(test)]
mod scale;
#[cfg(test)]
mod tests;
