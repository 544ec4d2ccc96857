use deltalake::DeltaTableError;
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::error::DataFusionError;
use deltalake::kernel::transaction::TransactionError;
use tidemark_schema::ErrorKind;

/// Why the tables could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is neither a directory nor a URL of a known object store.
    #[error("{location:?} is neither a directory nor an object-store URL: {reason}")]
    Location {
        /// What was given.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no store yet.
    #[error("there is no Tidemark store at {0}")]
    NoStore(String),
    /// A table could not be opened or made.
    #[error("table {table} could not be opened")]
    Open {
        /// Which table.
        table: &'static str,
        /// Why.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A commit failed; nothing of it is visible.
    #[error("{rows} rows could not be committed to table {table}")]
    Append {
        /// Which table.
        table: &'static str,
        /// How many rows.
        rows: usize,
        /// Why.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A maintenance commit failed; nothing of it is visible.
    #[error("the files of table {table} could not be replaced")]
    Maintain {
        /// Which table.
        table: &'static str,
        /// Why.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// The merged files would not hold the rows of the files that they replace. They were thrown away.
    #[error("merging files of table {table} gave {found} rows in place of {expected}")]
    Rows {
        /// Which table.
        table: &'static str,
        /// Rows of the files.
        expected: u64,
        /// Rows that were read, copies included.
        found: u64,
    },
    /// A file lies in a partition that no event can have.
    #[error("file {path} of table {table} lies in no partition of ours")]
    Partition {
        /// Which table.
        table: &'static str,
        /// Which file.
        path: String,
    },
    /// Files beside the tables could not be read or written.
    #[error("{what} could not be read or written")]
    Objects {
        /// What they are.
        what: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// What the chain of evidence says cannot be read.
    #[error("the chain of evidence holds an entry that cannot be read: {entry}")]
    Evidence {
        /// Where it lies.
        entry: String,
    },
    /// A read failed.
    #[error("table {table} could not be read")]
    Read {
        /// Which table.
        table: &'static str,
        /// Why.
        #[source]
        source: Box<DataFusionError>,
    },
    /// Events could not be laid out as columns.
    #[error("events of table {table} could not be laid out as columns")]
    Layout {
        /// Which table.
        table: &'static str,
        /// Why.
        #[source]
        source: ArrowError,
    },
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Location { .. } => ErrorKind::Invalid,
            Self::NoStore(_) => ErrorKind::NotFound,
            Self::Open { .. }
            | Self::Append { .. }
            | Self::Read { .. }
            | Self::Maintain { .. }
            | Self::Objects { .. } => ErrorKind::Unavailable,
            Self::Evidence { .. } | Self::Partition { .. } => ErrorKind::Corrupt,
            Self::Layout { .. } | Self::Rows { .. } => ErrorKind::Internal,
        }
    }

    /// Whether another commit came first, so that trying again may work.
    pub fn is_conflict(&self) -> bool {
        let (Self::Append { source, .. } | Self::Maintain { source, .. }) = self else { return false };
        matches!(
            source.as_ref(),
            DeltaTableError::Transaction {
                source: TransactionError::CommitConflict(_) | TransactionError::MaxCommitAttempts(_)
            } | DeltaTableError::VersionAlreadyExists(_)
        )
    }

    /// The next step.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Location { .. } => Some("use a directory, or a URL such as s3://bucket/prefix"),
            Self::NoStore(_) => Some("import a recording or start `tidemark serve` to make one, or correct --data"),
            Self::Open { .. } | Self::Read { .. } => Some(
                "check that the store can be reached; `tidemark verify` names damaged files, and `tidemark verify \
                     --set-aside` takes them out of the table so that the rest can be read",
            ),
            Self::Append { .. } => Some("check space and permissions of the store, then try again: nothing was stored"),
            Self::Maintain { .. } | Self::Objects { .. } => {
                Some("check space and permissions of the store; it is tried again with the next look")
            }
            Self::Evidence { .. } => Some("run `tidemark verify`, then restore what it names"),
            Self::Partition { .. } => Some("it was not written by Tidemark: move it out of the store"),
            Self::Layout { .. } | Self::Rows { .. } => None,
        }
    }
}
