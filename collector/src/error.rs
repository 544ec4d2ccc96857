use std::path::PathBuf;

use tidemark_schema::ErrorKind;

/// Why events could not be taken. Nothing that is answered with an error was acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The write-ahead log could not be opened.
    #[error("the write-ahead log in {} could not be opened", directory.display())]
    OpenLog {
        /// Where it lies.
        directory: PathBuf,
        /// Why.
        #[source]
        source: tidemark_wal::Error,
    },
    /// The name of the writer could not be read or written.
    #[error("the writer's name in {} could not be read or written", path.display())]
    WriterName {
        /// Where it lies.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Events could not be made durable.
    #[error("{events} events could not be made durable")]
    Append {
        /// How many.
        events: usize,
        /// Whether it passes by itself once the log has been flushed.
        full: bool,
        /// Why.
        #[source]
        source: tidemark_wal::Error,
    },
    /// More events wait for the table than may wait.
    #[error("{pending} events wait for the table, the limit is {limit}")]
    Overloaded {
        /// How many wait.
        pending: usize,
        /// How many may.
        limit: usize,
    },
    /// The collector has stopped.
    #[error("the collector has stopped")]
    Stopped,
    /// Events from the log could not be given to the sink.
    #[error("events of the write-ahead log could not be recovered into the table")]
    Recover(#[source] crate::SinkError),
    /// A flush failed; the events stay in the log and are tried again.
    #[error("events could not be flushed into the table")]
    Flush(#[source] crate::SinkError),
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::OpenLog { .. } | Self::WriterName { .. } | Self::Stopped | Self::Recover(_) | Self::Flush(_) => {
                ErrorKind::Unavailable
            }
            Self::Append { full, .. } if *full => ErrorKind::Busy,
            Self::Append { .. } => ErrorKind::Unavailable,
            Self::Overloaded { .. } => ErrorKind::Busy,
        }
    }

    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::OpenLog { .. } => {
                "if another `tidemark serve` uses this directory, stop it or give this one a --state of its own"
            }
            Self::WriterName { .. } => "check that the directory can be read and written by this user",
            Self::Append { .. } => {
                "check the disk of the write-ahead log; send the events again: none was acknowledged"
            }
            Self::Overloaded { .. } | Self::Stopped => "send the events again after a pause: none was acknowledged",
            Self::Recover(_) | Self::Flush(_) => "check the store; the events are safe in the write-ahead log",
        }
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
