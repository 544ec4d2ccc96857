//! What the tests share: a faulty disk and short ways to fill and read a log.

pub(crate) mod faulty;
pub(crate) mod harness;

use std::ops::Range;

use tidemark_wal::{Options, Recovery, Sequence, Storage, Wal};

/// Small enough that every test crosses segments.
pub(crate) const SMALL: Options = Options { segment_bytes: 160, budget_bytes: 4096, record_bytes_max: 1024 };

pub(crate) fn sequence(value: u64) -> Sequence {
    Sequence::try_from(value).unwrap()
}

pub(crate) fn plain(range: &Range<Sequence>) -> Range<u64> {
    range.start.get()..range.end.get()
}

pub(crate) fn open<S: Storage>(storage: S, options: Options) -> (Wal<S>, Recovery) {
    Wal::open(storage, options).unwrap()
}

/// All readable records with their numbers.
pub(crate) fn read_all<S: Storage>(wal: &Wal<S>) -> Vec<(u64, Vec<u8>)> {
    let records = wal.read_from(wal.first_sequence()).unwrap();
    records.map(|record| record.map(|record| (record.sequence.get(), record.payload)).unwrap()).collect()
}

/// A stream of numbers from a seed; the tests need variety, not quality.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to and with `most`.
    pub(crate) fn up_to(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % (most as u64 + 1)).unwrap()
    }
}
