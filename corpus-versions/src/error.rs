use std::fmt;
use std::io;

use object_store::path::Path;
use parquet::errors::ParquetError;
use tidemark_schema::{CorpusName, CorpusVersion, DocumentId, ErrorKind};

use crate::merkle::MerkleRoot;

/// Why reading a manifest or working with the registry failed, by the operation that failed.
///
/// `Display` says this level only; the cause is the `source`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The reader gave no more bytes.
    #[error("line {line} of the manifest cannot be read")]
    ReadLine {
        /// Counted from 1, blank lines included.
        line: u64,
        /// What the reader said.
        source: io::Error,
    },
    /// A line is longer than any entry can be.
    #[error("line {line} of the manifest is longer than {max} bytes")]
    LineTooLong {
        /// Counted from 1.
        line: u64,
        /// Bytes allowed.
        max: usize,
    },
    /// A line is no entry.
    #[error("line {line} of the manifest: {fault}")]
    InvalidLine {
        /// Counted from 1.
        line: u64,
        /// Which field, and why.
        fault: Fault,
    },
    /// The bytes are no Parquet file that can be read.
    ///
    /// `Display` says what is wrong with them: whoever named the file is to read it.
    #[error("the manifest cannot be read as Parquet: {reason}")]
    ReadParquet {
        /// What is wrong with them.
        reason: String,
    },
    /// A column is missing, unknown or of a type that cannot hold its values.
    #[error("the columns of the Parquet manifest: {fault}")]
    InvalidColumn {
        /// Which column, and why.
        fault: Fault,
    },
    /// A row is no entry.
    #[error("row {row} of the Parquet manifest: {fault}")]
    InvalidRow {
        /// Counted from 1.
        row: u64,
        /// Which column, and why.
        fault: Fault,
    },
    /// More entries than the caller allows.
    #[error("the manifest has more than {limit} entries")]
    TooManyEntries {
        /// Entries allowed.
        limit: u64,
    },
    /// No entry at all.
    #[error("the manifest has no entries")]
    EmptyInput,
    /// One document twice.
    #[error("the manifest names the document {doc_id} more than once")]
    DuplicateDocument {
        /// Which document.
        doc_id: DocumentId,
    },
    /// Entries could not be put aside or fetched again while they were sorted.
    #[error("the entries of the manifest cannot be sorted on disk")]
    SortEntries {
        /// What the disk said.
        source: io::Error,
    },
    /// A stored manifest is not as it was written.
    #[error("the stored manifest is damaged: {reason}")]
    StoredManifest {
        /// What is wrong with it.
        reason: String,
    },
    /// The manifest could not be made into Parquet.
    #[error("the manifest cannot be written as Parquet")]
    WriteParquet {
        /// What the encoder said.
        source: ParquetError,
    },
    /// No version of this corpus is registered.
    #[error("no corpus {corpus} is registered")]
    UnknownCorpus {
        /// What was asked for.
        corpus: CorpusName,
        /// At most 5 names that exist, the most similar first.
        nearest: Vec<String>,
    },
    /// The corpus is known, the version is not.
    #[error("the corpus {corpus} has no version {version}")]
    UnknownVersion {
        /// Of this corpus.
        corpus: CorpusName,
        /// What was asked for.
        version: CorpusVersion,
        /// At most 5 names that exist, the most similar first.
        nearest: Vec<String>,
    },
    /// A registration names a parent that is not registered.
    #[error("the parent version {parent} of the corpus {corpus} is not registered")]
    UnknownParent {
        /// Of this corpus.
        corpus: CorpusName,
        /// What was named as parent.
        parent: CorpusVersion,
        /// At most 5 names that exist, the most similar first.
        nearest: Vec<String>,
    },
    /// The version is registered with other content.
    #[error("version {version} of the corpus {corpus} is registered with the root {registered}, not {offered}")]
    RegisterOtherRoot {
        /// Of this corpus.
        corpus: CorpusName,
        /// The name that is taken.
        version: CorpusVersion,
        /// The root on record.
        registered: MerkleRoot,
        /// The root of the manifest that was offered.
        offered: MerkleRoot,
    },
    /// A stored record is no record, or not the one its path says.
    #[error("the record {path} is damaged: {reason}")]
    DecodeRecord {
        /// Where it is stored.
        path: Path,
        /// What is wrong with it.
        reason: String,
    },
    /// A version is on record and its manifest is gone.
    #[error("the manifest of version {version} of the corpus {corpus} is missing")]
    MissingManifest {
        /// Of this corpus.
        corpus: CorpusName,
        /// Of this version.
        version: CorpusVersion,
    },
    /// The bytes of a stored manifest do not decode.
    #[error("the stored manifest of version {version} of the corpus {corpus} is damaged")]
    DecodeManifest {
        /// Of this corpus.
        corpus: CorpusName,
        /// Of this version.
        version: CorpusVersion,
        /// What the decoder said.
        source: Box<Error>,
    },
    /// A stored manifest decodes and is not the one that was registered.
    #[error(
        "the stored manifest of version {version} of the corpus {corpus} has the root {found}, registered is {registered}"
    )]
    VerifyManifest {
        /// Of this corpus.
        corpus: CorpusName,
        /// Of this version.
        version: CorpusVersion,
        /// The root on record.
        registered: MerkleRoot,
        /// The root of what is stored.
        found: MerkleRoot,
    },
    /// The object store did not list.
    #[error("the objects under {path} cannot be listed")]
    ListObjects {
        /// Under this path.
        path: Path,
        /// What the store said.
        source: object_store::Error,
    },
    /// The object store did not give an object.
    #[error("the object {path} cannot be read")]
    ReadObject {
        /// Which object.
        path: Path,
        /// What the store said.
        source: object_store::Error,
    },
    /// The object store did not take an object.
    #[error("the object {path} cannot be written")]
    WriteObject {
        /// Which object.
        path: Path,
        /// What the store said.
        source: object_store::Error,
    },
    /// A record could not be made into JSON.
    #[error("the record {path} cannot be encoded")]
    EncodeRecord {
        /// Where it was to be stored.
        path: Path,
        /// What the encoder said.
        source: serde_json::Error,
    },
    /// A computation on a background thread was cut off.
    #[error("the work on a manifest was cut off")]
    RunInBackground {
        /// What the runtime said.
        source: tokio::task::JoinError,
    },
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field or column; `None` when the whole line is at fault.
    pub field: Option<String>,
    /// Why it is refused.
    pub reason: String,
}

impl Fault {
    pub(crate) fn of(field: &str, reason: impl fmt::Display) -> Self {
        Self { field: Some(field.to_owned()), reason: reason.to_string() }
    }

    pub(crate) fn whole(reason: impl fmt::Display) -> Self {
        Self { field: None, reason: reason.to_string() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl Error {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::LineTooLong { .. }
            | Self::InvalidLine { .. }
            | Self::ReadParquet { .. }
            | Self::InvalidColumn { .. }
            | Self::InvalidRow { .. }
            | Self::TooManyEntries { .. }
            | Self::EmptyInput
            | Self::DuplicateDocument { .. }
            | Self::UnknownParent { .. } => ErrorKind::Invalid,
            // A decompressor reports broken input through the reader; everything else there is the disk or the network.
            Self::ReadLine { source, .. } => match source.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                    ErrorKind::Invalid
                }
                _ => ErrorKind::Unavailable,
            },
            Self::UnknownCorpus { .. } | Self::UnknownVersion { .. } => ErrorKind::NotFound,
            Self::RegisterOtherRoot { .. } => ErrorKind::Conflict,
            Self::DecodeRecord { .. }
            | Self::StoredManifest { .. }
            | Self::MissingManifest { .. }
            | Self::DecodeManifest { .. }
            | Self::VerifyManifest { .. } => ErrorKind::Corrupt,
            Self::SortEntries { .. }
            | Self::ListObjects { .. }
            | Self::ReadObject { .. }
            | Self::WriteObject { .. } => ErrorKind::Unavailable,
            Self::WriteParquet { .. } | Self::EncodeRecord { .. } | Self::RunInBackground { .. } => ErrorKind::Internal,
        }
    }
}
