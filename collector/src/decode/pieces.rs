//! Cutting a stream of bytes into events, before any of them is parsed.
//!
//! Three forms are recognised by their first characters: an array, one object over several lines, and NDJSON (one object
//! per line, of which a single object is the shortest case). Cutting looks at brackets and quotes only, so an event that
//! is no JSON, or holds NaN, spoils nothing but itself. Memory is bounded by the limit of one event, whatever arrives.

use std::io::{self, BufRead};

/// What was found where an event should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The bytes of one event, and the line that it starts in, counted from 1.
    Event {
        /// The first line.
        line: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// An event longer than the limit; its bytes were passed over.
    TooLong {
        /// The first line.
        line: u64,
        /// How long it was.
        bytes: u64,
    },
}

/// The stream cannot be cut any further.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// Reading failed.
    #[error("reading failed in line {line}")]
    Read {
        /// The last line that was seen.
        line: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An array or object does not end, or something stands between two of its elements.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Where.
        line: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// One event is so long that no limit can be meant for it.
    #[error("line {line} is longer than {limit} bytes: this is no file of events")]
    Endless {
        /// Where.
        line: u64,
        /// The limit.
        limit: u64,
    },
}

/// An event that is longer than this ends the stream: by then it is not one event that is too long but another kind of
/// file, or a compression bomb.
const ENDLESS_BYTES: u64 = 512 * 1024 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Unknown,
    Lines,
    /// `[{…}, {…}]`
    Array,
    /// `{…} {…}` over several lines.
    Objects,
    Done,
}

/// The events of a stream, one after the other.
pub struct Pieces<R> {
    reader: R,
    limit: usize,
    form: Form,
    line: u64,
}

impl<R: BufRead> Pieces<R> {
    /// Cuts `reader` into events of at most `limit` bytes.
    pub fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, form: Form::Unknown, line: 1 }
    }

    fn fill(&mut self) -> Result<&[u8], PieceError> {
        let line = self.line;
        self.reader.fill_buf().map_err(|source| PieceError::Read { line, source })
    }

    /// The next byte that is no white space, without taking it.
    fn peek(&mut self) -> Result<Option<u8>, PieceError> {
        loop {
            let buffer = self.fill()?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let lines = newlines(buffer.get(..blank).unwrap_or_default());
            let next = buffer.get(blank).copied();
            self.line += lines;
            self.reader.consume(blank);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    fn line(&mut self) -> Result<Option<Piece>, PieceError> {
        if self.peek()?.is_none() {
            return Ok(None);
        }
        let line = self.line;
        let mut piece = Collected::new(line, self.limit);
        loop {
            let buffer = self.fill()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(buffer.len());
            piece.extend(buffer.get(..taken).unwrap_or_default())?;
            let finished = end.is_some() || buffer.is_empty();
            self.reader.consume(taken + usize::from(end.is_some()));
            self.line += u64::from(end.is_some());
            if finished {
                return Ok(Some(piece.finish()));
            }
        }
    }

    /// One value up to the end of its brackets. A bracket that closes nothing would be the end of nothing again and again.
    fn value(&mut self) -> Result<Piece, PieceError> {
        let mut piece = Collected::new(self.line, self.limit);
        let mut nesting = Nesting::default();
        loop {
            let (line, form) = (self.line, self.form);
            let buffer = self.fill()?;
            if buffer.is_empty() {
                return Err(PieceError::Syntax { line, reason: "the input ends inside of an event" });
            }
            let end = buffer.iter().position(|byte| nesting.ends_before(*byte));
            let taken = end.unwrap_or(buffer.len());
            let stray = buffer.get(taken).filter(|_| taken == 0 && piece.total == 0);
            if stray.is_some_and(|byte| *byte != b',' || form != Form::Array) {
                return Err(PieceError::Syntax {
                    line,
                    reason: "a bracket or comma stands where an event should begin",
                });
            }
            let part = buffer.get(..taken).unwrap_or_default();
            piece.extend(part)?;
            let lines = newlines(part);
            self.line += lines;
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(piece.finish());
            }
            if nesting.closed() {
                return Ok(piece.finish());
            }
        }
    }

    fn element(&mut self) -> Result<Option<Piece>, PieceError> {
        match self.peek()? {
            Some(b']') => {
                self.reader.consume(1);
                self.form = Form::Done;
                match self.peek()? {
                    None => Ok(None),
                    Some(_) => {
                        Err(PieceError::Syntax { line: self.line, reason: "something follows the end of the array" })
                    }
                }
            }
            None => Err(PieceError::Syntax { line: self.line, reason: "the array does not end" }),
            Some(_) => {
                let piece = self.value()?;
                if self.peek()? == Some(b',') {
                    self.reader.consume(1);
                }
                Ok(Some(piece))
            }
        }
    }

    fn advance(&mut self) -> Result<Option<Piece>, PieceError> {
        if self.form == Form::Unknown {
            let first = self.peek()?;
            self.form = match first {
                None => Form::Done,
                Some(b'[') => {
                    self.reader.consume(1);
                    Form::Array
                }
                Some(_) if opens_many_lines(self.fill()?) => Form::Objects,
                Some(_) => Form::Lines,
            };
        }
        match self.form {
            Form::Lines => self.line(),
            Form::Array => self.element(),
            Form::Objects => match self.peek()? {
                None => Ok(None),
                Some(_) => self.value().map(Some),
            },
            Form::Unknown | Form::Done => Ok(None),
        }
    }
}

impl<R: BufRead> Iterator for Pieces<R> {
    type Item = Result<Piece, PieceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.advance().transpose();
        if matches!(piece, Some(Err(_)) | None) {
            self.form = Form::Done;
        }
        piece
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// A printer that spreads an object over lines breaks the first one after an opening bracket, a comma or a colon.
fn opens_many_lines(buffer: &[u8]) -> bool {
    let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else { return false };
    let first = buffer.get(..end).unwrap_or_default().trim_ascii_end();
    matches!(first.last(), Some(b'{' | b'[' | b',' | b':'))
}

/// The bytes of one event as far as the limit goes, and its whole length.
struct Collected {
    line: u64,
    limit: usize,
    total: u64,
    bytes: Vec<u8>,
}

impl Collected {
    fn new(line: u64, limit: usize) -> Self {
        Self { line, limit, total: 0, bytes: Vec::new() }
    }

    fn extend(&mut self, part: &[u8]) -> Result<(), PieceError> {
        self.total += part.len() as u64;
        if self.total > ENDLESS_BYTES {
            return Err(PieceError::Endless { line: self.line, limit: ENDLESS_BYTES });
        }
        if self.total <= self.limit as u64 {
            self.bytes.extend_from_slice(part);
        } else {
            self.bytes = Vec::new();
        }
        Ok(())
    }

    fn finish(mut self) -> Piece {
        if self.total > self.limit as u64 {
            return Piece::TooLong { line: self.line, bytes: self.total };
        }
        self.bytes.truncate(self.bytes.trim_ascii_end().len());
        Piece::Event { line: self.line, bytes: self.bytes }
    }
}

/// Where a value ends, by its brackets and quotes alone.
#[derive(Default)]
struct Nesting {
    depth: u32,
    quoted: bool,
    escaped: bool,
    opened: bool,
}

impl Nesting {
    /// Takes the next byte; true when the value ended before it.
    fn ends_before(&mut self, byte: u8) -> bool {
        if self.closed() {
            return true;
        }
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => {
                self.depth += 1;
                self.opened = true;
            }
            b',' | b']' | b'}' if self.depth == 0 => return true,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        false
    }

    fn closed(&self) -> bool {
        self.opened && self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expected: &[&str]) {
        for chunk in [1, 3, 4096] {
            let reader = io::BufReader::with_capacity(chunk, input.as_bytes());
            let found: Vec<String> = Pieces::new(reader, 40)
                .map(|piece| match piece {
                    Ok(Piece::Event { line, bytes }) => format!("{line}: {}", String::from_utf8_lossy(&bytes)),
                    Ok(Piece::TooLong { line, bytes }) => format!("{line}: {bytes} bytes"),
                    Err(error) => format!("error: {error}"),
                })
                .collect();
            // Whether the first line opens an object over many lines is only seen when it fits the buffer.
            if chunk > 100 || !input.starts_with("{\n") {
                assert_eq!(found, expected, "chunks of {chunk}");
            }
        }
    }

    #[test]
    fn lines_are_events_and_blank_lines_are_none() {
        check("{\"a\":1}\n\n{\"b\":[2]}\r\n", &["1: {\"a\":1}", "3: {\"b\":[2]}"]);
        check("", &[]);
        check(" \n\t\n", &[]);
    }

    #[test]
    fn a_broken_line_is_one_piece_and_the_next_line_another() {
        check("{\"a\":1}\n{\"a\":\n{\"b\":2}", &["1: {\"a\":1}", "2: {\"a\":", "3: {\"b\":2}"]);
    }

    #[test]
    fn array_elements_are_cut_at_their_brackets_even_when_they_hold_nan() {
        check("[{\"a\":NaN},\n {\"b\":\"],}\\\"\"}]\n", &["1: {\"a\":NaN}", "2: {\"b\":\"],}\\\"\"}"]);
        check("[]", &[]);
        check("[1, {}]", &["1: 1", "1: {}"]);
    }

    #[test]
    fn an_object_over_many_lines_is_one_event() {
        check("{\n \"a\": {\n \"b\": 1}\n}\n", &["1: {\n \"a\": {\n \"b\": 1}\n}"]);
    }

    #[test]
    fn what_is_too_long_is_passed_over_and_counted() {
        let long = format!("{{\"a\":1}}\n{}\n{{\"b\":2}}\n", "x".repeat(100));
        check(&long, &["1: {\"a\":1}", "2: 100 bytes", "3: {\"b\":2}"]);
    }

    #[test]
    fn an_array_that_does_not_end_is_an_error_after_its_whole_elements() {
        check("[{\"a\":1},", &["1: {\"a\":1}", "error: line 1: the array does not end"]);
        check("[{\"a\":", &["error: line 1: the input ends inside of an event"]);
        check("[] x", &["error: line 1: something follows the end of the array"]);
    }

    #[test]
    fn a_bracket_that_closes_nothing_ends_the_stream_with_an_error() {
        let stray = "a bracket or comma stands where an event should begin";
        check("[}", &[&format!("error: line 1: {stray}")]);
        check("[{\"a\":1}}]", &["1: {\"a\":1}", &format!("error: line 1: {stray}")]);
        check("[,1]", &["1: ", "1: 1"]);
        let objects: Vec<_> = Pieces::new("{\n}}".as_bytes(), 40).take(3).collect();
        assert!(matches!(objects.as_slice(), [Ok(_), Err(PieceError::Syntax { line: 2, .. })]), "{objects:?}");
    }
}
