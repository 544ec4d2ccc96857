use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, PutMode};
use tokio::io::AsyncWriteExt;

use super::in_background;
use super::layout::Layout;
use crate::buckets::EncodedManifest;
use crate::error::Error;

/// What is uploaded at a time; object stores ask for 5 MiB at least.
const PART_BYTES: usize = 8 * 1024 * 1024;
const PARTS_AT_ONCE: usize = 2;

/// The store with the errors of this crate.
#[derive(Debug, Clone)]
pub(super) struct Objects(Arc<dyn ObjectStore>);

/// What became of an object that was to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Creation {
    /// It was not there and is now.
    New,
    /// It was there and is as it was.
    Existing,
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(store)
    }

    /// The bytes of an object; `None` when there is none.
    pub(super) async fn get(&self, path: &Path) -> Result<Option<Bytes>, Error> {
        let read = async { self.0.get(path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::ReadObject { path: path.clone(), source }),
        }
    }

    /// At most `bytes` from the start of an object, and how many it has; `None` when there is none.
    pub(super) async fn start(&self, path: &Path, bytes: u64) -> Result<Option<(Bytes, u64)>, Error> {
        let options = GetOptions { range: Some((0..bytes).into()), ..GetOptions::default() };
        let read = async {
            let found = self.0.get_opts(path, options).await?;
            let size = found.meta.size;
            Ok((found.bytes().await?, size))
        };
        match read.await {
            Ok(read) => Ok(Some(read)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            // Of an object without bytes no part can be read.
            Err(source) => match self.0.head(path).await {
                Ok(object) if object.size == 0 => Ok(Some((Bytes::new(), 0))),
                _ => Err(Error::ReadObject { path: path.clone(), source }),
            },
        }
    }

    /// A part of an object.
    pub(super) async fn range(&self, path: &Path, range: Range<u64>) -> Result<Bytes, Error> {
        let read = self.0.get_range(path, range).await;
        read.map_err(|source| Error::ReadObject { path: path.clone(), source })
    }

    /// Writes a manifest, whether it is there or not. It is there once all of it is.
    pub(super) async fn put_manifest(&self, path: &Path, manifest: EncodedManifest) -> Result<(), Error> {
        let writer = BufWriter::with_capacity(Arc::clone(&self.0), path.clone(), PART_BYTES);
        let mut writer = writer.with_max_concurrency(PARTS_AT_ONCE);
        let failed = |source| Error::WriteObject { path: path.clone(), source };
        if let Err(error) = upload(&mut writer, manifest, failed).await {
            // The first error is the one to report.
            drop(writer.abort().await);
            return Err(error);
        }
        let written = writer.shutdown().await;
        written.map_err(|error| failed(object_store::Error::Generic { store: "upload", source: error.into() }))
    }

    /// Writes an object, whether it is there or not.
    pub(super) async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), Error> {
        match self.0.put(path, bytes.into()).await {
            Ok(_) => Ok(()),
            Err(source) => Err(Error::WriteObject { path: path.clone(), source }),
        }
    }

    /// Writes an object that is not there yet. Of two writers at once, one is told that it was there before.
    pub(super) async fn create(&self, path: &Path, bytes: Bytes) -> Result<Creation, Error> {
        match self.0.put_opts(path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Creation::New),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Creation::Existing),
            Err(source) => Err(Error::WriteObject { path: path.clone(), source }),
        }
    }

    /// The paths of all objects under a directory, in no order.
    pub(super) fn list(&self, prefix: &Path) -> BoxStream<'static, Result<Path, Error>> {
        let path = prefix.clone();
        self.0
            .list(Some(prefix))
            .map_ok(|object| object.location)
            .map_err(move |source| Error::ListObjects { path: path.clone(), source })
            .boxed()
    }

    /// The names of the directories and records right under a directory, as far as they can be told from their paths.
    pub(super) async fn names(&self, prefix: &Path) -> Result<Vec<String>, Error> {
        let found = self.0.list_with_delimiter(Some(prefix)).await;
        let found = found.map_err(|source| Error::ListObjects { path: prefix.clone(), source })?;
        let records = found.objects.into_iter().map(|object| object.location);
        Ok(found
            .common_prefixes
            .into_iter()
            .chain(records.filter(Layout::is_record))
            .filter_map(|path| Layout::name_of(path.filename()?))
            .collect())
    }
}

async fn upload(
    writer: &mut BufWriter,
    mut manifest: EncodedManifest,
    failed: impl Fn(object_store::Error) -> Error,
) -> Result<(), Error> {
    manifest.rewind()?;
    let mut part = manifest.index().encode();
    while !part.is_empty() {
        writer.put(part.into()).await.map_err(&failed)?;
        (manifest, part) = in_background(move || {
            let part = manifest.read(PART_BYTES as u64)?;
            Ok((manifest, part))
        })
        .await?;
    }
    Ok(())
}
