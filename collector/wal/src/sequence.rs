//! The number of a record.

use std::fmt;

/// The number of a record in the log: contiguous from 0, never given to two readable records.
///
/// It stays inside `i64`, because a caller stores it as the version of a Delta transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

/// A number that no record can have: negative, or above `i64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record number lies between 0 and {}", Sequence::MAX.get())]
pub struct SequenceOutOfRange;

impl Sequence {
    /// The first record a log ever holds.
    pub const FIRST: Self = Self(0);

    /// The last number there is; the log refuses to go past it.
    pub const MAX: Self = Self(i64::MAX.unsigned_abs());

    /// The plain number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as Delta stores it.
    pub const fn to_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// How many records lie from `earlier` up to this one, 0 if `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The sequence `count` records further on, unless numbers run out.
    pub const fn checked_add(self, count: u64) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(sum) if sum <= Self::MAX.0 => Some(Self(sum)),
            _ => None,
        }
    }

    /// The sequence after this one. Saturates: `append` has refused long before.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.checked_add(1) {
            Some(next) => next,
            None => Self::MAX,
        }
    }
}

impl TryFrom<u64> for Sequence {
    type Error = SequenceOutOfRange;

    fn try_from(value: u64) -> Result<Self, Self::Error> {
        if value <= Self::MAX.0 { Ok(Self(value)) } else { Err(SequenceOutOfRange) }
    }
}

impl TryFrom<i64> for Sequence {
    type Error = SequenceOutOfRange;

    fn try_from(value: i64) -> Result<Self, Self::Error> {
        u64::try_from(value).map(Self).map_err(|_| SequenceOutOfRange)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_survives_the_way_through_i64() {
        for sequence in [Sequence::FIRST, Sequence(41), Sequence::MAX] {
            assert_eq!(Sequence::try_from(sequence.to_i64()), Ok(sequence));
        }
    }

    #[test]
    fn numbers_outside_i64_are_refused() {
        assert_eq!(Sequence::try_from(-1_i64), Err(SequenceOutOfRange));
        assert_eq!(Sequence::try_from(u64::MAX), Err(SequenceOutOfRange));
        assert_eq!(Sequence::MAX.checked_add(1), None);
    }
}
