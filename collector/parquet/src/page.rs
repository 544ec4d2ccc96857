//! What a decompressed page announces of its values.

use parquet::basic::{Encoding, Type};
use parquet::column::page::Page;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescriptor;

use crate::refused;

/// Refuses a page of which the decoder would make more values than it holds.
pub(crate) fn check(page: &Page, column: &ColumnDescriptor) -> Result<()> {
    let named = |reason: String| refused(format!("the column {}: {reason}", column.path().string()));
    if let Page::DictionaryPage { buf, num_values, .. } = page {
        let bytes = u64::from(*num_values).saturating_mul(least_bytes(column));
        if bytes > buf.len() as u64 {
            let held = buf.len();
            return Err(named(format!("a dictionary of {held} bytes says that it has {num_values} values")));
        }
        return Ok(());
    }
    match page.encoding() {
        Encoding::DELTA_BYTE_ARRAY => Err(named(
            "is written as DELTA_BYTE_ARRAY, by which a small file stands for any amount of text; write it with a \
             dictionary, as DELTA_LENGTH_BYTE_ARRAY or as PLAIN"
                .to_owned(),
        )),
        Encoding::DELTA_LENGTH_BYTE_ARRAY => {
            let values = u64::from(page.num_values());
            match values_of(page, column).and_then(announced_lengths) {
                Some(lengths) if lengths <= values => Ok(()),
                Some(lengths) => Err(named(format!("a page of {values} values says that it has {lengths} lengths"))),
                None => Err(named("a page ends before its values".to_owned())),
            }
        }
        _ => Ok(()),
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

/// What follows the levels.
fn values_of<'a>(page: &'a Page, column: &ColumnDescriptor) -> Option<&'a [u8]> {
    match page {
        Page::DataPage { buf, num_values, def_level_encoding, rep_level_encoding, .. } => {
            let rest = without_levels(buf, column.max_rep_level(), *rep_level_encoding, *num_values)?;
            without_levels(rest, column.max_def_level(), *def_level_encoding, *num_values)
        }
        Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
            buf.get(def_levels_byte_len.checked_add(*rep_levels_byte_len)? as usize..)
        }
        Page::DictionaryPage { buf, .. } => Some(buf),
    }
}

/// The levels of the first version of pages stand before the values, with their length, or with the bits of each.
fn without_levels(bytes: &[u8], max_level: i16, encoding: Encoding, values: u32) -> Option<&[u8]> {
    if max_level <= 0 {
        return Some(bytes);
    }
    if encoding == Encoding::RLE {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        return rest.get(u32::from_le_bytes(*length) as usize..);
    }
    let bits = u64::from(i16::BITS - max_level.leading_zeros());
    bytes.get(usize::try_from((u64::from(values) * bits).div_ceil(8)).ok()?..)
}

/// How many numbers a list of `DELTA_BINARY_PACKED` says that it has: after the size of a block and the number of its parts
/// (<https://github.com/apache/parquet-format/blob/master/Encodings.md>).
fn announced_lengths(bytes: &[u8]) -> Option<u64> {
    let (_, rest) = varint(bytes)?;
    let (_, rest) = varint(rest)?;
    Some(varint(rest)?.0)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let (groups, rest) = bytes.split_at_checked(end + 1)?;
    Some((groups.iter().rev().fold(0, |number, group| number << 7 | u64::from(group & 0x7f)), rest))
}
