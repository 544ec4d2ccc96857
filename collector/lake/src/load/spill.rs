//! Rows of many partitions in one temporary file, which goes with the process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::buffer::Buffer;
use deltalake::arrow::error::ArrowError;

use crate::files::Partition;

/// The blocks of a partition, by the ranges of the sort key that they hold.
pub(super) type Ranges = BTreeMap<usize, Vec<Block>>;

/// Blocks of rows on disk.
#[derive(Default)]
pub(super) struct Spill {
    file: Option<File>,
    end: u64,
    blocks: BTreeMap<Partition, Ranges>,
}

/// Where some rows are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    offset: u64,
    length: usize,
    /// What the rows take in memory.
    pub(super) bytes: usize,
    pub(super) rows: usize,
}

impl Spill {
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    /// Writes rows of a partition that are of one range.
    pub(super) fn write(&mut self, partition: &Partition, range: usize, rows: &RecordBatch) -> Result<(), ArrowError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let mut writer = StreamWriter::try_new(Vec::new(), rows.schema_ref())?;
        writer.write(rows)?;
        let block = writer.into_inner()?;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.write_all(&block)?;
        let (bytes, length) = (rows.get_array_memory_size(), block.len());
        let block = Block { offset: self.end, length, bytes, rows: rows.num_rows() };
        self.end += length as u64;
        self.blocks.entry(partition.clone()).or_default().entry(range).or_default().push(block);
        Ok(())
    }

    /// What was written, to be read once; this is empty then.
    pub(super) fn take(&mut self) -> (BTreeMap<Partition, Ranges>, Option<File>) {
        self.end = 0;
        (std::mem::take(&mut self.blocks), self.file.take())
    }
}

/// Reads a block. Its rows lie where they were read to.
pub(super) fn read(file: &Mutex<File>, block: &Block) -> Result<RecordBatch, ArrowError> {
    let mut bytes = Vec::with_capacity(block.length);
    {
        // All who read share one place in the file.
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(block.offset))?;
        Read::by_ref(&mut *file).take(block.length as u64).read_to_end(&mut bytes)?;
    }
    let mut bytes = Buffer::from_vec(bytes);
    let rows = StreamDecoder::new().decode(&mut bytes)?;
    rows.ok_or_else(|| ArrowError::IpcError("a block has no rows".to_owned()))
}
