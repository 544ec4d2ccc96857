//! An answer as it is sent, written while its rows come: neither rows nor bytes beyond the limits are ever held.

use std::io::{self, Write};

use arrow_ipc::writer::StreamWriter;
use arrow_json::WriterBuilder;
use arrow_json::writer::{LineDelimited, Writer};
use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::Schema;
use deltalake::arrow::error::ArrowError;

use super::{SqlError, SqlForm};

/// Writes an answer of at most `limit` bytes.
pub(super) struct AnswerWriter {
    limit: usize,
    output: Output,
    empty: bool,
}

enum Output {
    /// A row per line: a line feed is nowhere else in it.
    Json(Writer<Bounded, LineDelimited>),
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

impl AnswerWriter {
    pub(super) fn new(form: SqlForm, schema: &Schema, limit: usize) -> Result<Self, ArrowError> {
        let output = match form {
            SqlForm::Json => {
                let bytes = Bounded { bytes: b"[".to_vec(), limit, full: false };
                Output::Json(WriterBuilder::new().with_explicit_nulls(true).build(bytes))
            }
            SqlForm::ArrowStream => Output::Arrow(Box::new(StreamWriter::try_new(Vec::new(), schema)?)),
        };
        Ok(Self { limit, output, empty: true })
    }

    /// Writes the first of these rows that fit; true if all of them did.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<bool, SqlError> {
        let written = match &mut self.output {
            Output::Json(writer) => write_lines(writer, rows),
            Output::Arrow(writer) => write_messages(writer, rows, self.limit),
        };
        let written = written.map_err(SqlError::Write)?;
        self.empty &= written == 0;
        if written < rows.num_rows() && self.empty {
            return Err(SqlError::Limit(format!("more than {} bytes for the first row of its answer", self.limit)));
        }
        Ok(written == rows.num_rows())
    }

    /// The answer.
    pub(super) fn finish(self) -> Result<Vec<u8>, SqlError> {
        match self.output {
            Output::Json(writer) => {
                let mut bytes = writer.into_inner().bytes;
                bytes.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b',');
                bytes.pop_if(|byte| *byte == b',');
                bytes.push(b']');
                Ok(bytes)
            }
            Output::Arrow(writer) => writer.into_inner().map_err(SqlError::Write),
        }
    }
}

/// How many rows were written before there was no more room.
fn write_lines(writer: &mut Writer<Bounded, LineDelimited>, rows: &RecordBatch) -> Result<usize, ArrowError> {
    let begin = writer.get_ref().bytes.len();
    let written = writer.write(rows);
    let output = writer.get_mut();
    if !output.full {
        return written.map(|()| rows.num_rows());
    }
    let lines = &output.bytes[begin..];
    let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let count = lines[..whole].split_inclusive(|byte| *byte == b'\n').count();
    output.bytes.truncate(begin + whole);
    Ok(count)
}

/// The same. A message that was begun cannot be taken back, so its length is found out first.
fn write_messages(writer: &mut StreamWriter<Vec<u8>>, rows: &RecordBatch, limit: usize) -> Result<usize, ArrowError> {
    let (mut written, mut step) = (0, rows.num_rows());
    while written < rows.num_rows() && step > 0 {
        let next = rows.slice(written, step.min(rows.num_rows() - written));
        if writer.get_ref().len() + message_bytes(&next)? <= limit {
            writer.write(&next)?;
            written += next.num_rows();
        } else {
            step /= 2;
        }
    }
    Ok(written)
}

fn message_bytes(rows: &RecordBatch) -> Result<usize, ArrowError> {
    let mut writer = StreamWriter::try_new(Counter(0), rows.schema_ref())?;
    writer.write(rows)?;
    Ok(writer.into_inner()?.0)
}

/// Bytes up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let fit = part.len().min(self.limit.saturating_sub(self.bytes.len()));
        if fit < part.len() {
            self.full = true;
        }
        if fit == 0 && !part.is_empty() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(&part[..fit]);
        Ok(fit)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Only how many bytes there are.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.0 += part.len();
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
