//! The limits of a log.

use crate::error::Error;
use crate::format::{RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES};

/// The longest payload the format allows, whatever the options say: a reader allocates this much at most.
pub const RECORD_BYTES_LIMIT: u32 = 256 * 1024 * 1024;

/// The limits of a log, all in bytes. They may change between two openings of the same log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A segment that would grow past this is closed and a new one begun. Only a single batch larger than this makes
    /// a longer segment, because a batch never spans two. Space is freed in whole segments.
    pub segment_bytes: u64,
    /// What all segments together may take on disk, headers included.
    pub budget_bytes: u64,
    /// The longest payload of one record. Raising it is safe; a log that holds a longer record than this refuses to
    /// open instead of calling the record damaged.
    pub record_bytes_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 * 1024 * 1024, budget_bytes: 1024 * 1024 * 1024, record_bytes_max: 16 * 1024 * 1024 }
    }
}

impl Options {
    /// Refuses limits under which an empty log could not take a single record of the permitted length.
    pub fn validate(&self) -> Result<(), Error> {
        let record_bytes = u64::from(self.record_bytes_max) + RECORD_HEADER_BYTES as u64;
        let empty_bytes = SEGMENT_HEADER_BYTES as u64;
        if self.record_bytes_max == 0 || self.record_bytes_max > RECORD_BYTES_LIMIT {
            return Err(Error::CheckingOptions {
                field: "record_bytes_max",
                found: u64::from(self.record_bytes_max),
                smallest: 1,
                largest: u64::from(RECORD_BYTES_LIMIT),
            });
        }
        if self.budget_bytes < 2 * empty_bytes + record_bytes {
            return Err(Error::CheckingOptions {
                field: "budget_bytes",
                found: self.budget_bytes,
                smallest: 2 * empty_bytes + record_bytes,
                largest: u64::MAX,
            });
        }
        if self.segment_bytes <= empty_bytes || self.segment_bytes > self.budget_bytes {
            return Err(Error::CheckingOptions {
                field: "segment_bytes",
                found: self.segment_bytes,
                smallest: empty_bytes + 1,
                largest: self.budget_bytes,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(options: Options, refused_field: Option<&str>) {
        let refused = match options.validate() {
            Err(Error::CheckingOptions { field, .. }) => Some(field),
            _ => None,
        };
        assert_eq!(refused, refused_field);
    }

    #[test]
    fn the_defaults_are_valid() {
        check(Options::default(), None);
    }

    #[test]
    fn a_budget_must_hold_one_record_of_the_permitted_length() {
        let options = Options { segment_bytes: 100, budget_bytes: 171, record_bytes_max: 100 };
        check(options, Some("budget_bytes"));
        check(Options { budget_bytes: 172, ..options }, None);
    }

    #[test]
    fn a_segment_must_fit_into_the_budget() {
        check(Options { segment_bytes: 1 << 40, ..Options::default() }, Some("segment_bytes"));
        check(Options { segment_bytes: 24, ..Options::default() }, Some("segment_bytes"));
    }

    #[test]
    fn a_record_must_have_room_and_a_bound() {
        check(Options { record_bytes_max: 0, ..Options::default() }, Some("record_bytes_max"));
        check(Options { record_bytes_max: u32::MAX, ..Options::default() }, Some("record_bytes_max"));
    }
}
