use std::io::{self, Read, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;
use tidemark_schema::DocumentId;

use super::index::{Bucket, Index};
use super::sort::Sorter;
use super::{BUCKET_ENTRIES, block, bucket_of, depth_of};
use crate::encoding::decode;
use crate::error::Error;
use crate::manifest::{Manifest, ManifestEntry};
use crate::merkle::{MerkleRoot, Placed, subtree};

/// Blocks beyond these bytes lie in a temporary file.
const BLOCKS_IN_MEMORY_BYTES: usize = 8 * 1024 * 1024;
const COMPRESSION_LEVEL: i32 = 3;

/// What is held in memory, and how the object is divided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Entries are put aside when they take as much.
    pub(crate) run_bytes: usize,
    /// Entries of a bucket on average, at most.
    pub(crate) bucket_entries: u64,
    /// Blocks that are read and compared at a time, compressed.
    pub(crate) span_bytes: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { run_bytes: 16 * 1024 * 1024, bucket_entries: BUCKET_ENTRIES, span_bytes: 1024 * 1024 }
    }
}

/// A manifest in its stored form, ready to be put on record.
///
/// It is made entry by entry, and takes about 50 MiB of memory however many there are: 16 MiB of them are sorted at a
/// time (twice that while the memory for them grows) and put aside in a temporary file, from which 32 KiB of each such run
/// are read ahead while they are merged; 8 MiB of the result are in memory, the rest in another temporary file. For each 512
/// entries, 100 bytes of the index are added.
#[derive(Debug)]
pub struct EncodedManifest {
    index: Index,
    blocks: SpooledTempFile,
    entries: u64,
    root: MerkleRoot,
}

/// Takes the entries of a manifest in any order.
pub(crate) struct Encoder {
    sorter: Sorter,
    sizes: Sizes,
}

impl Encoder {
    pub(crate) fn new(sizes: Sizes) -> Self {
        Self { sorter: Sorter::new(sizes.run_bytes), sizes }
    }

    pub(crate) fn push(&mut self, entry: &ManifestEntry) -> Result<(), Error> {
        self.sorter.push(entry)
    }

    /// Refuses a document that is named twice, as [`Manifest::from_entries`] does; of several the first by its id.
    pub(crate) fn finish(self) -> Result<EncodedManifest, Error> {
        let entries = self.sorter.len();
        let depth = depth_of(entries, self.sizes.bucket_entries);
        let mut blocks = Blocks::new(depth).map_err(|source| Error::SortEntries { source })?;
        let mut bucket: Vec<Placed> = Vec::new();
        let mut twice: Option<DocumentId> = None;
        for entry in self.sorter.finish()? {
            let (place, encoding) = entry?;
            if bucket.last().is_some_and(|(last, _)| *last == place) {
                let doc_id = decode(&encoding).map_err(|reason| Error::StoredManifest { reason })?.doc_id;
                twice = Some(twice.map_or(doc_id.clone(), |first| first.min(doc_id)));
                continue;
            }
            blocks.close_until(bucket_of(&place, depth), &mut bucket)?;
            bucket.push((place, encoding));
        }
        if let Some(doc_id) = twice {
            return Err(Error::DuplicateDocument { doc_id });
        }
        blocks.close_until(1 << depth, &mut bucket)?;
        let index = Index::new(depth, blocks.buckets);
        Ok(EncodedManifest { root: index.root(), index, blocks: blocks.out, entries })
    }
}

/// The blocks as far as they are written.
struct Blocks {
    depth: u32,
    buckets: Vec<Bucket>,
    bytes: u64,
    out: SpooledTempFile,
    compressor: zstd::bulk::Compressor<'static>,
}

impl Blocks {
    fn new(depth: u32) -> io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?;
        let out = SpooledTempFile::new(BLOCKS_IN_MEMORY_BYTES);
        Ok(Self { depth, buckets: Vec::new(), bytes: 0, out, compressor })
    }

    /// Writes the entries as the bucket that is next, and leaves those between it and `number` empty.
    fn close_until(&mut self, number: usize, entries: &mut Vec<Placed>) -> Result<(), Error> {
        while self.buckets.len() < number {
            let block =
                if entries.is_empty() { Ok(Vec::new()) } else { self.compressor.compress(&block::content_of(entries)) };
            let written = block.and_then(|block| self.out.write_all(&block).map(|()| block));
            let block = written.map_err(|source| Error::SortEntries { source })?;
            self.buckets.push(Bucket {
                subtree: subtree(entries, self.depth),
                checksum: blake3::hash(&block),
                start: self.bytes,
                bytes: block.len() as u64,
            });
            self.bytes += block.len() as u64;
            entries.clear();
        }
        Ok(())
    }
}

impl EncodedManifest {
    /// How many documents it holds.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// What stands for the whole content.
    pub fn root(&self) -> MerkleRoot {
        self.root
    }

    /// The first bytes of the object; the blocks follow.
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Goes back to the first block.
    pub(crate) fn rewind(&mut self) -> Result<(), Error> {
        self.blocks.seek(SeekFrom::Start(0)).map(|_| ()).map_err(|source| Error::SortEntries { source })
    }

    /// The next bytes of the blocks, at most `bytes` of them; none at the end.
    pub(crate) fn read(&mut self, bytes: u64) -> Result<Vec<u8>, Error> {
        let mut part = Vec::new();
        let read = Read::by_ref(&mut self.blocks).take(bytes).read_to_end(&mut part);
        read.map(|_| part).map_err(|source| Error::SortEntries { source })
    }

    /// All entries in memory.
    pub(crate) fn into_manifest(mut self) -> Result<Manifest, Error> {
        self.rewind()?;
        let blocks = self.read(u64::MAX)?;
        let entries = self.index.entries(0..self.index.len(), &blocks);
        Manifest::from_entries(entries.map_err(|reason| Error::StoredManifest { reason })?)
    }
}
