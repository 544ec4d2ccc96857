use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};

use super::layout::Layout;
use crate::error::Error;

/// The store with the errors of this crate.
#[derive(Debug, Clone)]
pub(super) struct Objects(Arc<dyn ObjectStore>);

/// What became of an object that was to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It was not there and is now.
    New,
    /// It was there and is as it was.
    ThereBefore,
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

    /// Writes an object, whether it is there or not.
    pub(super) async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), Error> {
        match self.0.put(path, bytes.into()).await {
            Ok(_) => Ok(()),
            Err(source) => Err(Error::WriteObject { path: path.clone(), source }),
        }
    }

    /// Writes an object that is not there yet. Of two writers at once, one is told that it was there before.
    pub(super) async fn create(&self, path: &Path, bytes: Bytes) -> Result<Written, Error> {
        match self.0.put_opts(path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Written::New),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Written::ThereBefore),
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
