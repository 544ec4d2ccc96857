//! What a message announces, looked at before the decoder has it.

use std::collections::BTreeMap;

use arrow_ipc::{Buffer, Field, Message, RecordBatch as RecordBatchMessage, Schema, Type, root_as_message_with_opts};
use flatbuffers::VerifierOptions;

use super::{TableError, damaged, unreadable};

pub(super) const MESSAGE_BYTES_MAX: u64 = 8 * 1024 * 1024;
const APPARENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A column takes a handful.
const FLATBUFFER_TABLES_MAX: usize = 40_000;
const COLUMNS_MAX: usize = 4_096;
const NAME_BYTES_MAX: usize = 256;
const DICTIONARIES_MAX: usize = 65_536;
/// One text may be shown by many views, and is read for each of them.
const SHOWN_TIMES_MAX: u64 = 64;
const VIEW_BYTES: usize = 16;

/// What has been seen of the messages of a table.
pub(super) struct Messages {
    dictionaries: usize,
    decompressed_max: u64,
    columns: Columns,
}

impl Messages {
    pub(super) fn of(decompressed_max: u64) -> Self {
        Self { dictionaries: 0, decompressed_max, columns: Columns::default() }
    }

    /// Refuses a message that stands for more than it is.
    pub(super) fn check<'m>(&mut self, bytes: &'m [u8]) -> Result<Message<'m>, TableError> {
        let message = root_as_message_with_opts(&verifier(), bytes).map_err(unreadable)?;
        if let Some(schema) = message.header_as_schema() {
            self.check_schema(schema)?;
        }
        if let Some(dictionary) = message.header_as_dictionary_batch() {
            self.dictionaries += 1;
            if self.dictionaries > DICTIONARIES_MAX {
                return Err(damaged(format!("it has more than {DICTIONARIES_MAX} dictionaries")));
            }
            if dictionary.isDelta() {
                return Err(damaged("it has a dictionary that grows; write dictionaries as a whole"));
            }
        }
        check_buffers(message)?;
        Ok(message)
    }

    /// Refuses too many columns, long names, and types that no event has; remembers how the others lie in a batch.
    pub(super) fn check_schema(&mut self, schema: Schema<'_>) -> Result<(), TableError> {
        self.columns = Columns::of(schema)?;
        Ok(())
    }

    /// Refuses a body that becomes more than it may.
    pub(super) fn check_body(&self, message: Message<'_>, body: &[u8]) -> Result<(), TableError> {
        let Some(batch) = batch_of(message) else {
            return Ok(());
        };
        if batch.compression().is_none() {
            let shown = self.columns.shown_bytes(message, batch, body)?;
            if shown > (body.len() as u64).saturating_mul(SHOWN_TIMES_MAX) {
                let reason =
                    format!("its views show more than {SHOWN_TIMES_MAX} times what they lie in; write plain texts");
                return Err(damaged(reason));
            }
            return Ok(());
        }
        let limit = self.decompressed_max;
        match decompressed_bytes(batch, body) {
            _ if limit == 0 => Err(TableError::Compressed),
            Some(bytes) if bytes <= limit => Ok(()),
            _ => Err(damaged(format!("decompressed, a batch has more than {limit} bytes"))),
        }
    }
}

pub(super) fn verifier() -> VerifierOptions {
    VerifierOptions {
        max_tables: FLATBUFFER_TABLES_MAX,
        max_apparent_size: APPARENT_BYTES_MAX,
        ..VerifierOptions::default()
    }
}

/// The batch in a message, or in its dictionary.
fn batch_of(message: Message<'_>) -> Option<RecordBatchMessage<'_>> {
    let of_dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    message.header_as_record_batch().or(of_dictionary)
}

pub(super) fn body_bytes(message: Message<'_>) -> Result<u64, TableError> {
    u64::try_from(message.bodyLength()).map_err(|_| damaged("a length is negative"))
}

/// Refuses buffers that cannot lie in the body each by itself.
fn check_buffers(message: Message<'_>) -> Result<(), TableError> {
    let body = body_bytes(message)?;
    let buffers = batch_of(message).and_then(|batch| batch.buffers()).into_iter().flatten();
    let mut lengths = buffers.map(|buffer| u64::try_from(buffer.length()).ok());
    let together = lengths.try_fold(0_u64, |together, length| together.checked_add(length?));
    if together.is_none_or(|together| together > body) {
        return Err(damaged("its buffers say that they are longer than the body in which they lie"));
    }
    Ok(())
}

/// What the buffers say that they become. Each begins with that length, or with −1 if it is not compressed after all.
fn decompressed_bytes(batch: RecordBatchMessage<'_>, body: &[u8]) -> Option<u64> {
    batch.buffers().into_iter().flatten().filter(|buffer| buffer.length() > 0).try_fold(0_u64, |together, buffer| {
        let start = body.get(usize::try_from(buffer.offset()).ok()?..)?;
        let length = i64::from_le_bytes(*start.first_chunk()?);
        together.checked_add(u64::try_from(if length == -1 { buffer.length() } else { length }).ok()?)
    })
}

/// How columns lie in the buffers of a batch
/// (<https://github.com/apache/arrow/blob/main/docs/source/format/Columnar.rst#recordbatch-message>).
#[derive(Default)]
struct Columns {
    of_batch: Vec<Level>,
    /// By the number of the dictionary.
    of_dictionaries: BTreeMap<i64, Vec<Level>>,
    seen: usize,
}

/// A column, or a part of one; those of a struct or a list follow it.
#[derive(Debug, PartialEq, Eq)]
enum Level {
    Buffers(usize),
    /// Which are null, the views, and as many buffers as the batch says.
    Views,
}

impl Columns {
    fn of(schema: Schema<'_>) -> Result<Self, TableError> {
        let (mut columns, mut levels) = (Self::default(), Vec::new());
        schema.fields().into_iter().flatten().try_for_each(|field| columns.add(field, &mut levels))?;
        Ok(Self { of_batch: levels, ..columns })
    }

    fn add(&mut self, field: Field<'_>, levels: &mut Vec<Level>) -> Result<(), TableError> {
        self.seen += 1;
        if self.seen > COLUMNS_MAX {
            return Err(damaged(format!("it has more than {COLUMNS_MAX} columns")));
        }
        if field.name().is_some_and(|name| name.len() > NAME_BYTES_MAX) {
            return Err(damaged(format!("the name of a column has more than {NAME_BYTES_MAX} bytes")));
        }
        let Some(dictionary) = field.dictionary() else {
            return self.add_values(field, levels);
        };
        levels.push(Level::Buffers(2));
        let mut values = Vec::new();
        self.add_values(field, &mut values)?;
        let known = self.of_dictionaries.entry(dictionary.id()).or_default();
        if !known.is_empty() && *known != values {
            return Err(damaged(format!("dictionary {} is that of columns of different types", dictionary.id())));
        }
        *known = values;
        Ok(())
    }

    fn add_values(&mut self, field: Field<'_>, levels: &mut Vec<Level>) -> Result<(), TableError> {
        let (level, has_parts) = match field.type_type() {
            Type::Null => (Level::Buffers(0), false),
            Type::FixedSizeList | Type::Struct_ => (Level::Buffers(1), true),
            Type::List | Type::LargeList | Type::Map => (Level::Buffers(2), true),
            Type::Utf8 | Type::LargeUtf8 | Type::Binary | Type::LargeBinary => (Level::Buffers(3), false),
            Type::Utf8View | Type::BinaryView => (Level::Views, false),
            foreign @ (Type::Union | Type::RunEndEncoded | Type::ListView | Type::LargeListView) => {
                let found = foreign.variant_name().unwrap_or_default().to_owned();
                return Err(TableError::Type { column: field.name().unwrap_or_default().to_owned(), found });
            }
            _ => (Level::Buffers(2), false),
        };
        levels.push(level);
        let parts = field.children().filter(|_| has_parts);
        parts.into_iter().flatten().try_for_each(|part| self.add(part, levels))
    }

    /// How many bytes the views of a batch show.
    fn shown_bytes(&self, message: Message<'_>, batch: RecordBatchMessage<'_>, body: &[u8]) -> Result<u64, TableError> {
        let levels = match message.header_as_dictionary_batch() {
            Some(dictionary) => self.of_dictionaries.get(&dictionary.id()),
            None => Some(&self.of_batch),
        };
        let mut buffers = batch.buffers().into_iter().flatten();
        let mut more = batch.variadicBufferCounts().into_iter().flatten();
        let mut shown = 0_u64;
        for level in levels.into_iter().flatten() {
            let others = match level {
                Level::Buffers(count) => *count,
                Level::Views => {
                    let (views, others) =
                        buffers.nth(1).zip(more.next()).ok_or_else(|| damaged("a column lacks a buffer"))?;
                    shown = shown.saturating_add(shown_by(views, body)?);
                    usize::try_from(others).map_err(|_| damaged("a length is negative"))?
                }
            };
            buffers.by_ref().take(others).for_each(drop);
        }
        Ok(shown)
    }
}

/// The lengths of views together: each begins with its own
/// (<https://github.com/apache/arrow/blob/main/docs/source/format/Columnar.rst#variable-size-binary-view-layout>).
fn shown_by(views: &Buffer, body: &[u8]) -> Result<u64, TableError> {
    let bytes = || {
        let views = body.get(usize::try_from(views.offset()).ok()?..)?.get(..usize::try_from(views.length()).ok()?)?;
        let (views, _) = views.as_chunks::<VIEW_BYTES>();
        views.iter().try_fold(0_u64, |shown, view| shown.checked_add(u32::from_le_bytes(*view.first_chunk()?).into()))
    };
    bytes().ok_or_else(|| damaged("a buffer lies outside of the body"))
}
