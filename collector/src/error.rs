use std::path::PathBuf;
use std::sync::Arc;

use tidemark_schema::ErrorKind;

use crate::health::Refusal;
use crate::mode::Mode;

/// Why events could not be taken or stored. Nothing that a submission answers with an error was acknowledged.
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
    /// A file beside the log could not be read or written.
    #[error("{} beside the write-ahead log could not be read or written", path.display())]
    BesideLog {
        /// Where it lies.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The thread of the log could not be started.
    #[error("the thread of the write-ahead log could not be started")]
    StartThread(#[source] std::io::Error),
    /// Events could not be made durable.
    #[error("{events} events could not be made durable; the collector is {mode}")]
    Append {
        /// How many.
        events: usize,
        /// The mode that it is in because of this.
        mode: Mode,
        /// After how many seconds another try is worth while.
        retry_after_s: u64,
        /// Why; shared by all who were written together.
        #[source]
        source: Arc<tidemark_wal::Error>,
    },
    /// Events are not taken at the moment.
    #[error("events are refused for now, the collector is {mode}: {reason}")]
    Refused {
        /// The mode that it is in: [`Mode::Shedding`] if a bound was met.
        mode: Mode,
        /// Which bound or state it was.
        refusal: Refusal,
        /// The same in words.
        reason: String,
        /// After how many seconds another try is worth while.
        retry_after_s: u64,
    },
    /// A submission is larger than the collector ever takes at once.
    #[error("a submission of {events} events is too large: {reason}")]
    TooLarge {
        /// How many events it has.
        events: usize,
        /// Which limit it passes.
        reason: String,
    },
    /// An event could not be written as a record of the log.
    #[error("an event could not be encoded for the write-ahead log")]
    Encode(#[source] serde_json::Error),
    /// The collector has stopped.
    #[error("the collector has stopped")]
    Stopped,
    /// The last flush took too long.
    #[error("the last flush did not end within {seconds} seconds")]
    StopTimeout {
        /// How long it was waited for.
        seconds: u64,
    },
    /// Events from the log could not be given to the sink yet.
    #[error("events of the write-ahead log could not be recovered into the table")]
    Recover(#[source] crate::SinkError),
    /// A flush failed; the events stay in the log and are tried again.
    #[error("events could not be flushed into the table")]
    Flush(#[source] crate::SinkError),
    /// What is in the table could not be removed from the log.
    #[error("events that are in the table could not be removed from the write-ahead log")]
    Forget(#[source] tidemark_wal::Error),
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { refusal: Refusal::Recovering | Refusal::ReadOnly, .. }
            | Self::OpenLog { .. }
            | Self::BesideLog { .. }
            | Self::StartThread(_)
            | Self::Append { .. }
            | Self::Stopped
            | Self::StopTimeout { .. }
            | Self::Recover(_)
            | Self::Flush(_)
            | Self::Forget(_) => ErrorKind::Unavailable,
            Self::Refused { .. } => ErrorKind::Busy,
            Self::TooLarge { .. } => ErrorKind::Invalid,
            Self::Encode(_) => ErrorKind::Internal,
        }
    }

    /// After how many seconds another try is worth while; `None` if that does not follow from the error.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Append { retry_after_s, .. } | Self::Refused { retry_after_s, .. } => Some(*retry_after_s),
            _ => None,
        }
    }

    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::OpenLog { .. } => {
                "if another `tidemark serve` uses this directory, stop it or give this one a --state of its own"
            }
            Self::BesideLog { .. } => "check that the directory can be read and written by this user",
            Self::StartThread(_) => "check how many threads and how much memory this user may have",
            Self::Append { .. } | Self::Refused { refusal: Refusal::ReadOnly, .. } => {
                "make room on the disk of the write-ahead log or repair it; events are taken again by themselves then: \
                 send them again, none was acknowledged"
            }
            Self::Refused { refusal: Refusal::Recovering, .. } => {
                "wait, and check the disk of the log and the store if it lasts; send the events again, none was \
                 acknowledged"
            }
            Self::Refused { .. } | Self::Stopped => "send the events again after a pause: none was acknowledged",
            Self::TooLarge { .. } => "send fewer events at once: none was acknowledged",
            Self::Encode(_) => "report this with the event: it is a defect of this program",
            Self::StopTimeout { .. } | Self::Recover(_) | Self::Flush(_) => {
                "check the store; the events are safe in the write-ahead log"
            }
            Self::Forget(_) => "check the disk of the write-ahead log, then try again",
        }
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
