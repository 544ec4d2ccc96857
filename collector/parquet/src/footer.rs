//! The metadata at the end of a file.

use std::io::Read;

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::errors::Result;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::ChunkReader;
use parquet::schema::types::ColumnDescPtr;

use crate::grammar::FILE_METADATA;
use crate::refused;
use crate::thrift::{Visitor, walk};

/// The length of the metadata, and the four bytes with which every file ends.
const TAIL_BYTES: usize = 8;
const MAGIC: &[u8] = b"PAR1";
const BYTES_MAX: u32 = 8 * 1024 * 1024;
/// How deep groups of columns may be nested; a list takes two levels.
const GROUPS_MAX: usize = 32;
/// Columns and groups of them. Decoded, each takes some kilobytes, and the names of all groups in which it lies.
const ELEMENTS_MAX: usize = 4_096;
const NAME_BYTES_MAX: u64 = 256;
/// Columns times row groups. Decoded, each takes about a kilobyte.
const CHUNKS_MAX: usize = 65_536;
/// Bytes of a value whose length is part of its type: an id has 16, a hash 64.
const FIXED_BYTES_MAX: i64 = 1_024;

/// Reads it, once it has been walked through.
pub(crate) fn read(input: &impl ChunkReader) -> Result<ParquetMetaData> {
    let no_parquet = || refused("it does not end as a Parquet file does");
    let start = input.len().checked_sub(TAIL_BYTES as u64).ok_or_else(no_parquet)?;
    let tail = input.get_bytes(start, TAIL_BYTES)?;
    let (length, magic) = tail.split_first_chunk::<4>().ok_or_else(no_parquet)?;
    if magic != MAGIC {
        return Err(no_parquet());
    }
    let length = u32::from_le_bytes(*length);
    if length > BYTES_MAX {
        return Err(refused(format!("its metadata has {length} bytes, the limit is {BYTES_MAX}")));
    }
    let start = start.checked_sub(length.into()).ok_or_else(|| refused("its metadata is longer than the file"))?;
    let metadata = input.get_bytes(start, length as usize)?;
    let mut shape = Shape::default();
    walk(&mut metadata.as_ref().take(length.into()), FILE_METADATA, &mut shape)?;
    shape.finish()?;
    let metadata = ParquetMetaDataReader::decode_metadata(&metadata)?;
    let columns = metadata.file_metadata().schema_descr().columns();
    if columns.is_empty() {
        return Err(refused("it has no columns"));
    }
    // Unlike a text, a decimal number is copied into each row.
    let decimal = |column: &ColumnDescPtr| {
        column.converted_type() == ConvertedType::DECIMAL
            || matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. }))
    };
    if let Some(column) = columns.iter().find(|column| column.physical_type() == Type::BYTE_ARRAY && decimal(column)) {
        let column = column.path().string();
        return Err(refused(format!(
            "the column {column} has decimal numbers of any length; write them as numbers or as texts"
        )));
    }
    Ok(metadata)
}

/// The shape of the columns: they stand one after the other, each group with the number of those that follow within it
/// (`FileMetaData.schema` and `SchemaElement.num_children` in
/// <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>).
#[derive(Default)]
struct Shape {
    /// The children of the element that is being read.
    children: i32,
    /// The elements that are still to come in each open group.
    open: Vec<i32>,
    elements: usize,
    chunks: usize,
}

impl Shape {
    /// The decoder reserves room for as many children as a group says that it has.
    fn finish(&self) -> Result<()> {
        if self.open.is_empty() { Ok(()) } else { Err(refused("it has fewer columns than it says")) }
    }

    fn element(&mut self) -> Result<()> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(refused(format!("it has more than {ELEMENTS_MAX} columns and groups of columns")));
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

    fn chunk(&mut self) -> Result<()> {
        self.chunks += 1;
        if self.chunks > CHUNKS_MAX {
            return Err(refused(format!("it has more than {CHUNKS_MAX} columns, counted in each row group")));
        }
        Ok(())
    }
}

const SCHEMA_ELEMENT: &[i16] = &[2];
const TYPE_LENGTH: &[i16] = &[2, 2];
const NAME: &[i16] = &[2, 4];
const NUM_CHILDREN: &[i16] = &[2, 5];
const COLUMN_CHUNK: &[i16] = &[4, 1];

impl Visitor for Shape {
    const LISTS: bool = true;

    fn text(&mut self, place: &[i16], length: u64) -> Result<()> {
        if place == NAME && length > NAME_BYTES_MAX {
            return Err(refused(format!("the name of a column has {length} bytes, the limit is {NAME_BYTES_MAX}")));
        }
        Ok(())
    }

    fn number(&mut self, place: &[i16], value: i64) -> Result<()> {
        match place {
            TYPE_LENGTH if value > FIXED_BYTES_MAX => Err(refused(format!(
                "the values of a column have a fixed length of {value} bytes, the limit is {FIXED_BYTES_MAX}"
            ))),
            NUM_CHILDREN => {
                // The decoder takes the last 32 bits of it.
                let children = i32::try_from(value);
                self.children = children.map_err(|_| refused("a group has more columns than a file may have"))?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, place: &[i16]) -> Result<()> {
        match place {
            SCHEMA_ELEMENT => self.element(),
            COLUMN_CHUNK => self.chunk(),
            _ => Ok(()),
        }
    }
}
