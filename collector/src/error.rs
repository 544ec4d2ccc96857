use std::path::PathBuf;
use std::sync::Arc;

use tidemark_schema::ErrorKind;

use crate::mode::Mode;

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
        source: Arc<tidemark_wal::Error>,
    },
    /// More waits for the tables than may wait.
    #[error("{pending} events of at most {limit} wait for the tables, {bytes} bytes of at most {bytes_limit}")]
    Overloaded {
        /// How many events wait.
        pending: usize,
        /// How many may.
        limit: usize,
        /// How many bytes they take in the log.
        bytes: usize,
        /// How many they may.
        bytes_limit: usize,
    },
    /// More submissions queue before the log than may.
    #[error("{limit} submissions wait for the log already")]
    Queue {
        /// How many may.
        limit: usize,
    },
    /// The collector takes no events in this mode.
    #[error("the collector is {mode}: {reason}")]
    Degraded {
        /// Which mode.
        mode: Mode,
        /// Why.
        reason: String,
    },
    /// A flush took longer than a shutdown waits.
    #[error("the tables did not take the events within {seconds} s")]
    SlowFlush {
        /// How long was waited.
        seconds: u64,
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
            Self::Append { full: true, .. } | Self::Overloaded { .. } | Self::Queue { .. } => ErrorKind::Busy,
            Self::OpenLog { .. }
            | Self::WriterName { .. }
            | Self::Append { .. }
            | Self::Stopped
            | Self::Recover(_)
            | Self::Flush(_)
            | Self::SlowFlush { .. }
            | Self::Degraded { .. } => ErrorKind::Unavailable,
        }
    }

    /// After how many seconds the same events may be taken; none where nobody can tell.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Queue { .. } => Some(1),
            Self::Overloaded { .. } => Some(2),
            Self::Append { .. } | Self::Degraded { mode: Mode::Recovering, .. } | Self::Stopped => Some(5),
            Self::Degraded { .. } => Some(10),
            _ => None,
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
            Self::Degraded { mode: Mode::ReadOnly, .. } => {
                "make room on the disk of the write-ahead log (`tidemark storage` tells what takes it); send the events \
                 again after Retry-After: none was acknowledged"
            }
            Self::Overloaded { .. } | Self::Queue { .. } | Self::Degraded { .. } | Self::Stopped => {
                "send the events again after a pause: none was acknowledged"
            }
            Self::Recover(_) | Self::Flush(_) | Self::SlowFlush { .. } => {
                "check the store; the events are safe in the write-ahead log"
            }
        }
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
