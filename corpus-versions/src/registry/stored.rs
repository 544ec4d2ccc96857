use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, Stream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use super::in_background;
use super::layout::Layout;
use super::objects::Objects;
use crate::buckets::{Index, Sizes, spans};
use crate::diff::ManifestDiff;
use crate::error::Error;
use crate::manifest::{Manifest, ManifestEntry};
use crate::version::CorpusVersionRecord;

/// Spans that are read at once.
const READS_AT_ONCE: usize = 2;

/// A stored manifest in buckets, whose index was read and has the root on record.
pub(super) struct Stored {
    objects: Objects,
    path: Path,
    record: Arc<CorpusVersionRecord>,
    index: Arc<Index>,
}

impl Stored {
    pub(super) async fn open(
        objects: &Objects,
        layout: &Layout,
        record: CorpusVersionRecord,
        sizes: Sizes,
    ) -> Result<Self, Error> {
        let path = layout.manifest(record.root, record.format);
        let Some((start, size)) = objects.start(&path, Index::bytes_for(record.entries, sizes)).await? else {
            return Err(Error::MissingManifest { corpus: record.corpus, version: record.version });
        };
        let index = Index::decode_for(record.entries, sizes, &start).map_err(|reason| damaged(&record, reason))?;
        let (found, all) = (index.root(), index.subtree(0..index.len()));
        if found != record.root {
            let CorpusVersionRecord { corpus, version, root: registered, .. } = record;
            return Err(Error::VerifyManifest { corpus, version, registered, found });
        }
        let differs = [("bytes", size, index.object_bytes()), ("entries", all.entries, record.entries)];
        if let Some((what, found, expected)) = differs.into_iter().find(|(_, found, expected)| found != expected) {
            return Err(damaged(&record, format!("it has {found} {what} instead of {expected}")));
        }
        Ok(Self { objects: objects.clone(), path, record: Arc::new(record), index: Arc::new(index) })
    }

    /// All entries, part by part.
    pub(super) fn parts(&self, span_bytes: u64) -> impl Stream<Item = Result<Vec<ManifestEntry>, Error>> {
        let all = spans([&self.index, &self.index], span_bytes.saturating_mul(2), |_, _| true);
        let parts = all.into_iter().map(|span| self.entries(span.before));
        stream::iter(parts).buffered(READS_AT_ONCE)
    }

    /// All entries at once.
    pub(super) async fn manifest(&self, span_bytes: u64) -> Result<Manifest, Error> {
        let entries = self.parts(span_bytes).try_concat().await?;
        in_background(move || Manifest::from_entries(entries)).await
    }

    /// Compares with a newer manifest, of which only the buckets that differ are read, as of this one.
    pub(super) async fn diff(&self, after: &Self, span_bytes: u64) -> Result<ManifestDiff, Error> {
        let mut found = ManifestDiff::default();
        let differing = spans([&self.index, &after.index], span_bytes, |old, new| {
            if old == new {
                found.unchanged += old.entries;
            }
            old != new
        });
        let compared = differing.into_iter().map(|span| async {
            let (old, new) = futures::try_join!(self.entries(span.before), after.entries(span.after))?;
            in_background(move || Ok(ManifestDiff::of(old, new))).await
        });
        let mut parts = stream::iter(compared).buffered(READS_AT_ONCE);
        while let Some(part) = parts.try_next().await? {
            found.append(part);
        }
        found.sort();
        Ok(found)
    }

    async fn entries(&self, buckets: Range<usize>) -> Result<Vec<ManifestEntry>, Error> {
        let range = self.index.range(buckets.clone());
        let blocks = if range.is_empty() { Bytes::new() } else { self.objects.range(&self.path, range).await? };
        let (index, record) = (Arc::clone(&self.index), Arc::clone(&self.record));
        in_background(move || index.entries(buckets, &blocks).map_err(|reason| damaged(&record, reason))).await
    }
}

fn damaged(record: &CorpusVersionRecord, reason: String) -> Error {
    Error::DecodeManifest {
        corpus: record.corpus.clone(),
        version: record.version.clone(),
        source: Box::new(Error::StoredManifest { reason }),
    }
}
