//! One entry of the chain, and the hash that the next one holds.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_schema::Timestamp;

use crate::error::Error;

/// 256 bits of BLAKE3, written as `b3:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digest(String);

impl Digest {
    /// What the first entry holds in place of a hash.
    pub(crate) const ZERO: Self = Self(String::new());

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(format!("b3:{}", blake3::hash(bytes).to_hex()))
    }

    pub(crate) fn finish(hasher: &blake3::Hasher) -> Self {
        Self(format!("b3:{}", hasher.finalize().to_hex()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A file and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileDigest {
    /// Its place under the table's root.
    pub(crate) path: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// The digest of its bytes; none if it was gone before it could be read.
    pub(crate) digest: Option<Digest>,
}

/// A file that a commit removed from the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RemovedFile {
    pub(crate) path: String,
    pub(crate) at: Timestamp,
}

/// What one commit did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) table: String,
    /// The version of the table that the commit made.
    pub(crate) version: u64,
    /// When it was made, by the clock of its writer.
    pub(crate) at: Timestamp,
    /// The hash of the entry before.
    pub(crate) previous: Digest,
    /// The digest of the commit in the table's log; none where the chain begins anew.
    pub(crate) log: Option<Digest>,
    pub(crate) added: Vec<FileDigest>,
    pub(crate) removed: Vec<RemovedFile>,
    /// What the commit was for: compaction, retention, erasure; none for events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<serde_json::Value>,
    /// All files of the table after this commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) live: Option<Vec<FileDigest>>,
}

/// An entry as it is stored: its very bytes, and their hash.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) hash: Digest,
    pub(crate) entry: Box<RawValue>,
}

impl Link {
    pub(crate) fn of(entry: &Entry) -> Result<Self, Error> {
        let unreadable = |_| Error::Evidence { entry: format!("{} {}", entry.table, entry.version) };
        let json = serde_json::to_string(entry).map_err(unreadable)?;
        let hash = Digest::of(json.as_bytes());
        Ok(Self { hash, entry: RawValue::from_string(json).map_err(unreadable)? })
    }

    /// Whether the hash is that of the entry.
    pub(crate) fn is_intact(&self) -> bool {
        Digest::of(self.entry.get().as_bytes()) == self.hash
    }

    pub(crate) fn read(&self) -> Option<Entry> {
        serde_json::from_str(self.entry.get()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_back_and_a_changed_one_is_not_intact() {
        let entry = Entry {
            table: "retrievals".to_owned(),
            version: 3,
            at: Timestamp::MIN,
            previous: Digest::of(b"before"),
            log: Some(Digest::of(b"commit")),
            added: vec![FileDigest { path: "a".to_owned(), bytes: 1, digest: Some(Digest::of(b"x")) }],
            removed: vec![RemovedFile { path: "b".to_owned(), at: Timestamp::MIN }],
            note: Some(serde_json::json!({ "action": "compaction" })),
            live: None,
        };
        let json = serde_json::to_string(&Link::of(&entry).unwrap()).unwrap();
        let link: Link = serde_json::from_str(&json).unwrap();
        assert!(link.is_intact());
        assert_eq!(link.read(), Some(entry));
        let altered: Link = serde_json::from_str(&json.replace("\"version\":3", "\"version\":4")).unwrap();
        assert!(!altered.is_intact());
    }
}
