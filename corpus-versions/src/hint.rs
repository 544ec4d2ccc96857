use tidemark_schema::ErrorKind;

use crate::error::Error;

impl Error {
    /// What to do next, where there is something to do. Printed on a line of its own, after the message.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::InvalidLine { .. } => {
                r#"a line looks like {"doc_id":"a.md#1","content_hash":"b3:9f86d081884c7d65"}; vector_hash, tokens, updated_at and scope may be added"#
                    .to_owned()
            }
            Self::LineTooLong { .. } => {
                "write one JSON object per line, with hashes instead of contents; compressed input has to be decompressed first"
                    .to_owned()
            }
            Self::InvalidColumn { .. } | Self::InvalidRow { .. } => {
                "doc_id and content_hash are texts and required; vector_hash and scope are texts, tokens a whole number, updated_at a timestamp"
                    .to_owned()
            }
            Self::ReadParquet { .. } => "write it again as Parquet with zstd or snappy, or as NDJSON".to_owned(),
            Self::TooManyEntries { .. } => {
                "register the parts as corpora of their own, or raise the limit of entries".to_owned()
            }
            Self::EmptyInput => "check the export that wrote it: a manifest has one line per document or chunk".to_owned(),
            Self::DuplicateDocument { .. } => {
                "keep one entry per document; chunks need ids of their own, such as a.md#1 and a.md#2".to_owned()
            }
            Self::UnknownCorpus { nearest, .. } if nearest.is_empty() => {
                "nothing is registered yet: run `tidemark corpus register CORPUS VERSION MANIFEST`".to_owned()
            }
            Self::UnknownParent { nearest, .. } if nearest.is_empty() => {
                "this is the first version of the corpus: leave the parent out".to_owned()
            }
            Self::UnknownCorpus { nearest, .. } | Self::UnknownVersion { nearest, .. } => registered(nearest)?,
            Self::UnknownParent { nearest, .. } => {
                format!("{}; register the parent first, or name one of these", registered(nearest)?)
            }
            Self::RegisterOtherRoot { .. } => {
                "a version never changes once it is registered: choose a new version name for the new content".to_owned()
            }
            Self::SortEntries { .. } => {
                "check that the directory of temporary files (TMPDIR) can be written and has room".to_owned()
            }
            Self::StoredManifest { .. }
            | Self::MissingManifest { .. }
            | Self::DecodeManifest { .. }
            | Self::VerifyManifest { .. } => {
                "register the original manifest under the same version again: it is written anew and the root is checked"
                    .to_owned()
            }
            Self::DecodeRecord { .. } => "restore the object from a backup; the manifests are not affected".to_owned(),
            Self::ReadLine { .. } if self.kind() == ErrorKind::Invalid => {
                "check that the file is complete and its compression intact".to_owned()
            }
            Self::ReadLine { .. } | Self::ListObjects { .. } | Self::ReadObject { .. } | Self::WriteObject { .. } => {
                "check that the store is reachable, has room and permits it; then run the command again".to_owned()
            }
            Self::WriteParquet { .. } | Self::EncodeRecord { .. } | Self::RunInBackground { .. } => return None,
        };
        Some(hint)
    }
}

fn registered(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("registered: {}", names.join(", ")))
}
