//! Why an operation failed, whatever failed beneath it.

use tidemark_lake::SqlError;
use tidemark_schema::{ErrorKind, TraceId};

use super::action::Action;
use super::{export, import};
use crate::fingerprint_key;
use crate::store::StoreError;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller may not do that.
    #[error("{caller} may not {action}")]
    Denied {
        /// The principal, or the actor where there is none.
        caller: String,
        /// What was asked for.
        action: Action,
    },
    /// Nothing is stored of a trace, and no operation has that id either.
    #[error("no event of trace {0} is stored")]
    NoTrace(TraceId),
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tables failed.
    #[error(transparent)]
    Lake(#[from] tidemark_lake::Error),
    /// The analysis failed.
    #[error(transparent)]
    Analysis(#[from] tidemark_analyzer::Error),
    /// The registry of corpus versions failed.
    #[error(transparent)]
    Registry(#[from] tidemark_corpus::Error),
    /// The collector failed.
    #[error(transparent)]
    Collector(#[from] tidemark_collector::Error),
    /// The fingerprint keys could not be read or changed.
    #[error(transparent)]
    Keys(#[from] fingerprint_key::Error),
    /// The query in SQL has no answer.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// A file could not be imported.
    #[error(transparent)]
    Import(#[from] import::Error),
    /// Events could not be exported.
    #[error(transparent)]
    Export(#[from] export::Error),
    /// The audit log could not be read.
    #[error("the audit log could not be read")]
    ReadAudit(#[source] std::io::Error),
    /// The audit log could not be written.
    #[error("the audit log could not be written")]
    WriteAudit(#[source] std::io::Error),
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied { .. } => ErrorKind::Forbidden,
            Self::NoTrace(_) => ErrorKind::NotFound,
            Self::Store(StoreError::Lake(error)) | Self::Lake(error) | Self::Sql(SqlError::Store(error)) => {
                error.kind()
            }
            Self::Analysis(error) => error.kind(),
            Self::Registry(error) => error.kind(),
            Self::Collector(error) => error.kind(),
            Self::Keys(_) => ErrorKind::Conflict,
            Self::Store(StoreError::NoState(_))
            | Self::Import(_)
            | Self::Export(_)
            | Self::Sql(SqlError::Query(_) | SqlError::Limit(_)) => ErrorKind::Invalid,
            Self::Sql(SqlError::Write(_) | SqlError::Thread) | Self::ReadAudit(_) | Self::WriteAudit(_) => {
                ErrorKind::Internal
            }
        }
    }

    /// The next step.
    pub fn hint(&self) -> Option<String> {
        let of = |hint: Option<&'static str>| hint.map(str::to_owned);
        match self {
            Self::Denied { .. } => Some("ask for the right, or let somebody do it who has it".to_owned()),
            Self::NoTrace(_) => Some(
                "events become visible a few seconds after the acknowledgement: try again shortly, or check the id"
                    .to_owned(),
            ),
            Self::Store(error) => of(error.hint()),
            Self::Lake(error) | Self::Sql(SqlError::Store(error)) => of(error.hint()),
            Self::Analysis(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Collector(error) => Some(error.hint().to_owned()),
            Self::Keys(error) => Some(error.hint().to_owned()),
            Self::Sql(SqlError::Query(_)) => Some(
                "correct the query: one SELECT over retrievals and outputs; DESCRIBE shows their columns".to_owned(),
            ),
            Self::Sql(SqlError::Limit(_)) => Some("ask for less, or aggregate".to_owned()),
            Self::Import(error) => of(error.hint()),
            Self::Export(error) => of(error.hint()),
            Self::Sql(_) | Self::ReadAudit(_) | Self::WriteAudit(_) => None,
        }
    }

    /// Whether what was typed or sent cannot be meant, so that nothing was begun.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Analysis(error) => {
                matches!(error, tidemark_analyzer::Error::Selector { .. } | tidemark_analyzer::Error::Overlap { .. })
            }
            Self::Export(export::Error::Unsuited(unsuited)) => unsuited.is_usage(),
            _ => false,
        }
    }
}
