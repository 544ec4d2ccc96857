use std::io::{self, Read, Seek, SeekFrom};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::{FileReader, StreamDecoder, read_footer_length};
use arrow_ipc::{Block, root_as_footer, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};

use super::{Table, TableError, guarded};

/// What each message of a stream begins with (Arrow columnar format, "Encapsulated message format").
const CONTINUATION: [u8; 4] = [0xff; 4];
const FILE_MAGIC: &[u8] = b"ARROW1";
/// Bytes of a stream that are read at a time.
const PART_BYTES: usize = 64 * 1024;
/// The length of the footer, and the bytes with which every file ends.
const TAIL_BYTES: usize = 10;
const FOOTER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Whether these are the first bytes of a stream.
pub fn is_ipc_stream(bytes: &[u8]) -> bool {
    bytes.starts_with(&CONTINUATION)
}

/// Whether these are the first bytes of a file.
pub fn is_ipc_file(bytes: &[u8]) -> bool {
    bytes.starts_with(FILE_MAGIC)
}

/// A stream. Of what it announces, no more is held than has come.
pub fn ipc_stream<'a>(content: impl Read + 'a) -> Result<Table<'a>, TableError> {
    let mut stream = Stream { content, decoder: StreamDecoder::new(), rest: Buffer::default(), first: None };
    let schema = guarded(|| stream.schema().map_err(unreadable))?;
    Ok(Table::of(schema, stream))
}

struct Stream<R> {
    content: R,
    decoder: StreamDecoder,
    /// What was read and is not decoded yet.
    rest: Buffer,
    /// A batch that was met on the way to the schema.
    first: Option<RecordBatch>,
}

impl<R: Read> Stream<R> {
    fn schema(&mut self) -> Result<SchemaRef, ArrowError> {
        loop {
            if let Some(schema) = self.decoder.schema() {
                return Ok(schema);
            }
            if !self.fill()? {
                return Err(ArrowError::IpcError("it ends before its schema".to_owned()));
            }
            self.first = self.decoder.decode(&mut self.rest)?;
        }
    }

    /// The next batch; `None` at the end.
    fn batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.first.is_some() {
            return Ok(self.first.take());
        }
        while self.fill()? {
            if let Some(batch) = self.decoder.decode(&mut self.rest)? {
                return Ok(Some(batch));
            }
        }
        self.decoder.finish().map(|()| None)
    }

    /// Whether there is anything to decode.
    fn fill(&mut self) -> Result<bool, ArrowError> {
        if self.rest.is_empty() {
            let mut part = Vec::with_capacity(PART_BYTES);
            self.content.by_ref().take(PART_BYTES as u64).read_to_end(&mut part)?;
            self.rest = part.into();
        }
        Ok(!self.rest.is_empty())
    }
}

impl<R: Read> Iterator for Stream<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

/// A file.
pub fn ipc_file<'a>(mut content: impl Read + Seek + 'a) -> Result<Table<'a>, TableError> {
    let reader = guarded(|| {
        check_blocks(&mut content)?;
        FileReader::try_new(content, None).map_err(unreadable)
    })?;
    Ok(Table::of(reader.schema(), reader))
}

/// Refuses a file whose footer, or one of its blocks, says that it is longer than there is: the reader takes room for it first.
fn check_blocks(content: &mut (impl Read + Seek)) -> Result<(), TableError> {
    let damaged = |reason: &str| TableError::Unreadable(reason.to_owned());
    let failed = |error: io::Error| TableError::Unreadable(error.to_string());
    let bytes = content.seek(SeekFrom::End(0)).map_err(failed)?;
    let end = bytes.checked_sub(TAIL_BYTES as u64).ok_or_else(|| damaged("it ends before its footer"))?;
    content.seek(SeekFrom::Start(end)).map_err(failed)?;
    let mut tail = [0; TAIL_BYTES];
    content.read_exact(&mut tail).map_err(failed)?;
    let length = read_footer_length(tail).map_err(unreadable)?;
    let start = end.checked_sub(length as u64).ok_or_else(|| damaged("its footer is longer than the file"))?;
    if length > FOOTER_BYTES_MAX {
        return Err(TableError::Unreadable(format!("its footer has {length} bytes, the limit is {FOOTER_BYTES_MAX}")));
    }
    content.seek(SeekFrom::Start(start)).map_err(failed)?;
    let mut footer = vec![0; length];
    content.read_exact(&mut footer).map_err(failed)?;
    let footer = root_as_footer(&footer).map_err(|error| TableError::Unreadable(error.to_string()))?;
    let blocks = footer.dictionaries().into_iter().chain(footer.recordBatches()).flatten();
    let length = |block: &Block| {
        let (metadata, body) = (u64::try_from(block.metaDataLength()).ok()?, u64::try_from(block.bodyLength()).ok()?);
        metadata.checked_add(body)
    };
    let together = blocks.map(length).try_fold(0_u64, |together, length| together.checked_add(length?));
    match together {
        Some(together) if together <= bytes => Ok(()),
        _ => Err(TableError::Unreadable(format!(
            "its blocks say that they are longer than the {bytes} bytes of the file"
        ))),
    }
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
