use tidemark_parquet::{ChunkReader, File, Limits};

use super::{Table, TableError};

/// Files of events are imported by whoever owns the machine, and may be long. Some programs make one page of each column and
/// row group, of up to 100 MB.
const LIMITS: Limits = Limits { memory: 1024 * 1024 * 1024, all_bytes: u64::MAX };

/// Whether these are the first bytes of a file.
pub fn is_parquet(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PAR1")
}

/// A file.
pub fn parquet_file(content: impl ChunkReader + 'static) -> Result<Table<'static>, TableError> {
    let file = File::open(content)?;
    Ok(Table::of(file.schema().clone(), file.batches(LIMITS)?))
}
