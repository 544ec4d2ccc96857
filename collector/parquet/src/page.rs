//! What a decompressed page announces of its values.

use parquet::basic::{Encoding, Type};
use parquet::column::page::Page;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescriptor;

use crate::levels::Rows;
use crate::refused;
use crate::thrift::varint;

/// Refuses a page of which the decoder would make more values than it holds, and adds its rows. Returns the bytes that
/// decoding takes beside the page, before any row is asked for.
pub(crate) fn check(page: &Page, column: &ColumnDescriptor, rows: &mut Rows) -> Result<u64> {
    let named = |reason: String| refused(format!("the column {}: {reason}", column.path().string()));
    let cut_off = || named("a page ends before its values".to_owned());
    if let Page::DictionaryPage { buf, num_values, .. } = page {
        let bytes = u64::from(*num_values).saturating_mul(least_bytes(column));
        if bytes > buf.len() as u64 {
            let held = buf.len();
            return Err(named(format!("a dictionary of {held} bytes says that it has {num_values} values")));
        }
        return Ok(0);
    }
    if let Some(encoding) = outdated_levels(page, column) {
        return Err(named(format!("its levels are written as {encoding}, which is out of use")));
    }
    let Parts { repetition, values } = Parts::of(page, column).ok_or_else(cut_off)?;
    match repetition {
        Some(levels) => {
            rows.add_levels(levels, column.max_rep_level(), page.num_values()).ok_or_else(cut_off)?;
        }
        None => rows.add_flat(page.num_values()),
    }
    match page.encoding() {
        Encoding::DELTA_BYTE_ARRAY => Err(named(
            "is written as DELTA_BYTE_ARRAY, by which a small file stands for any amount of text; write it with a \
             dictionary, as DELTA_LENGTH_BYTE_ARRAY or as PLAIN"
                .to_owned(),
        )),
        Encoding::DELTA_LENGTH_BYTE_ARRAY => {
            let announced = announced_lengths(values).ok_or_else(cut_off)?;
            let values = page.num_values();
            if announced > values.into() {
                return Err(named(format!("a page of {values} values says that it has {announced} lengths")));
            }
            Ok(4 * announced)
        }
        _ => Ok(0),
    }
}

/// The bytes that a value takes at least where it is written out.
fn least_bytes(column: &ColumnDescriptor) -> u64 {
    match column.physical_type() {
        Type::BOOLEAN => 1,
        // Of a text of any length, the length.
        Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
        Type::INT64 | Type::DOUBLE => 8,
        Type::INT96 => 12,
        Type::FIXED_LEN_BYTE_ARRAY => u64::try_from(column.type_length()).unwrap_or(0).max(1),
    }
}

/// What a data page is made of.
struct Parts<'a> {
    /// The levels that tell where rows begin, if a row may have several values.
    repetition: Option<&'a [u8]>,
    values: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None` if the page ends too early.
    fn of(page: &'a Page, column: &ColumnDescriptor) -> Option<Self> {
        match page {
            Page::DataPage { buf, .. } => {
                let (repetition, rest) = first_levels(buf, column.max_rep_level())?;
                let (_, values) = first_levels(rest, column.max_def_level())?;
                Some(Self { repetition, values })
            }
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
                let (repetition, rest) = buf.split_at_checked(*rep_levels_byte_len as usize)?;
                let (_, values) = rest.split_at_checked(*def_levels_byte_len as usize)?;
                Some(Self { repetition: (column.max_rep_level() > 0).then_some(repetition), values })
            }
            Page::DictionaryPage { buf, .. } => Some(Self { repetition: None, values: buf }),
        }
    }
}

/// How the levels of a page are written, if not as all programs have done for many years.
fn outdated_levels(page: &Page, column: &ColumnDescriptor) -> Option<Encoding> {
    let Page::DataPage { def_level_encoding, rep_level_encoding, .. } = page else { return None };
    let levels = [(column.max_rep_level(), rep_level_encoding), (column.max_def_level(), def_level_encoding)];
    levels.into_iter().find(|(max, encoding)| *max > 0 && **encoding != Encoding::RLE).map(|(_, encoding)| *encoding)
}

/// The levels of the first version of pages stand before the values, with their length.
fn first_levels(bytes: &[u8], level_max: i16) -> Option<(Option<&[u8]>, &[u8])> {
    if level_max == 0 {
        return Some((None, bytes));
    }
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (levels, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((Some(levels), rest))
}

/// How many numbers a list of `DELTA_BINARY_PACKED` says that it has: after the size of a block and the number of its parts
/// (<https://github.com/apache/parquet-format/blob/master/Encodings.md>).
fn announced_lengths(mut bytes: &[u8]) -> Option<u64> {
    varint(&mut bytes).ok()?;
    varint(&mut bytes).ok()?;
    varint(&mut bytes).ok()
}
