//! An object store that runs out of space, fails or is slow when it is told to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

/// A store in memory that takes so many more writes and then none.
#[derive(Debug)]
pub(super) struct Faulty {
    inner: InMemory,
    writes_left: AtomicI64,
    reads_left: AtomicI64,
    delay_ms: AtomicU64,
}

impl Faulty {
    pub(super) fn healthy() -> Arc<Self> {
        let many = || AtomicI64::new(i64::MAX);
        Arc::new(Self { inner: InMemory::new(), writes_left: many(), reads_left: many(), delay_ms: AtomicU64::new(0) })
    }

    /// From now on so many writes work.
    pub(super) fn full_after(&self, writes: i64) {
        self.writes_left.store(writes, Ordering::SeqCst);
    }

    /// From now on so many reads work.
    pub(super) fn unreadable_after(&self, reads: i64) {
        self.reads_left.store(reads, Ordering::SeqCst);
    }

    pub(super) fn heal(&self) {
        self.full_after(i64::MAX);
        self.unreadable_after(i64::MAX);
    }

    pub(super) fn slow(&self, delay: Duration) {
        self.delay_ms.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::SeqCst);
    }

    async fn spend(&self, budget: &AtomicI64, what: &'static str) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(self.delay_ms.load(Ordering::SeqCst))).await;
        if budget.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Ok(());
        }
        Err(object_store::Error::Generic { store: "faulty", source: what.into() })
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

const FULL: &str = "no space left on device";

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.spend(&self.writes_left, FULL).await?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.spend(&self.writes_left, FULL).await?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.spend(&self.reads_left, "the store does not answer").await?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.spend(&self.writes_left, FULL).await?;
        self.inner.copy_opts(from, to, options).await
    }
}
