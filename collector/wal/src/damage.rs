//! What was found unreadable, where, and how much of it.

use std::ops::Range;
use std::path::PathBuf;

use crate::sequence::Sequence;

/// How many regions are described one by one; further ones are only counted, so that garbage cannot fill the memory.
pub const DAMAGE_LISTED_MAX: usize = 256;

/// Bytes of a segment that hold no intact record although one belongs there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment file.
    pub path: PathBuf,
    /// First byte of the region.
    pub offset: u64,
    /// Length of the region; 0 if the bytes are not there at all.
    pub bytes: u64,
    /// The records that are lost with it; empty if none is.
    pub missing: Range<Sequence>,
    /// What is wrong with the bytes.
    pub kind: DamageKind,
}

/// What is wrong with a damaged region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageKind {
    /// The header of the file does not match its checksum. Its records are found without it.
    SegmentHeader,
    /// No record header where one belongs; reading went on at the next one that is intact.
    RecordHeader,
    /// An intact header, but the payload does not match its checksum.
    Payload,
    /// The segment ends before its records do, or a whole segment is gone.
    Absent,
}

/// All damage met on one way through the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DamageReport {
    listed: Vec<Damage>,
    regions: u64,
    bytes: u64,
    sequences_missing: u64,
}

impl DamageReport {
    /// The first [`DAMAGE_LISTED_MAX`] regions, in the order of the log.
    pub fn listed(&self) -> &[Damage] {
        &self.listed
    }

    /// How many regions there are, listed or not.
    pub const fn regions(&self) -> u64 {
        self.regions
    }

    /// How many bytes they cover.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many records are lost with them.
    pub const fn sequences_missing(&self) -> u64 {
        self.sequences_missing
    }

    /// Whether everything was intact.
    pub const fn is_empty(&self) -> bool {
        self.regions == 0
    }

    pub(crate) fn push(&mut self, damage: Damage) {
        self.regions += 1;
        self.bytes = self.bytes.saturating_add(damage.bytes);
        let missing = damage.missing.end.since(damage.missing.start);
        self.sequences_missing = self.sequences_missing.saturating_add(missing);
        if self.listed.len() < DAMAGE_LISTED_MAX {
            self.listed.push(damage);
        }
    }

    /// Moves everything from `later` behind what is here.
    pub(crate) fn append(&mut self, later: &mut Self) {
        let later = std::mem::take(later);
        self.regions += later.regions;
        self.bytes = self.bytes.saturating_add(later.bytes);
        self.sequences_missing = self.sequences_missing.saturating_add(later.sequences_missing);
        let room = DAMAGE_LISTED_MAX - self.listed.len();
        self.listed.extend(later.listed.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_counted_in_full_but_listed_up_to_a_bound() {
        let mut report = DamageReport::default();
        for _ in 0..3 {
            let mut later = DamageReport::default();
            for _ in 0..200 {
                later.push(Damage {
                    path: PathBuf::new(),
                    offset: 0,
                    bytes: 2,
                    missing: Sequence::FIRST..Sequence::FIRST.next(),
                    kind: DamageKind::Payload,
                });
            }
            report.append(&mut later);
            assert!(later.is_empty());
        }
        assert_eq!(report.listed().len(), DAMAGE_LISTED_MAX);
        assert_eq!((report.regions(), report.bytes(), report.sequences_missing()), (600, 1200, 600));
    }
}
