//! The metadata at the end of a file.

use std::io::Read;

use parquet::errors::Result;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::ChunkReader;

use crate::grammar::FILE_METADATA;
use crate::refused;
use crate::thrift::{Visitor, walk};

/// The length of the metadata, and the four bytes with which every file ends.
const TAIL_BYTES: usize = 8;
const MAGIC: &[u8] = b"PAR1";
/// Decoded, metadata takes about twenty times its bytes.
const BYTES_MAX: u32 = 8 * 1024 * 1024;
/// How deep groups of columns may be nested; a list takes two levels.
const GROUPS_MAX: usize = 32;

/// Reads it, once it has been walked through.
pub(crate) fn read(input: &impl ChunkReader) -> Result<ParquetMetaData> {
    let no_parquet = || refused("it does not end as a Parquet file does");
    let start = input.len().checked_sub(TAIL_BYTES as u64).ok_or_else(no_parquet)?;
    let tail = input.get_bytes(start, TAIL_BYTES)?;
    let (length, magic) = tail.split_at_checked(4).ok_or_else(no_parquet)?;
    if magic != MAGIC {
        return Err(no_parquet());
    }
    let length = length.iter().rev().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    if length > BYTES_MAX {
        return Err(refused(format!("its metadata has {length} bytes, the limit is {BYTES_MAX}")));
    }
    let start = start.checked_sub(length.into()).ok_or_else(|| refused("its metadata is longer than the file"))?;
    let metadata = input.get_bytes(start, length as usize)?;
    let mut groups = Groups::default();
    walk(&mut metadata.as_ref().take(length.into()), FILE_METADATA, &mut groups)?;
    groups.finish()?;
    ParquetMetaDataReader::decode_metadata(&metadata)
}

/// How deep the groups of columns are nested: they stand one after the other, each with the number of those that follow
/// within it (`FileMetaData.schema` and `SchemaElement.num_children` in
/// <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>).
#[derive(Default)]
struct Groups {
    /// The children of the element that is being read.
    children: i32,
    /// The elements that are still to come in each open group.
    open: Vec<i32>,
}

impl Groups {
    /// The decoder reserves room for as many children as a group says that it has.
    fn finish(&self) -> Result<()> {
        if self.open.is_empty() { Ok(()) } else { Err(refused("it has fewer columns than it says")) }
    }
}

const SCHEMA: &[i16] = &[2];
const NUM_CHILDREN: &[i16] = &[2, 5];

impl Visitor for Groups {
    const LISTS: bool = true;

    fn number(&mut self, place: &[i16], value: i64) -> Result<()> {
        if place == NUM_CHILDREN {
            // The decoder takes the last 32 bits of it.
            self.children =
                i32::try_from(value).map_err(|_| refused("a group has more columns than a file may have"))?;
        }
        Ok(())
    }

    fn end(&mut self, place: &[i16]) -> Result<()> {
        if place != SCHEMA {
            return Ok(());
        }
        if let Some(left) = self.open.last_mut() {
            *left -= 1;
        }
        self.open.push(std::mem::take(&mut self.children));
        while self.open.pop_if(|left| *left <= 0).is_some() {}
        if self.open.len() > GROUPS_MAX {
            return Err(refused(format!("its columns are nested more than {GROUPS_MAX} deep")));
        }
        Ok(())
    }
}
