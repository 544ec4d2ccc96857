//! Reading records of the log back into events.

use std::sync::atomic::Ordering;

use tidemark_wal::{Sequence, Storage, Wal};

use crate::aside::Aside;
use crate::error::Error;
use crate::health::Shared;
use crate::message::Replayed;
use crate::pending::Waiting;
use crate::record;

/// The events from number `from` on: at most `events`, and not many more bytes than `bytes`. Damaged regions are stepped
/// over (they were told when the log was opened); records that no event can be made of are kept aside.
pub(crate) fn replay<T: Storage>(
    wal: &Wal<T>,
    from: Sequence,
    events: usize,
    bytes: u64,
    aside: &mut Aside,
    shared: &Shared,
) -> Result<Replayed, Error> {
    let log_error = |source: tidemark_wal::Error| Error::Recover(source.into());
    let from = from.max(wal.first_sequence()).min(wal.durable_sequence());
    let mut replayed = Replayed { rows: Vec::new(), next: from.get(), end: false };
    let mut total = 0_u64;
    for record in wal.read_from(from).map_err(log_error)? {
        let record = record.map_err(log_error)?;
        let (sequence, payload) = (record.sequence.get(), record.payload);
        if let Ok(row) = record::read(&payload) {
            replayed.rows.push(Waiting { sequence, bytes: row.event.bytes(), row });
        } else {
            // The reason may quote what is stored, and the log of the process is for other eyes.
            tracing::error!(sequence, "a record of the log cannot be read and is kept aside");
            let kept = aside.keep(sequence, &payload).map_err(|source| Error::Recover(source.into()))?;
            shared.unreadable.fetch_add(u64::from(kept), Ordering::Relaxed);
        }
        replayed.next = sequence + 1;
        total = total.saturating_add(payload.len() as u64);
        if replayed.rows.len() >= events.max(1) || total >= bytes {
            return Ok(replayed);
        }
    }
    // Also behind a damaged end: what cannot be read now cannot be read later.
    Ok(Replayed { next: wal.durable_sequence().get(), end: true, ..replayed })
}
