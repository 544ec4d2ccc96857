//! How a log is.

use crate::format::{RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use crate::options::Options;
use crate::sequence::Sequence;

/// How the log was when it was asked ([`crate::Wal::status`]): whether a batch fits can be decided without the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The number the next record gets.
    pub next: Sequence,
    /// One past the last record that survives a power loss.
    pub durable: Sequence,
    /// What all segments take on disk.
    pub bytes: u64,
    pub(crate) options: Options,
    pub(crate) active_bytes: u64,
    pub(crate) active_has_records: bool,
    /// Whether everything in the log has been given up.
    pub(crate) released: bool,
}

impl Status {
    /// Whether a batch of so many records with so many bytes of payload fits into the budget.
    pub fn fits(&self, records: u64, payload_bytes: u64) -> bool {
        let batch_bytes = payload_bytes.saturating_add(records.saturating_mul(RECORD_HEADER_BYTES as u64));
        records == 0
            || self.bytes_with(batch_bytes) <= self.options.budget_bytes
            || self.fits_in_place_of_drained(batch_bytes)
    }

    /// What the log would take with the batch in it.
    pub(crate) fn bytes_with(&self, batch_bytes: u64) -> u64 {
        let header_bytes = if self.begins_segment(batch_bytes) { SEGMENT_HEADER_BYTES as u64 } else { 0 };
        self.bytes.saturating_add(batch_bytes).saturating_add(header_bytes)
    }

    /// Whether everything in the log has been given up, and a batch would fit once it is gone.
    pub(crate) fn fits_in_place_of_drained(&self, batch_bytes: u64) -> bool {
        let drained = self.released && self.active_has_records;
        drained && batch_bytes.saturating_add(SEGMENT_HEADER_BYTES as u64) <= self.options.budget_bytes
    }

    /// Whether the batch goes into a segment of its own. An active segment without records is always used.
    pub(crate) fn begins_segment(&self, batch_bytes: u64) -> bool {
        self.active_has_records && self.active_bytes.saturating_add(batch_bytes) > self.options.segment_bytes
    }
}
