//! A value of a column as something that drafts are read from, and no further than a limit.

use std::cell::Cell as Shared;
use std::fmt::{self, Display};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type,
    Float64Type,
};
use arrow_array::{Array, ArrayRef, downcast_dictionary_array, downcast_integer_array};
use arrow_schema::DataType;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::times;
use crate::decode::draft::{Moment, OBJECT_OR_TEXT};
use crate::decode::json::without_unknown_numbers;

/// From here on a 64-bit float does not tell whole numbers apart.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// What reading of a row costs, so that few bytes which stand for many are not read to their end: the texts, and each value
/// that is looked at.
pub(super) struct Budget {
    limit: usize,
    spent: Shared<usize>,
    /// Whether a text of JSON held a number that JSON does not have.
    not_finite: Shared<bool>,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, spent: Shared::new(0), not_finite: Shared::new(false) }
    }

    pub(super) fn spent(&self) -> usize {
        self.spent.get()
    }

    pub(super) fn not_finite(&self) -> bool {
        self.not_finite.get()
    }

    /// A text as JSON.
    fn json(&self, text: &str) -> Result<Value, Unreadable> {
        serde_json::from_str(text)
            .or_else(|error| {
                let known = without_unknown_numbers(text.as_bytes()).ok_or(error)?;
                self.not_finite.set(true);
                serde_json::from_slice(&known)
            })
            .map_err(|error| of_json(&error))
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.spent() > self.limit
    }

    pub(super) fn spend(&self, more: usize) -> Result<(), Unreadable> {
        self.spent.set(self.spent().saturating_add(more));
        if self.is_exhausted() { Err(Unreadable("is too long".to_owned())) } else { Ok(()) }
    }
}

/// Why a value cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable(String);

impl Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl de::Error for Unreadable {
    fn custom<T: Display>(reason: T) -> Self {
        Self(reason.to_string())
    }
}

/// Of JSON within a text it does not matter in which column it goes wrong.
fn of_json(error: &serde_json::Error) -> Unreadable {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    Unreadable(if error.is_data() { reason.to_owned() } else { format!("is a text that is no JSON: {reason}") })
}

/// The value of a column in a row.
#[derive(Clone, Copy)]
pub(super) struct Cell<'a> {
    pub(super) array: &'a dyn Array,
    pub(super) row: usize,
    pub(super) budget: &'a Budget,
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

pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => other.is_string(),
    }
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

impl<'a> Cell<'a> {
    fn text(&self) -> Result<Option<&'a str>, Unreadable> {
        let text = text(self.array, self.row);
        self.budget.spend(text.map_or(0, str::len))?;
        Ok(text)
    }

    /// The entry of a dictionary in place of its key.
    fn resolved(self) -> Option<Self> {
        match self.array.data_type() {
            DataType::Dictionary(_, _) => {
                let (values, row) = entry(self.array, self.row)?;
                Cell { array: values.as_ref(), row, ..self }.resolved()
            }
            _ => Some(self),
        }
    }

    /// The elements of a list.
    fn elements(&self) -> Option<ArrayRef> {
        match self.array.data_type() {
            DataType::List(_) => Some(self.array.as_list::<i32>().value(self.row)),
            DataType::LargeList(_) => Some(self.array.as_list::<i64>().value(self.row)),
            DataType::FixedSizeList(_, _) => Some(self.array.as_fixed_size_list().value(self.row)),
            _ => None,
        }
    }

    /// The keys and values of a map; programs without maps write lists of pairs.
    fn entries(&self) -> Option<(ArrayRef, ArrayRef)> {
        if let DataType::Map(_, _) = self.array.data_type() {
            let entries = self.array.as_map().value(self.row);
            return Some((entries.column(0).clone(), entries.column(1).clone()));
        }
        let pairs = self.elements()?;
        let pairs = pairs.as_struct_opt()?;
        let (keys, values) = (pairs.column_by_name("key")?, pairs.column_by_name("value")?);
        is_text(keys.data_type()).then(|| (keys.clone(), values.clone()))
    }

    fn hexadecimal<'de, V: Visitor<'de>>(self, bytes: &[u8], visitor: V) -> Result<V::Value, Unreadable> {
        self.budget.spend(2 * bytes.len())?;
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        visitor.visit_string(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect())
    }
}

fn integer<'de, V: Visitor<'de>>(number: i128, visitor: V) -> Result<V::Value, Unreadable> {
    match i64::try_from(number) {
        Ok(number) => visitor.visit_i64(number),
        Err(_) => visitor.visit_u64(u64::try_from(number).unwrap_or_default()),
    }
}

/// Programs that have no null among whole numbers, such as pandas, hold a count as 118.0.
fn float<'de, V: Visitor<'de>>(number: f64, visitor: V) -> Result<V::Value, Unreadable> {
    let negative_zero = number == 0.0 && number.is_sign_negative();
    if number.fract() == 0.0 && number.abs() < WHOLE_MAX && !negative_zero {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        return visitor.visit_i64(number as i64);
    }
    visitor.visit_f64(number)
}

fn decimal<'de, V: Visitor<'de>>(digits: &str, visitor: V) -> Result<V::Value, Unreadable> {
    let shortest = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    if let Ok(whole) = shortest.parse::<i64>() {
        return visitor.visit_i64(whole);
    }
    visitor.visit_f64(shortest.parse().map_err(de::Error::custom)?)
}

/// Reads a text as JSON, and anything else as what it is.
macro_rules! json_or {
    ($self:ident, $visitor:ident, $method:ident($($argument:expr),*)) => {{
        if let Some(text) = $self.text()? {
            let json = $self.budget.json(text)?;
            return json.$method($($argument,)* $visitor).map_err(|error| of_json(&error));
        }
        $self.deserialize_any($visitor)
    }};
}

impl<'de> Deserializer<'de> for Cell<'_> {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.budget.spend(1)?;
        let Some(cell) = self.resolved().filter(|cell| !is_null(cell.array, cell.row)) else {
            return visitor.visit_unit();
        };
        if let Some(text) = cell.text()? {
            return visitor.visit_str(text);
        }
        if let Some((keys, values)) = cell.entries().filter(|_| matches!(cell.array.data_type(), DataType::Map(_, _))) {
            return visitor.visit_map(Entries { keys, values, next: 0, budget: cell.budget });
        }
        if let Some(elements) = cell.elements() {
            return visitor.visit_seq(Elements { of: elements, next: 0, budget: cell.budget });
        }
        let Cell { array, row, .. } = cell;
        downcast_integer_array!(
            array => integer(i128::from(array.value(row)), visitor),
            DataType::Boolean => visitor.visit_bool(array.as_boolean().value(row)),
            DataType::Float16 => float(f64::from(array.as_primitive::<Float16Type>().value(row).to_f32()), visitor),
            DataType::Float32 => {
                // As the shortest number that is the same with 32 bits, which is what JSON would say.
                let number = array.as_primitive::<Float32Type>().value(row);
                float(number.to_string().parse().unwrap_or_else(|_| f64::from(number)), visitor)
            },
            DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row), visitor),
            DataType::Decimal32(_, _) => decimal(&array.as_primitive::<Decimal32Type>().value_as_string(row), visitor),
            DataType::Decimal64(_, _) => decimal(&array.as_primitive::<Decimal64Type>().value_as_string(row), visitor),
            DataType::Decimal128(_, _) => decimal(&array.as_primitive::<Decimal128Type>().value_as_string(row), visitor),
            DataType::Decimal256(_, _) => decimal(&array.as_primitive::<Decimal256Type>().value_as_string(row), visitor),
            DataType::Timestamp(unit, zone) => visitor.visit_str(&times::text(array, *unit, zone.is_some(), row)),
            DataType::Date32 => match array.as_primitive::<Date32Type>().value_as_date(row) {
                Some(day) => visitor.visit_string(day.to_string()),
                None => visitor.visit_unit(),
            },
            DataType::Date64 => match array.as_primitive::<Date64Type>().value_as_date(row) {
                Some(day) => visitor.visit_string(day.to_string()),
                None => visitor.visit_unit(),
            },
            DataType::Binary => cell.hexadecimal(array.as_binary::<i32>().value(row), visitor),
            DataType::LargeBinary => cell.hexadecimal(array.as_binary::<i64>().value(row), visitor),
            DataType::BinaryView => cell.hexadecimal(array.as_binary_view().value(row), visitor),
            DataType::FixedSizeBinary(_) => cell.hexadecimal(array.as_fixed_size_binary().value(row), visitor),
            DataType::Struct(fields) => {
                let members = array.as_struct();
                let names = fields.iter().map(|field| field.name().as_str());
                let columns = names.zip(members.columns().iter().map(AsRef::as_ref));
                visitor.visit_map(Members { columns, value: None, row, budget: cell.budget })
            }
            // Refused by `check` before any row was read.
            _ => visitor.visit_unit(),
        )
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if is_null(self.array, self.row) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        // Most times are in range and in a zone, and need not become a text first.
        if name == Moment::NAME
            && let DataType::Timestamp(unit, Some(_)) = self.array.data_type()
            && let Some(micros) = times::micros(self.array, *unit, self.row)
        {
            self.budget.spend(1)?;
            return visitor.visit_i64(micros);
        }
        if name == OBJECT_OR_TEXT
            && let Some(text) = self.text()?.filter(|text| text.trim_start().starts_with('{'))
            && let Ok(object @ Value::Object(_)) = self.budget.json(text)
        {
            return object.deserialize_any(visitor).map_err(|error| of_json(&error));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        json_or!(self, visitor, deserialize_struct(name, fields))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        json_or!(self, visitor, deserialize_seq())
    }

    /// Maps are stored as texts of JSON where their values differ in type.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if let Some((keys, values)) = self.entries() {
            return visitor.visit_map(Entries { keys, values, next: 0, budget: self.budget });
        }
        json_or!(self, visitor, deserialize_map())
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        let name: StrDeserializer<'_, Unreadable> = self.text()?.unwrap_or_default().into_deserializer();
        visitor.visit_enum(name)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

/// The elements of a list, one after the other.
struct Elements<'a> {
    of: ArrayRef,
    next: usize,
    budget: &'a Budget,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unreadable> {
        if self.next >= self.of.len() {
            return Ok(None);
        }
        // Nulls and structs without fields cost their sender nothing.
        self.budget.spend(1)?;
        let cell = Cell { array: self.of.as_ref(), row: self.next, budget: self.budget };
        self.next += 1;
        seed.deserialize(cell).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.of.len() - self.next)
    }
}

/// The entries of a map that are not null.
struct Entries<'a> {
    keys: ArrayRef,
    values: ArrayRef,
    next: usize,
    budget: &'a Budget,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unreadable> {
        while self.next < self.keys.len() {
            self.budget.spend(1)?;
            let key = text(&self.keys, self.next).filter(|_| !is_null(&self.values, self.next));
            if let Some(key) = key {
                self.budget.spend(key.len())?;
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            self.next += 1;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unreadable> {
        let cell = Cell { array: self.values.as_ref(), row: self.next, budget: self.budget };
        self.next += 1;
        seed.deserialize(cell)
    }
}

/// The members of a struct that are not null.
struct Members<'a, I> {
    columns: I,
    value: Option<&'a dyn Array>,
    row: usize,
    budget: &'a Budget,
}

impl<'de, 'a, I: Iterator<Item = (&'a str, &'a dyn Array)>> MapAccess<'de> for Members<'a, I> {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unreadable> {
        for (name, column) in self.columns.by_ref() {
            self.budget.spend(1)?;
            if !is_null(column, self.row) {
                self.budget.spend(name.len())?;
                self.value = Some(column);
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unreadable> {
        let array = self.value.take().ok_or_else(|| de::Error::custom("has no value"))?;
        seed.deserialize(Cell { array, row: self.row, budget: self.budget })
    }
}
