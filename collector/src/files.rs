//! The log and what lies beside it, on disk: does what [`LogCall`] says.

use std::io;

use tidemark_wal::{Error as WalError, Options, Record, Recovery, Sequence, Status, Storage, Wal};

use crate::effect::{Chunk, LogAnswer, LogCall, LogDone};
use crate::quarantine::Quarantine;

/// An open log, or a way to open it.
pub(crate) struct Files<T, O> {
    /// `None` from a failure after which it takes no more writes until it is opened again.
    wal: Option<Wal<T>>,
    open: O,
    options: Options,
    quarantine: Quarantine,
}

impl<T: Storage, O: FnMut() -> Result<T, WalError>> Files<T, O> {
    /// Opens the log, in the storage that `open` gives at the start and after each failure.
    pub(crate) fn open(
        mut open: O,
        options: Options,
        quarantine: Quarantine,
    ) -> Result<(Self, Status, Recovery), WalError> {
        let (wal, recovery) = open_log(&mut open, options)?;
        let status = wal.status();
        Ok((Self { wal: Some(wal), open, options, quarantine }, status, recovery))
    }

    pub(crate) fn close(&mut self) {
        self.wal = None;
    }

    pub(crate) fn call(&mut self, call: LogCall) -> LogAnswer {
        let done = match call {
            LogCall::Open => LogDone::Opened(self.reopen()),
            LogCall::Append(records) => LogDone::Appended(self.with(|wal| {
                let first = wal.append(&records)?.start;
                wal.sync()?;
                Ok(first)
            })),
            LogCall::Rotate => LogDone::Rotated(self.with(Wal::rotate)),
            LogCall::TruncateBefore(next) => {
                LogDone::Truncated(self.with(|wal| wal.truncate_before(next)).map(|_freed| ()))
            }
            LogCall::AdvanceTo(next) => LogDone::Advanced(self.with(|wal| wal.advance_to(next)).map(|_freed| ())),
            LogCall::Probe(bytes) => LogDone::Probed(self.with(|wal| wal.probe(bytes))),
            LogCall::Read { from, records, bytes } => LogDone::Read(self.with(|wal| read(wal, from, records, bytes))),
            LogCall::Quarantine(records) => LogDone::Quarantined(self.keep(&records)),
        };
        LogAnswer { done, log: self.wal.as_ref().map(Wal::status) }
    }

    fn reopen(&mut self) -> Result<Recovery, WalError> {
        // The old one holds the lock of the folder.
        self.wal = None;
        let (wal, recovery) = open_log(&mut self.open, self.options)?;
        self.wal = Some(wal);
        Ok(recovery)
    }

    fn with<R>(&mut self, work: impl FnOnce(&mut Wal<T>) -> Result<R, WalError>) -> Result<R, WalError> {
        match &mut self.wal {
            Some(wal) => work(wal),
            None => Err(WalError::Poisoned { path: self.quarantine.directory().to_owned() }),
        }
    }

    fn keep(&mut self, records: &[Record]) -> io::Result<()> {
        records.iter().try_for_each(|record| self.quarantine.keep(record))
    }
}

fn open_log<T: Storage>(
    open: &mut impl FnMut() -> Result<T, WalError>,
    options: Options,
) -> Result<(Wal<T>, Recovery), WalError> {
    let (wal, recovery) = Wal::open(open()?, options)?;
    if recovery.torn_tail.is_some() || !recovery.damage.is_empty() {
        tracing::warn!(?recovery, "the write-ahead log was mended");
    }
    Ok((wal, recovery))
}

/// Damaged regions are stepped over: they were told when the log was opened.
fn read<T: Storage>(wal: &Wal<T>, from: Sequence, most: usize, bytes: u64) -> Result<Chunk, WalError> {
    let from = from.max(wal.first_sequence()).min(wal.durable_sequence());
    let mut read = Chunk { records: Vec::new(), next: from, end: false };
    let mut total = 0_u64;
    for record in wal.read_from(from)? {
        let record = record?;
        read.next = record.sequence.next();
        total = total.saturating_add(record.payload.len() as u64);
        read.records.push(record);
        if read.records.len() >= most || total >= bytes {
            return Ok(read);
        }
    }
    // Also behind a damaged end: what cannot be read now cannot be read later.
    Ok(Chunk { next: wal.durable_sequence(), end: true, ..read })
}
