use blake3::{Hash, Hasher};
use tidemark_schema::DocumentId;

use super::{MerkleRoot, leaf, node};

/// Where an entry stands in the tree: the hash of its id.
pub(crate) type Place = [u8; 32];

/// An entry as it is hashed, and where it stands.
pub(crate) type Placed = (Place, Vec<u8>);

/// What is known of all entries whose places begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subtree {
    pub(crate) entries: u64,
    pub(crate) hash: Hash,
}

pub(crate) fn place_of(doc_id: &DocumentId) -> Place {
    *blake3::hash(doc_id.as_str().as_bytes()).as_bytes()
}

/// The subtree of entries in the order of their places, which are distinct and agree in their first `depth` bits.
///
/// The recursion goes as deep as two places agree: twice the logarithm of the number of entries, as a rule.
pub(crate) fn subtree(entries: &[Placed], depth: u32) -> Subtree {
    match entries {
        [] => Subtree { entries: 0, hash: blake3::hash(b"") },
        [(_, encoding)] => Subtree { entries: 1, hash: leaf(encoding) },
        _ => {
            let (zero, one) = entries.split_at(entries.partition_point(|(place, _)| !bit(place, depth)));
            subtree(zero, depth + 1).join(subtree(one, depth + 1))
        }
    }
}

fn bit(place: &Place, number: u32) -> bool {
    let byte = usize::try_from(number / 8).ok().and_then(|byte| place.get(byte));
    byte.is_some_and(|byte| byte & (0x80 >> (number % 8)) != 0)
}

/// The root of a manifest, from the subtree of all its entries.
pub(crate) fn root_of(all: Subtree) -> MerkleRoot {
    let mut root = Hasher::new();
    root.update(&[2]).update(&all.entries.to_be_bytes()).update(all.hash.as_bytes());
    MerkleRoot(*root.finalize().as_bytes())
}

impl Subtree {
    /// The subtree of which this is the half of 0 and `one` the half of 1.
    pub(crate) fn join(self, one: Self) -> Self {
        let entries = self.entries.saturating_add(one.entries);
        let hash = match (self.entries, one.entries) {
            (_, 0) if entries <= 1 => self.hash,
            (0, 1) => one.hash,
            _ => node(&self.hash, &one.hash),
        };
        Self { entries, hash }
    }
}
