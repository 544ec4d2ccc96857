use std::ops::Range;

use blake3::Hash;

use super::{Sizes, block, depth_of};
use crate::manifest::ManifestEntry;
use crate::merkle::{MerkleRoot, Subtree, root_of, subtree};

const MAGIC: &[u8; 8] = b"TMBUCKET";
const BUCKET_BYTES: usize = 80;

/// What the start of a stored manifest says of its buckets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    depth: u32,
    pub(super) buckets: Vec<Bucket>,
}

/// One bucket, and where its block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) subtree: Subtree,
    pub(super) checksum: Hash,
    /// Bytes before it, counted from the first block.
    pub(super) start: u64,
    pub(super) bytes: u64,
}

impl Index {
    pub(super) fn new(depth: u32, buckets: Vec<Bucket>) -> Self {
        Self { depth, buckets }
    }

    /// How many bytes the index of so many entries has.
    pub(crate) fn bytes_for(entries: u64, sizes: Sizes) -> u64 {
        Self::bytes_at(depth_of(entries, sizes.bucket_entries))
    }

    fn bytes_at(depth: u32) -> u64 {
        (MAGIC.len() + blake3::OUT_LEN) as u64 + ((BUCKET_BYTES as u64) << depth)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for bucket in &self.buckets {
            out.extend_from_slice(&bucket.subtree.entries.to_be_bytes());
            out.extend_from_slice(&bucket.bytes.to_be_bytes());
            out.extend_from_slice(bucket.checksum.as_bytes());
            out.extend_from_slice(bucket.subtree.hash.as_bytes());
        }
        let checksum = blake3::hash(&out);
        out.extend_from_slice(checksum.as_bytes());
        out
    }

    /// Reads the index of so many entries. The error is the reason.
    pub(crate) fn decode_for(entries: u64, sizes: Sizes, bytes: &[u8]) -> Result<Self, String> {
        let depth = depth_of(entries, sizes.bucket_entries);
        if bytes.len() as u64 != Self::bytes_at(depth) {
            return Err("it ends within its index".to_owned());
        }
        let (content, checksum) = bytes.split_last_chunk().ok_or("it is empty")?;
        if blake3::hash(content) != Hash::from_bytes(*checksum) {
            return Err("its index was altered".to_owned());
        }
        let rows = content.strip_prefix(MAGIC).ok_or("it does not begin as a manifest does")?;
        let mut start = 0_u64;
        let bucket = |row: &[u8; BUCKET_BYTES]| {
            let (entries, row) = row.split_first_chunk()?;
            let (bytes, row) = row.split_first_chunk()?;
            let (checksum, row) = row.split_first_chunk()?;
            let subtree =
                Subtree { entries: u64::from_be_bytes(*entries), hash: Hash::from_bytes(*row.first_chunk()?) };
            let bytes = u64::from_be_bytes(*bytes);
            let bucket = Bucket { subtree, checksum: Hash::from_bytes(*checksum), start, bytes };
            start = start.checked_add(bytes)?;
            Some(bucket)
        };
        let (rows, _) = rows.as_chunks();
        let buckets = rows.iter().map(bucket).collect::<Option<_>>().ok_or("its blocks have impossible sizes")?;
        Ok(Self { depth, buckets })
    }

    pub(crate) fn root(&self) -> MerkleRoot {
        root_of(self.subtree(0..self.len()))
    }

    /// How many bytes the object has, blocks included.
    pub(crate) fn object_bytes(&self) -> u64 {
        let blocks = self.buckets.last().map_or(0, |last| last.start.saturating_add(last.bytes));
        Self::bytes_at(self.depth).saturating_add(blocks)
    }

    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// How many buckets there are: a power of two.
    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    fn at(&self, buckets: Range<usize>) -> &[Bucket] {
        self.buckets.get(buckets).unwrap_or_default()
    }

    /// What is known of 1, 2, 4, … buckets that have a subtree in common.
    pub(crate) fn subtree(&self, buckets: Range<usize>) -> Subtree {
        joined(self.at(buckets))
    }

    /// Where in the object the blocks of some buckets lie.
    pub(crate) fn range(&self, buckets: Range<usize>) -> Range<u64> {
        let buckets = self.at(buckets);
        let start = buckets.first().map_or(0, |first| first.start);
        let end = buckets.last().map_or(start, |last| last.start.saturating_add(last.bytes));
        let header = Self::bytes_at(self.depth);
        header.saturating_add(start)..header.saturating_add(end)
    }

    /// The entries of some buckets, from the bytes of [`Self::range`], in the order of their places. The error is the reason.
    pub(crate) fn entries(&self, buckets: Range<usize>, mut bytes: &[u8]) -> Result<Vec<ManifestEntry>, String> {
        let mut entries = Vec::new();
        for (number, bucket) in buckets.clone().zip(self.at(buckets)) {
            let block = usize::try_from(bucket.bytes).ok().and_then(|length| bytes.split_at_checked(length));
            let (block, rest) = block.ok_or("it ends within a block")?;
            block::decode(block, bucket, number, self.depth, &mut entries)?;
            bytes = rest;
        }
        Ok(entries)
    }
}

fn joined(buckets: &[Bucket]) -> Subtree {
    match buckets {
        [] => subtree(&[], 0),
        [bucket] => bucket.subtree,
        _ => {
            let (zero, one) = buckets.split_at(buckets.len() / 2);
            joined(zero).join(joined(one))
        }
    }
}
