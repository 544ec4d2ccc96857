//! Arrow IPC (<https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc>): a stream
//! of messages, each of which announces what follows it, or a file that ends in a table of such messages.
//!
//! The decoder takes a message at its word. So messages are read here, are checked, and go to it one by one:
//!
//! | what a message announces | what is checked |
//! |---|---|
//! | its own length, and that of its body | no more is held than has come; a message has at most 8 MiB |
//! | tables and texts of a message | what is shared counts as often as it is used, and is at most 16 MiB then |
//! | columns | at most 4,096, with names of at most 256 bytes |
//! | buffers | together they are no longer than the body, so that none is used twice; compressed ones become no more than they may |
//! | views | what they show is at most 64 times the body; not looked at if it is compressed, which a sender may not do |
//! | dictionaries | at most 65,536, each of them whole: one that grows is copied at each step |

mod messages;

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, StreamDecoder, read_footer_length};
use arrow_ipc::{Block, root_as_footer_with_opts};
use arrow_schema::SchemaRef;

use self::messages::{MESSAGE_BYTES_MAX, Messages, body_bytes, verifier};
use super::{Table, TableError, guarded};

/// What each message begins with ("Encapsulated message format").
const CONTINUATION: [u8; 4] = [0xff; 4];
const FILE_MAGIC: &[u8] = b"ARROW1";
/// The length of the footer, and the magic again.
const TAIL_BYTES: usize = 10;

/// Whether these are the first bytes of a stream.
pub fn is_ipc_stream(bytes: &[u8]) -> bool {
    bytes.starts_with(&CONTINUATION)
}

/// Whether these are the first bytes of a file.
pub fn is_ipc_file(bytes: &[u8]) -> bool {
    bytes.starts_with(FILE_MAGIC)
}

/// A stream. Its buffers may be compressed if they say that those of a batch become at most `decompressed_max` bytes; with 0
/// they may not.
pub fn ipc_stream<'a>(content: impl Read + 'a, decompressed_max: u64) -> Result<Table<'a>, TableError> {
    let mut stream = Stream {
        content,
        decoder: StreamDecoder::new(),
        ready: VecDeque::new(),
        messages: Messages::of(decompressed_max),
        ended: false,
    };
    let schema = guarded(|| stream.schema())?;
    Ok(Table::of(schema, stream))
}

/// A file, in the same way.
pub fn ipc_file<'a>(content: impl Read + Seek + 'a, decompressed_max: u64) -> Result<Table<'a>, TableError> {
    let file = guarded(|| File::open(content, decompressed_max))?;
    Ok(Table::of(Arc::clone(&file.schema), file))
}

struct Stream<R> {
    content: R,
    decoder: StreamDecoder,
    /// Batches that were decoded and not asked for yet.
    ready: VecDeque<RecordBatch>,
    messages: Messages,
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
        // Nothing at all is the end as well: some programs end a stream without saying so.
        let mut start = up_to(&mut self.content, 4)?;
        if start == CONTINUATION {
            start.extend(exactly(&mut self.content, 4, "the length of a message")?);
        } else if (1..4).contains(&start.len()) {
            return Err(damaged("it ends in a length"));
        }
        let length = start.last_chunk().map_or(0, |length| i32::from_le_bytes(*length));
        if length == 0 {
            // The decoder looks at a message without a body when more comes.
            self.ended = true;
            return self.decode([CONTINUATION, [0; 4]].concat());
        }
        let length = u64::try_from(length).ok().filter(|length| *length <= MESSAGE_BYTES_MAX);
        let length = length.ok_or_else(|| damaged(format!("a message is longer than {MESSAGE_BYTES_MAX} bytes")))?;
        let bytes = exactly(&mut self.content, length, "a message")?;
        let message = self.messages.check(&bytes)?;
        let body = exactly(&mut self.content, body_bytes(message)?, "the body of a message")?;
        self.messages.check_body(message, &body)?;
        start.extend(bytes);
        self.decode(start)?;
        self.decode(body)
    }

    fn decode(&mut self, bytes: Vec<u8>) -> Result<(), TableError> {
        let mut bytes = Buffer::from(bytes);
        while !bytes.is_empty() {
            self.ready.extend(self.decoder.decode(&mut bytes).map_err(unreadable)?);
        }
        Ok(())
    }
}

impl<R: Read> Iterator for Stream<R> {
    type Item = Result<RecordBatch, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

/// A file is read by the table of contents at its end: not all programs write the schema in front as a message.
struct File<R> {
    content: R,
    schema: SchemaRef,
    decoder: FileDecoder,
    /// Where the batches that are still to come lie.
    blocks: VecDeque<Block>,
    messages: Messages,
}

impl<R: Read + Seek> File<R> {
    fn open(mut content: R, decompressed_max: u64) -> Result<Self, TableError> {
        let bytes = content.seek(SeekFrom::End(0)).map_err(unreadable)?;
        let end = bytes.checked_sub(TAIL_BYTES as u64).ok_or_else(|| damaged("it ends before its footer"))?;
        let mut tail = [0; TAIL_BYTES];
        content.seek(SeekFrom::Start(end)).map_err(unreadable)?;
        content.read_exact(&mut tail).map_err(unreadable)?;
        let length = read_footer_length(tail).map_err(unreadable)? as u64;
        let start = end.checked_sub(length).ok_or_else(|| damaged("its footer is longer than the file"))?;
        if length > MESSAGE_BYTES_MAX {
            return Err(damaged(format!("its footer is longer than {MESSAGE_BYTES_MAX} bytes")));
        }
        let footer = read_at(&mut content, start, length)?;
        let footer = root_as_footer_with_opts(&verifier(), &footer).map_err(unreadable)?;
        let schema = footer.schema().ok_or_else(|| damaged("its footer has no schema"))?;
        let mut messages = Messages::of(decompressed_max);
        messages.check_schema(schema)?;
        let schema = Arc::new(fb_to_schema(schema));
        let dictionaries: Vec<Block> = footer.dictionaries().into_iter().flatten().copied().collect();
        let batches: VecDeque<Block> = footer.recordBatches().into_iter().flatten().copied().collect();
        let lengths = dictionaries.iter().chain(&batches).map(|block| Some(lengths_of(block)?.iter().sum::<u64>()));
        let together = lengths.into_iter().try_fold(0_u64, |together, length| together.checked_add(length?));
        if together.is_none_or(|together| together > bytes) {
            return Err(damaged(format!("its blocks say that they are longer than the {bytes} bytes of the file")));
        }
        let decoder = FileDecoder::new(Arc::clone(&schema), footer.version());
        let mut file = Self { content, schema, decoder, blocks: batches, messages };
        for block in dictionaries {
            let content = file.read_block(&block)?;
            file.decoder.read_dictionary(&block, &content).map_err(unreadable)?;
        }
        Ok(file)
    }

    /// The message of a block, with its body.
    fn read_block(&mut self, block: &Block) -> Result<Buffer, TableError> {
        let negative = || damaged("a length is negative");
        let [metadata, body] = lengths_of(block).ok_or_else(negative)?;
        let start = u64::try_from(block.offset()).map_err(|_| negative())?;
        let content = read_at(&mut self.content, start, metadata + body)?;
        let (message, body_content) = content.split_at(usize::try_from(metadata).unwrap_or(content.len()));
        let prefix = if message.starts_with(&CONTINUATION) { 8 } else { 4 };
        let message = self.messages.check(message.get(prefix..).unwrap_or_default())?;
        if body_bytes(message)? > body {
            return Err(damaged("a message has a longer body than its block"));
        }
        self.messages.check_body(message, body_content)?;
        Ok(content.into())
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, TableError> {
        while let Some(block) = self.blocks.pop_front() {
            let content = self.read_block(&block)?;
            if let Some(batch) = self.decoder.read_record_batch(&block, &content).map_err(unreadable)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

impl<R: Read + Seek> Iterator for File<R> {
    type Item = Result<RecordBatch, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

/// The lengths of a message and of its body; `None` if one is negative.
fn lengths_of(block: &Block) -> Option<[u64; 2]> {
    Some([
        block.metaDataLength().try_into().ok()?,
        u64::try_from(block.bodyLength()).ok().filter(|body| *body < 1 << 62)?,
    ])
}

fn read_at(content: &mut (impl Read + Seek), start: u64, bytes: u64) -> Result<Vec<u8>, TableError> {
    content.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    exactly(content, bytes, "a message")
}

/// As many bytes as that, of which `what` is made.
fn exactly(content: &mut impl Read, bytes: u64, what: &str) -> Result<Vec<u8>, TableError> {
    let part = up_to(content, bytes)?;
    if part.len() as u64 == bytes { Ok(part) } else { Err(damaged(format!("it ends in {what}"))) }
}

/// As many bytes as that, or those that are left. What is taken grows with what comes.
fn up_to(content: &mut impl Read, bytes: u64) -> Result<Vec<u8>, TableError> {
    let mut part = Vec::new();
    content.take(bytes).read_to_end(&mut part).map_err(unreadable)?;
    Ok(part)
}

fn damaged(reason: impl Into<String>) -> TableError {
    TableError::Unreadable(reason.into())
}

fn unreadable(error: impl Display) -> TableError {
    damaged(error.to_string())
}
