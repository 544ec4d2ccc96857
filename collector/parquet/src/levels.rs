//! Where rows begin in a column of lists: at each value whose level of repetition is 0.

use crate::thrift::varint;

/// The rows of a column chunk, as far as its pages have been looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// How many have begun.
    pub(crate) begun: u64,
    /// The values of the last one.
    last: u64,
    /// The values of the longest one.
    pub(crate) longest: u64,
}

impl Rows {
    /// Adds a page of a column in which each row has one value.
    pub(crate) fn add_flat(&mut self, values: u32) {
        self.add(0, values.into());
    }

    /// Adds the levels of a page: runs of one level, and groups of eight that stand bit by bit
    /// (<https://github.com/apache/parquet-format/blob/master/Encodings.md#RLE>). `None` if they end before the values do.
    pub(crate) fn add_levels(&mut self, mut levels: &[u8], level_max: i16, values: u32) -> Option<()> {
        let width = i16::BITS - level_max.leading_zeros();
        let mut left = u64::from(values);
        while left > 0 {
            let head = varint(&mut levels).ok()?;
            // The decoder takes the last 32 bits of it.
            let count = u64::from(u32::try_from(head >> 1).ok()?);
            if head & 1 == 0 {
                let (level, rest) = levels.split_at_checked(width.div_ceil(8) as usize)?;
                levels = rest;
                let count = count.min(left);
                self.add(u64::from(level.iter().any(|byte| *byte != 0)), count);
                left -= count;
            } else {
                let bytes = usize::try_from(count * u64::from(width)).ok()?;
                let (groups, rest) = levels.split_at_checked(bytes)?;
                levels = rest;
                let count = (8 * count).min(left);
                for value in 0..count {
                    let bits = (0..u64::from(width)).map(|bit| value * u64::from(width) + bit);
                    let level = bits.map(|bit| groups[(bit / 8) as usize] >> (bit % 8) & 1).max();
                    self.add(level.unwrap_or(0).into(), 1);
                }
                left -= count;
            }
        }
        Some(())
    }

    /// Adds values of one level.
    fn add(&mut self, level: u64, values: u64) {
        if values == 0 {
            return;
        }
        if level == 0 {
            self.begun += values;
            self.last = 1;
        } else {
            self.last += values;
        }
        self.longest = self.longest.max(self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(levels: &[u8], level_max: i16, values: u32, expected: Option<(u64, u64)>) {
        let mut rows = Rows::default();
        let read = rows.add_levels(levels, level_max, values).map(|()| (rows.begun, rows.longest));
        assert_eq!(read, expected);
    }

    #[test]
    fn rows_begin_at_level_0_in_runs_and_in_groups() {
        // A run of 4 rows, and one of 3 further values of the last.
        check(&[8, 0, 6, 1], 1, 7, Some((4, 4)));
        // A group of eight levels, of which four are values: 0 1 1 0.
        check(&[3, 0b0110], 1, 4, Some((2, 3)));
        // Two bits each: 0 2 1 0, 0 0 3 0.
        check(&[3, 0b00_01_10_00, 0b00_11_00_00], 3, 8, Some((5, 3)));
        check(&[], 1, 0, Some((0, 0)));
    }

    #[test]
    fn levels_that_end_before_the_values_are_none() {
        check(&[], 1, 1, None);
        check(&[8], 1, 4, None);
        check(&[8, 0], 1, 5, None);
        check(&[3], 1, 1, None);
        check(&[0xff; 12], 1, 1, None);
        // 2^33 rows, in 32 bits none.
        check(&[0x80, 0x80, 0x80, 0x80, 0x40, 0], 1, 1, None);
    }

    #[test]
    fn a_row_goes_on_in_the_next_page() {
        let mut rows = Rows::default();
        rows.add_levels(&[2, 0, 4, 1], 1, 3).unwrap();
        rows.add_levels(&[6, 1], 1, 3).unwrap();
        assert_eq!(rows, Rows { begun: 1, last: 6, longest: 6 });
        rows.add_flat(2);
        assert_eq!((rows.begun, rows.longest), (3, 6));
    }
}
