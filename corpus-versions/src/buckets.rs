//! The stored form of a manifest: one object from which a few entries can be read without the others.
//!
//! Entries lie in buckets, the subtrees of [`crate::merkle`] at one depth: the smallest at which a bucket holds 512
//! entries on average or fewer. So the depth follows from the number of entries, and versions of about the same size
//! have the same buckets. Where they do not, the buckets of the larger one are parts of those of the smaller one.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `TMBUCKET` |
//! | 80 for each bucket, 2^depth of them | entries (8), bytes of block (8), BLAKE3 of block (32), hash of subtree (32) |
//! | 32 | BLAKE3 of all the above |
//! | as the index says | the blocks, one after another; an empty bucket has none |
//!
//! A block is a zstd frame of the bucket's entries in the order of their places, each as length (4 bytes) and encoding.
//! Numbers are big endian. The hashes of subtrees prove the content by the root on record; those of blocks and of the
//! index find bytes that were altered without altering the content.

mod block;
mod encode;
mod index;
mod sort;
mod spans;

pub use encode::EncodedManifest;
pub(crate) use encode::{Encoder, Sizes};
pub(crate) use index::Index;
pub(crate) use spans::spans;

use crate::merkle::Place;

/// How many entries a bucket holds on average at most. A part of the format: the depth follows from it.
const BUCKET_ENTRIES: u64 = 512;

/// How many bits of its place give the bucket of an entry.
fn depth_of(entries: u64, bucket_entries: u64) -> u32 {
    entries.div_ceil(bucket_entries).next_power_of_two().trailing_zeros()
}

pub(crate) fn bucket_of(place: &Place, depth: u32) -> usize {
    let first = place.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    usize::try_from(first.checked_shr(u64::BITS - depth).unwrap_or(0)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
