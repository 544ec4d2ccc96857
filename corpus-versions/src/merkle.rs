//! The Merkle root of a manifest: 32 bytes that stand for every field of every entry.
//!
//! The tree is that of Certificate Transparency ([RFC 6962, section 2.1]) with BLAKE3 in place of SHA-256, over the
//! entries in the byte order of their ids:
//!
//! | what | hash |
//! | --- | --- |
//! | no entries | `BLAKE3()` |
//! | one entry | `BLAKE3(0x00 ‖ encoding)` |
//! | n entries | `BLAKE3(0x01 ‖ root of the first k ‖ root of the others)`, k the largest power of two below n |
//!
//! The leading byte keeps a node from passing as an entry, and the uneven split keeps a list from having the root of the
//! same list with its end repeated.
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
//! [RFC 6962, section 2.1]: https://www.rfc-editor.org/rfc/rfc6962#section-2.1

use std::fmt;
use std::str::FromStr;

use blake3::{Hash, Hasher};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tidemark_schema::{ContentHash, Label};

use crate::manifest::ManifestEntry;

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

/// The root of entries that are sorted already.
pub(crate) fn root_of(entries: &[ManifestEntry]) -> MerkleRoot {
    MerkleRoot(*subtree(entries, &mut Vec::new()).as_bytes())
}

/// `leaf` is scratch space, shared so that a million entries do not cost a million allocations. The depth of the
/// recursion is the logarithm of the number of entries.
fn subtree(entries: &[ManifestEntry], leaf: &mut Vec<u8>) -> Hash {
    match entries {
        [] => blake3::hash(b""),
        [entry] => {
            leaf.clear();
            leaf.push(0);
            encode(entry, leaf);
            blake3::hash(leaf)
        }
        _ => {
            let half = 1 << (entries.len() - 1).ilog2();
            let (left, right) = entries.split_at(half);
            let left = subtree(left, leaf);
            let right = subtree(right, leaf);
            let mut node = Hasher::new();
            node.update(&[1]).update(left.as_bytes()).update(right.as_bytes());
            node.finalize()
        }
    }
}

fn encode(entry: &ManifestEntry, out: &mut Vec<u8>) {
    let mut field = |tag: u8, value: Option<&[u8]>| {
        if let Some(value) = value {
            // The longest value is an id of 1024 bytes.
            let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
            out.push(tag);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value);
        }
    };
    let tokens = entry.tokens.map(u32::to_be_bytes);
    let updated_at = entry.updated_at.map(|time| time.micros().to_be_bytes());
    field(1, Some(entry.doc_id.as_str().as_bytes()));
    field(2, Some(entry.content_hash.as_str().as_bytes()));
    field(3, entry.vector_hash.as_ref().map(ContentHash::as_str).map(str::as_bytes));
    field(4, tokens.as_ref().map(<[u8; 4]>::as_slice));
    field(5, updated_at.as_ref().map(<[u8; 8]>::as_slice));
    field(6, entry.scope.as_ref().map(Label::as_str).map(str::as_bytes));
}

#[cfg(test)]
mod tests;
