//! What [`crate::state::State`] is given, and what it asks for.

use std::io;
use std::time::Duration;

use tidemark_schema::{EventId, Timestamp};
use tidemark_wal::{Error as WalError, Record, Recovery, Sequence, Status};

use crate::collector::Receipt;
use crate::decode::Event;
use crate::error::Error;
use crate::mode::Transition;
use crate::sink::{Batch, SinkError};

/// The present, twice: times of events come from the one, pauses are measured with the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall: Timestamp,
    /// Since the collector started; never goes back.
    pub(crate) elapsed: Duration,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// Submissions that gathered, named by their place in this list: they share one fsync.
    Submissions(Vec<Vec<Event>>),
    /// Everything durable is wanted in the table, and nothing of it in the log any more if it is to be forgotten. Requests
    /// are answered in their order.
    Request { forget: bool },
    /// The log did the last [`LogCall`]. Nothing else may come in between.
    Log(LogAnswer),
    /// The table did the last [`TableCall`].
    Table(Result<TableAnswer, SinkError>),
    /// Time has passed. Comes after all other inputs, and when [`crate::state::State::wake_at`] says so.
    Tick {
        /// What is free on the disk of the log.
        free_bytes: Option<u64>,
        /// Whether a submission found the queue full since the last tick.
        queue_overflowed: bool,
    },
}

/// What a step asks for. At most one [`LogCall`] comes out of a step, and at most one [`TableCall`] is under way.
#[derive(Debug)]
pub(crate) enum Effect {
    Log(LogCall),
    /// The log takes no more writes: it is let go.
    CloseLog,
    Table(TableCall),
    AnswerSubmission {
        /// Its place in its list.
        submission: usize,
        result: Result<Receipt, Error>,
    },
    AnswerRequest(Result<(), Error>),
    /// The mode has changed.
    Announce(Transition),
    /// The log was read back into the table, or could not be yet.
    RecoveryTried,
}

#[derive(Debug)]
pub(crate) enum LogCall {
    Open,
    /// Appends records and makes them durable.
    Append(Vec<Vec<u8>>),
    /// Begins a new segment.
    Rotate,
    /// Gives up everything before a number.
    TruncateBefore(Sequence),
    /// Gives up everything, and continues at a number.
    AdvanceTo(Sequence),
    /// Tries whether so many bytes can be written.
    Probe(u64),
    /// Reads durable records from a number on: at most so many, and not many more bytes than `bytes`.
    Read {
        from: Sequence,
        records: usize,
        bytes: u64,
    },
    /// Sets records aside in which no event can be read.
    Quarantine(Vec<Record>),
}

/// What became of a [`LogCall`], and how the log is now.
#[derive(Debug)]
pub(crate) struct LogAnswer {
    pub(crate) done: LogDone,
    /// `None` while it is closed.
    pub(crate) log: Option<Status>,
}

#[derive(Debug)]
pub(crate) enum LogDone {
    Opened(Result<Recovery, WalError>),
    /// The number of the first record.
    Appended(Result<Sequence, WalError>),
    /// Whether there was anything to close.
    Rotated(Result<bool, WalError>),
    Truncated(Result<(), WalError>),
    Advanced(Result<(), WalError>),
    Probed(Result<(), WalError>),
    Read(Result<Chunk, WalError>),
    Quarantined(Result<(), io::Error>),
}

/// Some records of the log.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) records: Vec<Record>,
    /// The number after the last record that was read.
    pub(crate) next: Sequence,
    /// Whether that is the end of the log.
    pub(crate) end: bool,
}

#[derive(Debug)]
pub(crate) enum TableCall {
    /// How far each kind of events was committed, and the newest `limit` events that were received since.
    Recall { since: Timestamp, limit: usize },
    /// Stores a batch, and that nothing before `next` is needed again.
    Store { batch: Batch, next: Sequence },
}

#[derive(Debug)]
pub(crate) enum TableAnswer {
    Recalled { positions: Positions, received: Vec<(Timestamp, EventId)> },
    Stored,
}

/// The first record of the log that the table does not hold, by kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Positions {
    pub(crate) retrievals: u64,
    pub(crate) outputs: u64,
}
