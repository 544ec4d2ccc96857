use std::io::Read;

use super::bucket_of;
use super::index::Bucket;
use crate::encoding::{decode as decode_entry, put_framed, split_framed};
use crate::manifest::ManifestEntry;
use crate::merkle::{Placed, place_of, subtree};

/// More than an entry with every field at its limit has.
const ENTRY_BYTES_MAX: u64 = 4 * 1024;

/// The entries as they are compressed.
pub(super) fn content_of(entries: &[Placed]) -> Vec<u8> {
    let mut content = Vec::new();
    for (_, encoding) in entries {
        put_framed(encoding, &mut content);
    }
    content
}

/// Appends the entries of a block, once they are known to be what the index says. The error is the reason.
pub(super) fn decode(
    block: &[u8],
    bucket: &Bucket,
    number: usize,
    depth: u32,
    entries: &mut Vec<ManifestEntry>,
) -> Result<(), String> {
    let altered = || format!("the block of its bucket {number} was altered");
    if blake3::hash(block) != bucket.checksum {
        return Err(altered());
    }
    let content = decompress(block, bucket.subtree.entries).map_err(|error| format!("{}: {error}", altered()))?;
    let mut placed: Vec<Placed> = Vec::new();
    let mut rest = content.as_slice();
    while !rest.is_empty() {
        let (encoding, after) = split_framed(rest).ok_or_else(altered)?;
        let entry = decode_entry(encoding)?;
        let place = place_of(&entry.doc_id);
        // A subtree is defined for ascending places alone.
        if bucket_of(&place, depth) != number || placed.last().is_some_and(|(last, _)| *last >= place) {
            return Err(altered());
        }
        placed.push((place, encoding.to_vec()));
        entries.push(entry);
        rest = after;
    }
    if subtree(&placed, depth) == bucket.subtree { Ok(()) } else { Err(altered()) }
}

/// A bucket holds about 512 entries, so that no honest one is near this; the counts of an index that was altered may say
/// anything.
const BLOCK_BYTES_MAX: u64 = 64 * 1024 * 1024;

fn decompress(block: &[u8], entries: u64) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if !block.is_empty() {
        let limit = entries.saturating_mul(ENTRY_BYTES_MAX).min(BLOCK_BYTES_MAX);
        zstd::stream::read::Decoder::with_buffer(block)?.take(limit).read_to_end(&mut content)?;
    }
    Ok(content)
}
