//! A value of a column as JSON, written no further than a limit.

use std::io::{self, ErrorKind, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type,
    Float64Type,
};
use arrow_array::{Array, ArrayRef, downcast_dictionary_array, downcast_integer_array};
use arrow_schema::DataType;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::{TableError, times};

/// From here on a 64-bit float does not tell whole numbers apart.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Why a value cannot be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A number that JSON has not, and writing null in its place would hide it; the path to it.
    NotFinite(String),
    /// More than the limit would be written, or looked at.
    TooLong,
}

impl Fault {
    fn within(self, part: impl FnOnce() -> String) -> Self {
        match self {
            Self::NotFinite(path) => Self::NotFinite(part() + &path),
            Self::TooLong => Self::TooLong,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(_: io::Error) -> Self {
        Self::TooLong
    }
}

impl From<serde_json::Error> for Fault {
    fn from(_: serde_json::Error) -> Self {
        Self::TooLong
    }
}

/// Takes bytes up to a limit, and counts what is looked at without writing anything: a column of nulls costs its sender
/// nothing, and us time.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    looked_at: usize,
    limit: usize,
}

impl Bounded {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), looked_at: 0, limit }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What was written and looked at.
    pub(super) fn spent(&self) -> u64 {
        (self.bytes.len() as u64).saturating_add(self.looked_at as u64)
    }

    /// Asked before a text is looked through.
    fn has_room(&self, more: usize) -> Result<(), Fault> {
        if self.bytes.len().saturating_add(more) > self.limit { Err(Fault::TooLong) } else { Ok(()) }
    }

    pub(super) fn look_at(&mut self, values: usize) -> Result<(), Fault> {
        self.looked_at = self.looked_at.saturating_add(values);
        if self.looked_at > self.limit { Err(Fault::TooLong) } else { Ok(()) }
    }
}

impl Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.has_room(more.len()).map_err(|_| ErrorKind::FileTooLarge)?;
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a type can be a part of an event; `name` is the column, with those above it.
pub(super) fn check(data_type: &DataType, name: &str) -> Result<(), TableError> {
    let foreign = || Err(TableError::Type { column: name.to_owned(), found: data_type.to_string() });
    match data_type {
        DataType::Null
        | DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Timestamp(_, _)
        | DataType::Date32
        | DataType::Date64 => Ok(()),
        number if number.is_numeric() => Ok(()),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            check(field.data_type(), &format!("{name}[]"))
        }
        DataType::Struct(fields) => {
            fields.iter().try_for_each(|field| check(field.data_type(), &format!("{name}.{}", field.name())))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => match fields.iter().as_slice() {
                [key, value] if is_text(key.data_type()) => check(value.data_type(), &format!("{name}.value")),
                _ => foreign(),
            },
            _ => foreign(),
        },
        DataType::Dictionary(_, values) => check(values, name),
        _ => foreign(),
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => other.is_string(),
    }
}

/// Whether there is no value, however that is said.
pub(super) fn is_null(array: &dyn Array, row: usize) -> bool {
    match array.data_type() {
        DataType::Null => true,
        DataType::Dictionary(_, _) => entry(array, row).is_none_or(|(values, key)| is_null(values, key)),
        _ => array.is_null(row),
    }
}

/// The entry of a dictionary that stands in a row.
fn entry(array: &dyn Array, row: usize) -> Option<(&ArrayRef, usize)> {
    downcast_dictionary_array!(
        array => array.key(row).map(|key| (array.values(), key)),
        _ => None
    )
}

/// Writes a value.
pub(super) fn write(array: &dyn Array, row: usize, out: &mut Bounded) -> Result<(), Fault> {
    if is_null(array, row) {
        return Ok(out.write_all(b"null")?);
    }
    if let Some(text) = text(array, row) {
        out.has_room(text.len())?;
        return json(text, out);
    }
    downcast_integer_array!(
        array => json(&array.value(row), out),
        DataType::Boolean => json(&array.as_boolean().value(row), out),
        DataType::Float16 => {
            let number = array.as_primitive::<Float16Type>().value(row).to_f32();
            float(f64::from(number), &number, out)
        },
        DataType::Float32 => {
            let number = array.as_primitive::<Float32Type>().value(row);
            float(f64::from(number), &number, out)
        },
        DataType::Float64 => {
            let number = array.as_primitive::<Float64Type>().value(row);
            float(number, &number, out)
        },
        DataType::Decimal32(_, _) => decimal(&array.as_primitive::<Decimal32Type>().value_as_string(row), out),
        DataType::Decimal64(_, _) => decimal(&array.as_primitive::<Decimal64Type>().value_as_string(row), out),
        DataType::Decimal128(_, _) => decimal(&array.as_primitive::<Decimal128Type>().value_as_string(row), out),
        DataType::Decimal256(_, _) => decimal(&array.as_primitive::<Decimal256Type>().value_as_string(row), out),
        DataType::Timestamp(unit, _) => json(&times::text(array, *unit, row), out),
        DataType::Date32 => json(&array.as_primitive::<Date32Type>().value_as_date(row).map(|day| day.to_string()), out),
        DataType::Date64 => json(&array.as_primitive::<Date64Type>().value_as_date(row).map(|day| day.to_string()), out),
        DataType::Binary => hexadecimal(array.as_binary::<i32>().value(row), out),
        DataType::LargeBinary => hexadecimal(array.as_binary::<i64>().value(row), out),
        DataType::BinaryView => hexadecimal(array.as_binary_view().value(row), out),
        DataType::FixedSizeBinary(_) => hexadecimal(array.as_fixed_size_binary().value(row), out),
        DataType::List(_) => list(&array.as_list::<i32>().value(row), out),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row), out),
        DataType::FixedSizeList(_, _) => list(&array.as_fixed_size_list().value(row), out),
        DataType::Struct(fields) => {
            out.look_at(fields.len())?;
            let members = fields.iter().map(|field| field.name().as_str()).zip(array.as_struct().columns());
            let known = members.filter(|(_, column)| !is_null(column, row));
            object(known, out, |column, out| write(column, row, out))
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            entries_of(entries.column(0), entries.column(1), out)
        }
        DataType::Dictionary(_, _) => match entry(array, row) {
            Some((values, key)) => write(values, key, out),
            None => Ok(out.write_all(b"null")?),
        },
        // Refused by `check` before any row was read.
        _ => Ok(out.write_all(b"null")?),
    )
}

/// Writes a map. Maps are stored as texts of JSON where their values differ in type, and programs without maps write lists
/// of pairs.
pub(super) fn write_map(array: &dyn Array, row: usize, out: &mut Bounded) -> Result<(), Fault> {
    if let Some(text) = text(array, row) {
        out.has_room(text.len())?;
        let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        return if is_json { Ok(out.write_all(text.as_bytes())?) } else { json(text, out) };
    }
    let pairs = match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(row)),
        _ => None,
    };
    let pairs = pairs.as_ref().and_then(|pairs| pairs.as_struct_opt());
    match pairs.and_then(|pairs| Some((pairs.column_by_name("key")?, pairs.column_by_name("value")?))) {
        Some((keys, values)) if is_text(keys.data_type()) => entries_of(keys, values, out),
        _ => write(array, row, out),
    }
}

fn entries_of(keys: &ArrayRef, values: &ArrayRef, out: &mut Bounded) -> Result<(), Fault> {
    out.look_at(keys.len())?;
    let known = (0..keys.len()).filter(|place| !is_null(values, *place));
    object(known.filter_map(|place| Some((text(keys, place)?, place))), out, |place, out| write(values, place, out))
}

fn list(values: &ArrayRef, out: &mut Bounded) -> Result<(), Fault> {
    out.write_all(b"[")?;
    for place in 0..values.len() {
        if place > 0 {
            out.write_all(b",")?;
        }
        write(values, place, out).map_err(|fault| fault.within(|| format!("[{place}]")))?;
    }
    Ok(out.write_all(b"]")?)
}

/// Writes members with their names.
pub(super) fn object<'n, T>(
    members: impl Iterator<Item = (&'n str, T)>,
    out: &mut Bounded,
    mut write: impl FnMut(T, &mut Bounded) -> Result<(), Fault>,
) -> Result<(), Fault> {
    out.write_all(b"{")?;
    for (place, (name, value)) in members.enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        json(name, out)?;
        out.write_all(b":")?;
        write(value, out).map_err(|fault| fault.within(|| format!(".{name}")))?;
    }
    Ok(out.write_all(b"}")?)
}

fn text(array: &dyn Array, row: usize) -> Option<&str> {
    match array.data_type() {
        _ if is_null(array, row) => None,
        DataType::Utf8 => Some(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(array.as_string_view().value(row)),
        DataType::Dictionary(_, _) => entry(array, row).and_then(|(values, key)| text(values, key)),
        _ => None,
    }
}

fn json(value: &(impl Serialize + ?Sized), out: &mut Bounded) -> Result<(), Fault> {
    Ok(serde_json::to_writer(out, value)?)
}

/// Writes a number with its `own` digits. Programs that have no null among whole numbers, such as pandas, hold a count as
/// 118.0: it is written as 118, which is the same number to a field that takes any.
fn float(number: f64, own: &impl Serialize, out: &mut Bounded) -> Result<(), Fault> {
    if !number.is_finite() {
        return Err(Fault::NotFinite(String::new()));
    }
    let negative_zero = number == 0.0 && number.is_sign_negative();
    if number.fract() == 0.0 && number.abs() < WHOLE_MAX && !negative_zero {
        return Ok(write!(out, "{number:.0}")?);
    }
    json(own, out)
}

fn decimal(digits: &str, out: &mut Bounded) -> Result<(), Fault> {
    let shortest = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    Ok(out.write_all(shortest.as_bytes())?)
}

fn hexadecimal(bytes: &[u8], out: &mut Bounded) -> Result<(), Fault> {
    out.write_all(b"\"")?;
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
    Ok(out.write_all(b"\"")?)
}
