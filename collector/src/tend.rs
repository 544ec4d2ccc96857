//! How a log that failed comes back by itself.

use std::sync::atomic::Ordering;
use std::time::Instant;

use tidemark_schema::{Ingest, Stored};
use tidemark_wal::{Sequence, Storage, Wal};

use crate::error::{Error, chain};
use crate::log::Log;
use crate::pending::Waiting;
use crate::replay::replay;

/// A trial on a full disk writes at least and at most this much.
const PROBE_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=16 * 1024 * 1024;

impl<T: Storage> Log<T> {
    /// Opens the log again, tries whether the disk has room, and removes what could not be removed, when it is time.
    pub(crate) fn tend(&mut self) {
        if Instant::now() < self.try_at {
            return;
        }
        if self.wal.is_none() {
            match self.reopen() {
                Ok(()) => tracing::info!("the write-ahead log is open again"),
                Err(error) => {
                    let pause = self.pauses.after_failure();
                    tracing::error!(error = %chain(&error), again_in = ?pause, "the write-ahead log stays closed");
                    self.failure = Some(chain(&error));
                    self.try_at = Instant::now() + pause;
                    return;
                }
            }
        }
        if let (Some(wal), Some(unwritable)) = (&mut self.wal, &self.unwritable) {
            let bytes = unwritable.bytes;
            let (least, most) = PROBE_BYTES.into_inner();
            match wal.probe(bytes.clamp(least, most)) {
                Ok(()) => self.unwritable = None,
                Err(error) => self.note_failure(&error, bytes.max(1)),
            }
        }
        if self.untruncated && self.wal.is_some() && Instant::now() >= self.try_at {
            // An error has been noted, and is tried again.
            let _removed = self.truncate();
        }
    }

    /// Opens the log and makes it agree with what was acknowledged.
    ///
    /// A failed fsync cut off what was not durable, so the log usually ends where the acknowledged events do. If the cut
    /// failed too, or a crash of the disk took more, it does not:
    ///
    /// - Records behind the acknowledged ones were refused, but they are there and would come back after a crash. They
    ///   count as accepted from now on: they wait for the table, and a resend of them is a duplicate.
    /// - If acknowledged records are gone, their numbers must not be given again, since the table would take the new
    ///   records for known. The events are still in memory: the log stays closed until the table has them, and then
    ///   continues behind their numbers.
    fn reopen(&mut self) -> Result<(), Error> {
        let failed = |source: tidemark_wal::Error| Error::Recover(source.into());
        let storage = (self.open)().map_err(failed)?;
        let (mut wal, recovery) = Wal::open(storage, self.settings.log).map_err(failed)?;
        if recovery.torn_tail.is_some() || !recovery.damage.is_empty() {
            tracing::warn!(?recovery, "the write-ahead log was mended");
        }
        if !self.recovered {
            // Nothing was acknowledged yet; the recovery reads whatever is there.
            self.durable = wal.next_sequence();
        } else if wal.next_sequence() < self.durable {
            if self.flushed < self.durable {
                self.due.notify_one();
                let (ends, acknowledged) = (wal.next_sequence().get(), self.durable.get());
                let lost = format!("the log ends at {ends}, but records before {acknowledged} were acknowledged");
                return Err(Error::Recover(format!("{lost}; the table must take them first").into()));
            }
            wal.advance_to(self.durable).map_err(failed)?;
        } else {
            self.take_survivors(&wal)?;
        }
        self.shared.note_damage(&recovery);
        self.shared.reopened.fetch_add(1, Ordering::Relaxed);
        self.wal = Some(wal);
        self.failure = None;
        self.untruncated = true;
        // What is in the table is safe from whatever ails the disk.
        self.due.notify_one();
        self.note_size();
        Ok(())
    }

    fn take_survivors(&mut self, wal: &Wal<T>) -> Result<(), Error> {
        let survivors = replay(wal, self.durable, usize::MAX, u64::MAX, &mut self.aside, &self.shared)?;
        let rows = survivors
            .rows
            .into_iter()
            .map(|waiting| Waiting { row: Stored { ingest: Ingest::Replayed, ..waiting.row }, ..waiting });
        for waiting in rows {
            self.window.insert(waiting.row.received_at, waiting.row.event.event_id());
            self.shared.recovered.fetch_add(1, Ordering::Relaxed);
            self.pending.push(waiting);
        }
        self.durable = Sequence::try_from(survivors.next).unwrap_or(Sequence::MAX).max(self.durable);
        Ok(())
    }
}
