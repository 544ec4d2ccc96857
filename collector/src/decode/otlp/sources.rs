use std::collections::BTreeMap;

use serde::Deserialize;
use tidemark_schema::{CorpusName, Label};

use crate::yaml::{self, Unusable};

/// Where spans keep what no convention names: read from one YAML document, which `SOURCES.md` describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Keys of a document's metadata that identify it, the best first.
    pub(super) document_id: Vec<String>,
    pub(super) corpus: Corpus,
    pub(super) corpus_version: Version,
    /// Which attribute holds the value of which key of the segment.
    pub(super) segment: BTreeMap<Label, String>,
}

/// Which corpus was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Corpus {
    /// Attributes of the span or its resource that name it, besides `rag.corpus.name` and those of the conventions.
    pub(super) attributes: Vec<String>,
    /// What such a name stands for.
    pub(super) names: BTreeMap<String, CorpusName>,
    /// What was asked when nothing names it.
    pub(super) default: Option<CorpusName>,
}

/// Which version of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Version {
    /// Attributes of the span or its resource that name it, besides `rag.corpus.version`.
    pub(super) attributes: Vec<String>,
    /// Whether it was the one that was registered last when nothing names it.
    pub(super) registered: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SourcesFile {
    document_id: Option<Vec<String>>,
    corpus: Corpus,
    corpus_version: Version,
    segment: BTreeMap<Label, String>,
}

/// Why a text does not say where spans keep what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourcesError {
    /// No YAML, or YAML that is refused.
    #[error("the sources cannot be read: {0}")]
    Yaml(String),
    /// A key that is wrong.
    #[error("{path} {reason}")]
    Key {
        /// The key with those above it.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Default for Sources {
    fn default() -> Self {
        let document_id = ["id", "doc_id", "chunk_id", "source", "url"].map(str::to_owned).into();
        Self { document_id, corpus: Corpus::default(), corpus_version: Version::default(), segment: BTreeMap::new() }
    }
}

impl Sources {
    /// Reads the document. One without any key is the default.
    pub fn parse(text: &str) -> Result<Self, SourcesError> {
        let file: SourcesFile = yaml::read(text, "a source").map_err(|unusable| match unusable {
            Unusable::Yaml(reason) => SourcesError::Yaml(reason),
            Unusable::Key { path, reason } => SourcesError::Key { path, reason },
        })?;
        Ok(Self {
            document_id: file.document_id.unwrap_or_else(|| Self::default().document_id),
            corpus: file.corpus,
            corpus_version: file.corpus_version,
            segment: file.segment,
        })
    }

    /// Whether versions are looked up in the registry.
    pub fn uses_registry(&self) -> bool {
        self.corpus_version.registered
    }

    /// Whether an attribute is read because of what is configured here.
    pub(super) fn reads(&self, name: &str) -> bool {
        let listed = self.corpus.attributes.iter().chain(&self.corpus_version.attributes).chain(self.segment.values());
        listed.into_iter().any(|attribute| attribute == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, problem: &str) {
        assert_eq!(Sources::parse(text).unwrap_err().to_string(), problem);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_its_name() {
        check("corpsu: {}", "corpsu is not a key of a source (did you mean corpus?)");
        check(
            "corpus: {default: ../x}",
            "corpus.default has a `.`, `..` or empty part between slashes; a name such as team/handbook is fine",
        );
        check(
            "corpus_version: {registered: maybe}",
            "corpus_version.registered invalid type: string \"maybe\", expected a boolean",
        );
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(Sources::parse("").unwrap(), Sources::default());
        let sources = Sources::parse("corpus: {default: handbook}\ndocument_id: [sku]").unwrap();
        assert_eq!(sources.document_id, ["sku"]);
        assert_eq!(sources.corpus.default.unwrap().as_str(), "handbook");
    }
}
