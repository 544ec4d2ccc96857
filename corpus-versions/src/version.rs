use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidemark_schema::{CorpusName, CorpusVersion, Label, Timestamp};

use crate::merkle::MerkleRoot;

/// What is on record about one version of a corpus. As JSON, every field is written; what is not known is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorpusVersionRecord {
    /// Of this corpus.
    pub corpus: CorpusName,
    /// The name of the version, unique within the corpus.
    pub version: CorpusVersion,
    /// The version it was made from.
    pub parent: Option<CorpusVersion>,
    /// The root of its manifest.
    pub root: MerkleRoot,
    /// How many documents the manifest holds.
    pub entries: u64,
    /// How the manifest is stored, and what kind of root it has. Records from before there was a choice do not say.
    #[serde(default)]
    pub format: ManifestFormat,
    /// The embedding model.
    pub embedder: Option<Label>,
    /// The index or collection that serves it.
    pub index: Option<Label>,
    /// How the index was built and is searched, such as `{"hnsw_ef": 128}`.
    #[serde(default)]
    pub index_params: BTreeMap<String, Value>,
    /// Where the manifest came from: a file, a collection.
    pub source: Option<String>,
    /// Who registered it.
    pub creator: Option<Label>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Where it is in its life.
    pub state: State,
}

/// How a manifest is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestFormat {
    /// A Parquet file; the root is that of a list.
    #[default]
    Parquet,
    /// Buckets by the hash of the id; the root is that of a trie.
    Buckets,
}

/// Where a version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Known, not in use yet.
    Registered,
    /// The one that retrieval should use.
    Active,
    /// Was in use.
    Retired,
}

/// What a caller says about a version that it registers. The root and the count of entries come from the manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVersion {
    /// Of this corpus.
    pub corpus: CorpusName,
    /// The name of the version.
    pub version: CorpusVersion,
    /// The version it was made from; has to be registered.
    pub parent: Option<CorpusVersion>,
    /// The embedding model.
    pub embedder: Option<Label>,
    /// The index or collection that serves it.
    pub index: Option<Label>,
    /// How the index was built and is searched.
    pub index_params: BTreeMap<String, Value>,
    /// Where the manifest came from.
    pub source: Option<String>,
    /// Who registers it.
    pub creator: Option<Label>,
    /// The present.
    pub created_at: Timestamp,
}

impl NewVersion {
    /// A version of which only the name is known.
    pub fn named(corpus: CorpusName, version: CorpusVersion, created_at: Timestamp) -> Self {
        Self {
            corpus,
            version,
            parent: None,
            embedder: None,
            index: None,
            index_params: BTreeMap::new(),
            source: None,
            creator: None,
            created_at,
        }
    }

    pub(crate) fn into_record(self, root: MerkleRoot, entries: u64) -> CorpusVersionRecord {
        CorpusVersionRecord {
            corpus: self.corpus,
            version: self.version,
            parent: self.parent,
            root,
            entries,
            format: ManifestFormat::Buckets,
            embedder: self.embedder,
            index: self.index,
            index_params: self.index_params,
            source: self.source,
            creator: self.creator,
            created_at: self.created_at,
            state: State::Registered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(record: &CorpusVersionRecord, json: &str) {
        assert_eq!(serde_json::to_string_pretty(record).unwrap(), json);
        assert_eq!(serde_json::from_str::<CorpusVersionRecord>(json).unwrap(), *record);
    }

    #[test]
    fn a_record_is_stored_as_plain_json_with_every_field() {
        let mut new = NewVersion::named(
            "handbook".parse().unwrap(),
            "v2".parse().unwrap(),
            "2026-11-18T09:30:00Z".parse().unwrap(),
        );
        new.parent = Some("v1".parse().unwrap());
        new.index_params = BTreeMap::from([("hnsw_ef".to_owned(), 128.into())]);
        let root = crate::samples::manifest(&[]).root();
        check(
            &new.into_record(root, 0),
            r#"{
  "corpus": "handbook",
  "version": "v2",
  "parent": "v1",
  "root": "b3:69c0ce4dff883f93dbc1b88d7b195af92afeb8ca6c69e9ded9e53c8b0ec2693f",
  "entries": 0,
  "format": "buckets",
  "embedder": null,
  "index": null,
  "index_params": {
    "hnsw_ef": 128
  },
  "source": null,
  "creator": null,
  "created_at": "2026-11-18T09:30:00Z",
  "state": "registered"
}"#,
        );
    }
}
