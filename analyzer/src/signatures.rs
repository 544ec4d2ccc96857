//! The hashes by which similar queries are found: in how many bits two differ says how different the queries are.

use std::hash::Hash as Hashable;

use crate::intern::FastMap;
use crate::observe::{Observations, Unit};

/// Two hashes of one query that differ in more bits are of different embeddings: 6 of 64 are an angle of 17 degrees.
const SAME_EMBEDDING: u32 = 6;

/// Which of them is looked at.
pub(crate) type Hash = fn(Signatures) -> Option<u64>;

/// The 64-bit `SimHash`es of one query (Charikar 2002).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signatures {
    /// Of its embedding, if the event carried one.
    pub embedding: Option<u64>,
    /// Of its text, made at ingest.
    pub text: Option<u64>,
}

impl Signatures {
    /// The one that tells most.
    pub fn best(self) -> Option<u64> {
        self.embedding.or(self.text)
    }
}

/// The hash of each query of a window, by what a query is taken to be: of several units the smallest.
pub(crate) fn hashes<K: Eq + Hashable>(window: &Observations, hash: Hash, key: impl Fn(&Unit) -> K) -> FastMap<K, u64> {
    let mut hashes: FastMap<K, u64> = FastMap::default();
    for (unit, sample) in &window.units {
        if let Some(hash) = hash(sample.signatures) {
            let known = hashes.entry(key(unit)).or_insert(hash);
            *known = hash.min(*known);
        }
    }
    hashes
}

/// How many queries have a hash in both windows, and of how many it is that of another embedding in the second.
pub(crate) fn differing<K: Eq + Hashable>(
    windows: [&Observations; 2],
    hash: Hash,
    key: impl Fn(&Unit) -> K,
) -> (usize, usize) {
    let [before, after] = windows.map(|window| hashes(window, hash, &key));
    let both = after.iter().filter_map(|(key, hash)| Some((before.get(key)? ^ hash).count_ones()));
    both.fold((0, 0), |(both, differing), bits| (both + 1, differing + usize::from(bits > SAME_EMBEDDING)))
}
