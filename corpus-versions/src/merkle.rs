//! The Merkle root of a manifest: 32 bytes that stand for every field of every entry.
//!
//! The tree is a binary trie over the hashes of the ids. The place of an entry is `BLAKE3(doc_id)`; a subtree holds the
//! entries whose places begin with the same bits, and its halves those whose next bit (the most significant first) is 0
//! and 1:
//!
//! | what | hash |
//! | --- | --- |
//! | no entries | `BLAKE3()` |
//! | one entry | `BLAKE3(0x00 ‖ encoding)` |
//! | more entries | `BLAKE3(0x01 ‖ hash of the half of 0 ‖ hash of the half of 1)` |
//! | the root | `BLAKE3(0x02 ‖ number of entries, 8 bytes, big endian ‖ hash of all entries)` |
//!
//! As in [RFC 6962, section 2.1], the leading byte keeps one of these from passing as another. Where an entry stands depends
//! on its id alone: the same entries have the same root in any order, and a change of one entry changes the hashes above
//! it and no others. So the subtrees at any depth can be compared without what is below them ([`crate::Registry::diff`]).
//!
//! The encoding of an entry is its known fields in this order, each as tag (1 byte), length (4 bytes, big endian), value.
//! A field that is not known is left out, so a field added to the format later leaves the roots of older manifests alone.
//!
//! | tag | field | value |
//! | --- | --- | --- |
//! | 1 | `doc_id` | UTF-8 |
//! | 2 | `content_hash` | UTF-8 |
//! | 3 | `vector_hash` | UTF-8 |
//! | 4 | `tokens` | 4 bytes, big endian |
//! | 5 | `updated_at` | microseconds since 1970, 8 bytes, big endian |
//! | 6 | `scope` | UTF-8 |
//!
//! Versions that were registered with their manifest in Parquet have the root of a list: the tree of RFC 6962 over the
//! entries in the byte order of their ids, with the same hashes for none, one and more entries, whose first half holds as
//! many as the largest power of two below their number, and without the last line of the table.
//!
//! [RFC 6962, section 2.1]: https://www.rfc-editor.org/rfc/rfc6962#section-2.1

mod tree;

use std::fmt;
use std::str::FromStr;

use blake3::{Hash, Hasher};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::encoding::encode;
use crate::manifest::ManifestEntry;
pub(crate) use tree::{Place, Placed, Subtree, place_of, root_of, subtree};

/// The root of a manifest, shown as `b3:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MerkleRoot([u8; 32]);

/// The text is not `b3:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a manifest root: `b3:` and 64 lower-case hexadecimal digits")]
pub struct InvalidRoot(String);

impl MerkleRoot {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 digits without the `b3:`, as they stand in object names.
    pub fn to_hex(&self) -> String {
        Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl fmt::Display for MerkleRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b3:{}", Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for MerkleRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MerkleRoot {
    type Err = InvalidRoot;

    fn from_str(text: &str) -> Result<Self, InvalidRoot> {
        text.strip_prefix("b3:")
            // One root, one spelling: BLAKE3 reads upper-case digits too.
            .filter(|hex| !hex.bytes().any(|digit| digit.is_ascii_uppercase()))
            .and_then(|hex| Hash::from_hex(hex).ok())
            .map(|hash| Self(*hash.as_bytes()))
            .ok_or_else(|| InvalidRoot(text.chars().take(80).collect()))
    }
}

impl Serialize for MerkleRoot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MerkleRoot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The root of a manifest in Parquet, from entries in the byte order of their ids.
pub(crate) fn list_root(entries: &[ManifestEntry]) -> MerkleRoot {
    MerkleRoot(*list_hash(entries, &mut Vec::new()).as_bytes())
}

/// `encoding` is scratch space, shared so that a million entries do not cost a million allocations. The depth of the
/// recursion is the logarithm of the number of entries.
fn list_hash(entries: &[ManifestEntry], encoding: &mut Vec<u8>) -> Hash {
    match entries {
        [] => blake3::hash(b""),
        [entry] => {
            encoding.clear();
            encode(entry, encoding);
            leaf(encoding)
        }
        _ => {
            let half = 1 << (entries.len() - 1).ilog2();
            let (left, right) = entries.split_at(half);
            let left = list_hash(left, encoding);
            node(&left, &list_hash(right, encoding))
        }
    }
}

fn leaf(encoding: &[u8]) -> Hash {
    let mut leaf = Hasher::new();
    leaf.update(&[0]).update(encoding);
    leaf.finalize()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut node = Hasher::new();
    node.update(&[1]).update(left.as_bytes()).update(right.as_bytes());
    node.finalize()
}

#[cfg(test)]
mod tests;
