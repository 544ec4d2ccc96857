//! Metadata in Thrift's compact protocol, looked through without being kept
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>).

use std::io::{ErrorKind, Read, Take};

use parquet::errors::{ParquetError, Result};

use crate::grammar::{Fields, Kind};
use crate::refused;

/// Parquet nests its metadata ten deep: the unit of a time within its type, and so on, each list counted.
const DEPTH_MAX: usize = 16;

/// What is looked for in a struct. A place is the numbers of the fields that lead to it; the items of a list have the place of
/// their list.
pub(crate) trait Visitor {
    /// Whether lists may be in it.
    const LISTS: bool;

    /// A text or bytes of this length.
    fn text(&mut self, place: &[i16], length: u64) -> Result<()>;

    /// A whole number.
    fn number(&mut self, place: &[i16], value: i64) -> Result<()>;

    /// The end of a struct.
    fn end(&mut self, place: &[i16]) -> Result<()>;
}

/// Walks through a struct that takes no more bytes than the limit of `input`.
///
/// Refused is what lets a decoder work without reading: a list that says it has more items than there are bytes left, a list of
/// truth values (decoders do not agree whether they take a byte), a map (Parquet has none), what is nested too deep, and a field
/// that is not what the format says.
pub(crate) fn walk(input: &mut Take<impl Read>, fields: Fields, visitor: &mut impl Visitor) -> Result<()> {
    Walk { input, visitor, place: Vec::new(), depth: 0 }.fields(fields)
}

struct Walk<'a, R, V> {
    input: &'a mut Take<R>,
    visitor: &'a mut V,
    place: Vec<i16>,
    depth: usize,
}

impl<R: Read, V: Visitor> Walk<'_, R, V> {
    fn fields(&mut self, known: Fields) -> Result<()> {
        let mut id = 0_i16;
        loop {
            let head = byte(self.input)?;
            let (step, kind) = (head >> 4, head & 0x0f);
            if kind == 0 {
                return self.visitor.end(&self.place);
            }
            let next = if step == 0 { i16::try_from(self.zigzag()?).ok() } else { id.checked_add(step.into()) };
            id = next.ok_or_else(|| refused("the metadata has a field with a number of more than 16 bits"))?;
            self.place.push(id);
            let expected = known.iter().find(|(known, _)| *known == id).map(|(_, kind)| *kind);
            self.value(kind, expected)?;
            self.place.pop();
        }
    }

    fn value(&mut self, kind: u8, expected: Option<Kind>) -> Result<()> {
        let fits = match expected {
            None => true,
            Some(Kind::Truth) => matches!(kind, 1 | 2),
            Some(Kind::Byte) => kind == 3,
            Some(Kind::Number) => matches!(kind, 4..=6),
            Some(Kind::Double) => kind == 7,
            Some(Kind::Binary) => kind == 8,
            Some(Kind::List(_)) => kind == 9,
            Some(Kind::Struct(_)) => kind == 12,
        };
        if !fits {
            return Err(refused(format!("the field {:?} of the metadata is of a kind that it cannot be", self.place)));
        }
        match kind {
            // A truth value is told by its kind.
            1 | 2 => Ok(()),
            3 => self.skip(1),
            4..=6 => {
                let value = self.zigzag()?;
                self.visitor.number(&self.place, value)
            }
            7 => self.skip(8),
            8 => {
                let length = varint(self.input)?;
                self.visitor.text(&self.place, length)?;
                self.skip(length)
            }
            9 | 10 => {
                self.within(|walk| walk.items(if let Some(Kind::List(item)) = expected { Some(*item) } else { None }))
            }
            12 => self.within(|walk| walk.fields(if let Some(Kind::Struct(known)) = expected { known } else { &[] })),
            13 => self.skip(16),
            _ => Err(refused(format!("the metadata holds a value of the unknown kind {kind}"))),
        }
    }

    fn within(&mut self, walk: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(refused(format!("the metadata is nested more than {DEPTH_MAX} deep")));
        }
        walk(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn items(&mut self, expected: Option<Kind>) -> Result<()> {
        if !V::LISTS {
            return Err(refused("the header of a page holds a list"));
        }
        let head = byte(self.input)?;
        let kind = head & 0x0f;
        let count = if head >> 4 == 15 { varint(self.input)? } else { u64::from(head >> 4) };
        if count > self.input.limit() {
            return Err(refused(format!("a list says that it has {count} items, and is shorter")));
        }
        if count > 0 && kind <= 2 {
            return Err(refused("the metadata holds a list of truth values"));
        }
        (0..count).try_for_each(|_| self.value(kind, expected))
    }

    fn zigzag(&mut self) -> Result<i64> {
        let number = varint(self.input)?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        let skipped = std::io::copy(&mut (&mut *self.input).take(bytes), &mut std::io::sink())?;
        if skipped < bytes { Err(refused("the metadata ends too early")) } else { Ok(()) }
    }
}

fn byte(input: &mut impl Read) -> Result<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte).map_err(cut_off)?;
    Ok(byte[0])
}

/// A number in groups of seven bits.
pub(crate) fn varint(input: &mut impl Read) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let group = byte(input)?;
        number |= u64::from(group & 0x7f) << shift;
        if group & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(refused("the metadata holds a number of more than 64 bits"))
}

fn cut_off(error: std::io::Error) -> ParquetError {
    if error.kind() == ErrorKind::UnexpectedEof { refused("the metadata ends too early") } else { error.into() }
}
