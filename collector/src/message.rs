//! What the thread of the log is told.

use tidemark_wal::Sequence;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::collector::Receipt;
use crate::decode::Event;
use crate::error::Error;
use crate::pending::Waiting;
use crate::recent::RecentIds;

/// Where the answer to something goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// Events that want to be durable.
pub(crate) struct Submission {
    pub(crate) events: Vec<Event>,
    pub(crate) reply: Reply<Receipt>,
    /// Its share of the bytes that may be on their way; given back when it has been answered.
    pub(crate) share: OwnedSemaphorePermit,
}

/// Some records of the log.
pub(crate) struct Replayed {
    pub(crate) rows: Vec<Waiting>,
    /// The number after the last record that was read.
    pub(crate) next: u64,
    /// Whether that is the end of the log.
    pub(crate) end: bool,
}

/// What the thread of the log is told.
pub(crate) enum Message {
    Submit(Submission),
    /// Where the durable events end. With `seal`, the events up to there lie in segments of their own from now on, so
    /// that they can be removed without waiting for later ones.
    Target {
        seal: bool,
        reply: Reply<u64>,
    },
    /// The oldest durable events before a number, as many as fit into one commit.
    Take {
        before: u64,
        reply: Reply<Vec<Waiting>>,
    },
    /// The table holds everything before this number. The answer says whether the log could be shortened.
    Flushed {
        next: u64,
        reply: Reply<()>,
    },
    /// Records of the log from a number on, as many as fit into one commit.
    Replay {
        from: Sequence,
        reply: Reply<Replayed>,
    },
    /// The table holds everything that was in the log, knows numbers before `ahead`, and received the events in `window`.
    Recovered {
        window: RecentIds,
        ahead: Sequence,
        reply: Reply<()>,
    },
}
