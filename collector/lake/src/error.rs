use deltalake::DeltaTableError;
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::error::DataFusionError;
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
            Self::Open { .. } | Self::Append { .. } | Self::Read { .. } => ErrorKind::Unavailable,
            Self::Layout { .. } => ErrorKind::Internal,
        }
    }

    /// The next step.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Location { .. } => Some("use a directory, or a URL such as s3://bucket/prefix"),
            Self::NoStore(_) => Some("import a recording or start `tidemark serve` to make one, or correct --data"),
            Self::Open { .. } | Self::Read { .. } => {
                Some("check that the store can be reached and that its files are complete (`tidemark doctor`)")
            }
            Self::Append { .. } => Some("check space and permissions of the store, then try again: nothing was stored"),
            Self::Layout { .. } => None,
        }
    }
}
