use std::io::{Read, Seek};

use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_ipc::root_as_message;
use arrow_schema::ArrowError;

use super::{Table, TableError, guarded};

/// What each message of a stream begins with (Arrow columnar format, "Encapsulated message format").
const CONTINUATION: [u8; 4] = [0xff; 4];
const FILE_MAGIC: &[u8] = b"ARROW1";

/// Whether these are the first bytes of a stream.
pub fn is_ipc_stream(bytes: &[u8]) -> bool {
    bytes.starts_with(&CONTINUATION)
}

/// Whether these are the first bytes of a file.
pub fn is_ipc_file(bytes: &[u8]) -> bool {
    bytes.starts_with(FILE_MAGIC)
}

/// A stream.
pub fn ipc_stream<'a>(content: impl Read + 'a) -> Result<Table<'a>, TableError> {
    let reader = guarded(|| StreamReader::try_new(content, None).map_err(unreadable))?;
    Ok(Table::of(reader.schema(), reader))
}

/// A file.
pub fn ipc_file<'a>(content: impl Read + Seek + 'a) -> Result<Table<'a>, TableError> {
    let reader = guarded(|| FileReader::try_new(content, None).map_err(unreadable))?;
    Ok(Table::of(reader.schema(), reader))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn unreadable(error: ArrowError) -> TableError {
    TableError::Unreadable(error.to_string())
}

/// Refuses a stream whose buffers are compressed: what they become is told by the buffers themselves, and nothing bounds it.
pub fn refuse_compressed(content: &[u8]) -> Result<(), TableError> {
    let unreadable = |reason: &str| TableError::Unreadable(reason.to_owned());
    let mut rest = content;
    while let Some(after) = rest.strip_prefix(&CONTINUATION) {
        let (length, after) = after.split_first_chunk::<4>().ok_or_else(|| unreadable("it ends in a length"))?;
        let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| unreadable("a length is negative"))?;
        if length == 0 {
            return Ok(());
        }
        let (metadata, after) = after.split_at_checked(length).ok_or_else(|| unreadable("it ends in a message"))?;
        let message = root_as_message(metadata).map_err(|error| TableError::Unreadable(error.to_string()))?;
        let of_batch = message.header_as_record_batch();
        let of_dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
        if of_batch.or(of_dictionary).is_some_and(|batch| batch.compression().is_some()) {
            return Err(TableError::Compressed);
        }
        let body = usize::try_from(message.bodyLength()).map_err(|_| unreadable("a length is negative"))?;
        rest = after.split_at_checked(body).ok_or_else(|| unreadable("it ends in the body of a message"))?.1;
    }
    if rest.is_empty() { Ok(()) } else { Err(unreadable("something else stands where a message should begin")) }
}
