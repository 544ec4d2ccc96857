//! Arrow IPC (<https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc>): a stream
//! of messages, each of which announces what follows it. A file is the same stream between a magic word and a
//! table of contents, which nobody needs who reads from the beginning to the end.
//!
//! The decoder takes a message at its word. So messages are read here, are checked, and go to it one by one:
//!
//! | what a message announces | what is checked |
//! |---|---|
//! | its own length, and that of its body | no more is held than has come; a message has at most 8 MiB |
//! | tables and texts of a message | what is shared counts as often as it is used, and is at most 16 MiB then |
//! | columns | at most 4,096, with names of at most 256 bytes |
//! | buffers | together they are no longer than the body, so that none is used twice; they are not compressed |
//! | dictionaries | at most 65,536, each of them whole: one that grows is copied at each step |

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::{Field, Message, root_as_message_with_opts};
use arrow_schema::{ArrowError, SchemaRef};
use flatbuffers::VerifierOptions;

use super::{Table, TableError, guarded};

/// What each message begins with ("Encapsulated message format").
const CONTINUATION: [u8; 4] = [0xff; 4];
const FILE_MAGIC: &[u8] = b"ARROW1";
/// The magic and the least of its padding.
const FILE_START_BYTES: usize = 8;
const MESSAGE_BYTES_MAX: u64 = 8 * 1024 * 1024;
const APPARENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A column takes a handful.
const FLATBUFFER_TABLES_MAX: usize = 40_000;
const COLUMNS_MAX: usize = 4_096;
const NAME_BYTES_MAX: usize = 256;
const DICTIONARIES_MAX: usize = 65_536;

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
    let mut stream =
        Stream { content, decoder: StreamDecoder::new(), ready: VecDeque::new(), dictionaries: 0, ended: false };
    let schema = guarded(|| stream.schema())?;
    Ok(Table::of(schema, stream))
}

/// A file.
pub fn ipc_file<'a>(mut content: impl Read + 'a) -> Result<Table<'a>, TableError> {
    let mut start = [0; FILE_START_BYTES];
    content.read_exact(&mut start).map_err(failed)?;
    // Zeros up to where the writer likes a stream to begin.
    let mut first = [0; 4];
    while first == [0; 4] {
        content.read_exact(&mut first).map_err(failed)?;
    }
    ipc_stream(Cursor::new(first).chain(content))
}

struct Stream<R> {
    content: R,
    decoder: StreamDecoder,
    /// Batches that were decoded and not asked for yet.
    ready: VecDeque<RecordBatch>,
    dictionaries: usize,
    ended: bool,
}

impl<R: Read> Stream<R> {
    fn schema(&mut self) -> Result<SchemaRef, TableError> {
        loop {
            match self.decoder.schema() {
                Some(schema) => return Ok(schema),
                None if self.ended => return Err(damaged("it ends before its schema")),
                None => self.read_message()?,
            }
        }
    }

    /// The next batch; `None` at the end.
    fn batch(&mut self) -> Result<Option<RecordBatch>, TableError> {
        while self.ready.is_empty() && !self.ended {
            self.read_message()?;
        }
        Ok(self.ready.pop_front())
    }

    /// Decodes one message, or notes the end.
    fn read_message(&mut self) -> Result<(), TableError> {
        let mut start = self.read(4, "a length")?;
        if start == CONTINUATION {
            start.extend(self.read(4, "the length of a message")?);
        }
        let length = start.last_chunk().map_or(0, |length| i32::from_le_bytes(*length));
        if length == 0 {
            // Some programs end a stream without saying so. The decoder looks at a message without a body when more comes.
            self.ended = true;
            return self.decode([CONTINUATION, [0; 4]].concat());
        }
        let length = u64::try_from(length).ok().filter(|length| *length <= MESSAGE_BYTES_MAX);
        let length = length.ok_or_else(|| damaged(&format!("a message is longer than {MESSAGE_BYTES_MAX} bytes")))?;
        let message = self.read(length, "a message")?;
        let body_bytes = self.check(&message)?;
        let body = self.read(body_bytes, "the body of a message")?;
        start.extend(message);
        self.decode(start)?;
        self.decode(body)
    }

    /// As many bytes as that, or none at the end of the content.
    fn read(&mut self, bytes: u64, what: &str) -> Result<Vec<u8>, TableError> {
        let mut part = Vec::new();
        self.content.by_ref().take(bytes).read_to_end(&mut part).map_err(failed)?;
        let at_end = part.is_empty() && what == "a length";
        if part.len() as u64 == bytes || at_end { Ok(part) } else { Err(damaged(&format!("it ends in {what}"))) }
    }

    fn decode(&mut self, bytes: Vec<u8>) -> Result<(), TableError> {
        let mut bytes = Buffer::from(bytes);
        while !bytes.is_empty() {
            self.ready.extend(self.decoder.decode(&mut bytes).map_err(unreadable)?);
        }
        Ok(())
    }

    /// The bytes of the body.
    fn check(&mut self, message: &[u8]) -> Result<u64, TableError> {
        let options = VerifierOptions {
            max_tables: FLATBUFFER_TABLES_MAX,
            max_apparent_size: APPARENT_BYTES_MAX,
            ..VerifierOptions::default()
        };
        let message = root_as_message_with_opts(&options, message);
        let message = message.map_err(|error| TableError::Unreadable(error.to_string()))?;
        if let Some(schema) = message.header_as_schema() {
            let mut left = COLUMNS_MAX;
            schema.fields().into_iter().flatten().try_for_each(|field| check_field(field, &mut left))?;
        }
        if let Some(dictionary) = message.header_as_dictionary_batch() {
            self.dictionaries += 1;
            if self.dictionaries > DICTIONARIES_MAX {
                return Err(damaged(&format!("it has more than {DICTIONARIES_MAX} dictionaries")));
            }
            if dictionary.isDelta() {
                return Err(damaged("it has a dictionary that grows; write dictionaries as a whole"));
            }
        }
        check_buffers(message)
    }
}

fn check_field(field: Field<'_>, left: &mut usize) -> Result<(), TableError> {
    *left = left.checked_sub(1).ok_or_else(|| damaged(&format!("it has more than {COLUMNS_MAX} columns")))?;
    if field.name().is_some_and(|name| name.len() > NAME_BYTES_MAX) {
        return Err(damaged(&format!("the name of a column has more than {NAME_BYTES_MAX} bytes")));
    }
    field.children().into_iter().flatten().try_for_each(|child| check_field(child, left))
}

/// The bytes of the body, in which each buffer lies by itself.
fn check_buffers(message: Message<'_>) -> Result<u64, TableError> {
    let body = u64::try_from(message.bodyLength()).map_err(|_| damaged("a length is negative"))?;
    let of_dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    if let Some(batch) = message.header_as_record_batch().or(of_dictionary) {
        // What a compressed buffer becomes is told by itself, and nothing bounds it.
        if batch.compression().is_some() {
            return Err(TableError::Compressed);
        }
        let lengths = batch.buffers().into_iter().flatten().map(|buffer| u64::try_from(buffer.length()).ok());
        let together = lengths.into_iter().try_fold(0_u64, |together, length| together.checked_add(length?));
        if together.is_none_or(|together| together > body) {
            return Err(damaged("its buffers say that they are longer than the body in which they lie"));
        }
    }
    Ok(body)
}

impl<R: Read> Iterator for Stream<R> {
    type Item = Result<RecordBatch, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

fn damaged(reason: &str) -> TableError {
    TableError::Unreadable(reason.to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn unreadable(error: ArrowError) -> TableError {
    damaged(&error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn failed(error: io::Error) -> TableError {
    damaged(&error.to_string())
}
