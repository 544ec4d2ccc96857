use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemark_schema::CorpusName;

use super::PolicyError;
use super::quantity::{Bytes, Seconds};

/// How long events are kept, and how much of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Days that the events of a corpus are kept that has no number of its own; none keeps them for ever.
    pub days: Option<u32>,
    /// What differs for single corpora.
    pub corpora: BTreeMap<CorpusName, CorpusRetention>,
    /// Bytes that the tables may take on disk in all.
    pub bytes: Option<u64>,
    /// Seconds that files stay after they were replaced, for readers of older versions of the tables.
    pub removed_files_s: u64,
}

/// How long the events of one corpus are kept, and how much of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CorpusRetention {
    /// Days that they are kept; none means [`Retention::days`].
    pub days: Option<u32>,
    /// Bytes that they may take on disk.
    pub bytes: Option<u64>,
}

/// How long replaced files stay when the policy does not say.
const REMOVED_FILES: Seconds = Seconds(86_400);

impl Default for Retention {
    /// Everything is kept; replaced files stay for a day.
    fn default() -> Self {
        Self { days: None, corpora: BTreeMap::new(), bytes: None, removed_files_s: REMOVED_FILES.0 }
    }
}

/// Retention as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RetentionSource {
    days: Option<u32>,
    corpora: BTreeMap<CorpusName, CorpusSource>,
    bytes: Option<Bytes>,
    removed_files: Option<Seconds>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CorpusSource {
    days: Option<u32>,
    bytes: Option<Bytes>,
}

impl RetentionSource {
    pub(super) fn parse(&self) -> Result<Retention, PolicyError> {
        check("retention", self.days, self.bytes)?;
        for (corpus, of_corpus) in &self.corpora {
            check(&format!("retention.corpora.{corpus}"), of_corpus.days, of_corpus.bytes)?;
        }
        if self.removed_files == Some(Seconds(0)) {
            let reason = "is 0, which would take files from readers that are reading them; 1h is short";
            return Err(PolicyError::field("retention.removed_files", reason));
        }
        let corpora = self.corpora.iter().map(|(name, source)| {
            (name.clone(), CorpusRetention { days: source.days, bytes: source.bytes.map(|bytes| bytes.0) })
        });
        Ok(Retention {
            days: self.days,
            corpora: corpora.collect(),
            bytes: self.bytes.map(|bytes| bytes.0),
            removed_files_s: self.removed_files.unwrap_or(REMOVED_FILES).0,
        })
    }
}

fn check(path: &str, days: Option<u32>, bytes: Option<Bytes>) -> Result<(), PolicyError> {
    let reason = "is 0, which would remove every event as it comes in; leave the key out to keep them";
    match (days, bytes) {
        (Some(0), _) => Err(PolicyError::field(format!("{path}.days"), reason)),
        (_, Some(Bytes(0))) => Err(PolicyError::field(format!("{path}.bytes"), reason)),
        _ => Ok(()),
    }
}
