//! Typed reading of a batch by column name.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, ListArray, MapArray, PrimitiveArray, RecordBatch, StringArray, StructArray,
};
use arrow_schema::DataType;
use serde_json::Value;

use crate::ids::{EventId, Label};
use crate::number::Finite;
use crate::time::Timestamp;

/// A batch does not hold what the table's schema says.
#[derive(Debug, thiserror::Error)]
pub enum ColumnError {
    /// The column is not there.
    #[error("the batch has no column {0}")]
    Missing(String),
    /// The column has another type.
    #[error("column {column} has the type {found}")]
    Type {
        /// Which column.
        column: String,
        /// The type it has.
        found: String,
    },
    /// A required value is null.
    #[error("column {column} is null in row {row}")]
    Null {
        /// Which column.
        column: String,
        /// Which row of the batch.
        row: usize,
    },
    /// A value does not parse.
    #[error("column {column} holds in row {row} a value that {reason}")]
    Value {
        /// Which column.
        column: String,
        /// Which row of the batch.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// The columns of a batch or of the structs in a list, by name.
pub struct Columns<'a>(Source<'a>);

enum Source<'a> {
    Batch(&'a RecordBatch),
    Struct(&'a StructArray),
}

/// The texts of a column: places into some texts, which stand there once if the column is a dictionary.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    keys: Option<&'a PrimitiveArray<Int32Type>>,
    values: &'a StringArray,
}

impl<'a> Texts<'a> {
    /// The texts that the places are of.
    pub fn values(&self) -> &'a StringArray {
        self.values
    }

    /// The place of a row's text, if it is not null.
    #[inline]
    pub fn place(&self, row: usize) -> Option<usize> {
        match self.keys {
            Some(keys) => keys.is_valid(row).then(|| usize::try_from(keys.value(row)).unwrap_or(usize::MAX)),
            None => self.values.is_valid(row).then_some(row),
        }
    }

    /// A row's text, if it is not null.
    pub fn text(&self, row: usize) -> Option<&'a str> {
        self.place(row).map(|place| self.values.value(place))
    }
}

fn texts_within<'a>(array: &'a ArrayRef, name: &str, of: &DataType) -> Result<&'a StringArray, ColumnError> {
    let found = || ColumnError::Type { column: name.to_owned(), found: of.to_string() };
    array.as_string_opt::<i32>().ok_or_else(found)
}

fn repeated<'a>(array: &'a ArrayRef, name: &str, of: &DataType) -> Result<Texts<'a>, ColumnError> {
    match array.as_dictionary_opt::<Int32Type>() {
        Some(column) => Ok(Texts { keys: Some(column.keys()), values: texts_within(column.values(), name, of)? }),
        None => Ok(Texts { keys: None, values: texts_within(array, name, of)? }),
    }
}

impl<'a> Columns<'a> {
    /// The columns of a batch.
    pub fn of(batch: &'a RecordBatch) -> Self {
        Self(Source::Batch(batch))
    }

    fn typed<T>(&self, name: &str, cast: impl Fn(&'a ArrayRef) -> Option<&'a T>) -> Result<&'a T, ColumnError> {
        let column = match self.0 {
            Source::Batch(batch) => batch.column_by_name(name),
            Source::Struct(array) => array.column_by_name(name),
        };
        let array = column.ok_or_else(|| ColumnError::Missing(name.to_owned()))?;
        cast(array).ok_or_else(|| ColumnError::Type { column: name.to_owned(), found: array.data_type().to_string() })
    }

    /// A column of texts.
    pub fn texts(&self, name: &str) -> Result<&'a StringArray, ColumnError> {
        self.typed(name, |array| array.as_string_opt::<i32>())
    }

    /// A column of texts that may be a dictionary.
    pub fn repeated_texts(&self, name: &str) -> Result<Texts<'a>, ColumnError> {
        let array = self.typed(name, Some)?;
        repeated(array, name, array.data_type())
    }

    /// A column of instants.
    pub fn times(&self, name: &str) -> Result<&'a PrimitiveArray<TimestampMicrosecondType>, ColumnError> {
        self.typed(name, |array| array.as_primitive_opt())
    }

    /// A column of counts.
    pub fn counts(&self, name: &str) -> Result<&'a PrimitiveArray<Int32Type>, ColumnError> {
        self.typed(name, |array| array.as_primitive_opt())
    }

    /// A column of numbers.
    pub fn numbers(&self, name: &str) -> Result<&'a PrimitiveArray<Float64Type>, ColumnError> {
        self.typed(name, |array| array.as_primitive_opt())
    }

    /// A column of lists.
    pub fn list(&self, name: &str) -> Result<&'a ListArray, ColumnError> {
        self.typed(name, |array| array.as_list_opt::<i32>())
    }

    /// A column of lists of texts, and the texts.
    pub fn list_of_texts(&self, name: &str) -> Result<(&'a ListArray, &'a StringArray), ColumnError> {
        let lists = self.list(name)?;
        Ok((lists, texts_within(lists.values(), name, lists.data_type())?))
    }

    /// A column of maps from texts to texts, which may be dictionaries: the maps, all keys and all values.
    pub fn map_of_texts(&self, name: &str) -> Result<(&'a MapArray, Texts<'a>, Texts<'a>), ColumnError> {
        let maps = self.typed(name, |array| array.as_map_opt())?;
        let within = |array: &'a ArrayRef| repeated(array, name, maps.data_type());
        Ok((maps, within(maps.keys())?, within(maps.values())?))
    }

    /// A column of ids of events.
    pub fn event_ids(&self, name: &str) -> Result<&'a BinaryArray, ColumnError> {
        self.typed(name, |array| array.as_binary_opt::<i32>())
    }

    /// The indices of a row's elements.
    #[inline]
    pub fn range(lists: &ListArray, row: usize) -> Range<usize> {
        let offsets = lists.value_offsets();
        let at = |i: usize| offsets.get(i).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
        if lists.is_null(row) { 0..0 } else { at(row)..at(row + 1) }
    }

    /// The columns of the structs in a column of lists.
    pub fn of_elements(lists: &'a ListArray, name: &str) -> Result<Self, ColumnError> {
        let elements = lists
            .values()
            .as_struct_opt()
            .ok_or_else(|| ColumnError::Type { column: name.to_owned(), found: lists.data_type().to_string() })?;
        Ok(Self(Source::Struct(elements)))
    }

    /// A text, if it is not null.
    pub fn text(&self, name: &str, row: usize) -> Result<Option<&'a str>, ColumnError> {
        let texts = self.texts(name)?;
        Ok(texts.is_valid(row).then(|| texts.value(row)))
    }

    /// A text that is an id or another parsed value, if it is not null.
    pub fn maybe<T: FromStr<Err: Display>>(&self, name: &str, row: usize) -> Result<Option<T>, ColumnError> {
        self.text(name, row)?.map(|text| parse(text, name, row)).transpose()
    }

    /// A text that is an id or another parsed value.
    pub fn parsed<T: FromStr<Err: Display>>(&self, name: &str, row: usize) -> Result<T, ColumnError> {
        self.maybe(name, row)?.ok_or_else(|| ColumnError::Null { column: name.to_owned(), row })
    }

    /// A list of texts that are ids; a null list is empty.
    pub fn parsed_list<T: FromStr<Err: Display>>(&self, name: &str, row: usize) -> Result<Vec<T>, ColumnError> {
        let (lists, texts) = self.list_of_texts(name)?;
        Self::range(lists, row).map(|i| parse(texts.value(i), name, row)).collect()
    }

    /// An instant.
    pub fn time(&self, name: &str, row: usize) -> Result<Timestamp, ColumnError> {
        self.maybe_time(name, row)?.ok_or_else(|| ColumnError::Null { column: name.to_owned(), row })
    }

    /// An instant, if it is not null.
    pub fn maybe_time(&self, name: &str, row: usize) -> Result<Option<Timestamp>, ColumnError> {
        let times = self.times(name)?;
        let value = times.is_valid(row).then(|| Timestamp::from_micros(times.value(row))).transpose();
        value.map_err(|error| invalid(name, row, &error))
    }

    /// A count, if it is not null.
    pub fn count(&self, name: &str, row: usize) -> Result<Option<u32>, ColumnError> {
        let counts = self.counts(name)?;
        let value = counts.is_valid(row).then(|| u32::try_from(counts.value(row))).transpose();
        value.map_err(|error| invalid(name, row, &error))
    }

    /// A number, if it is not null.
    pub fn number(&self, name: &str, row: usize) -> Result<Option<Finite>, ColumnError> {
        let numbers = self.numbers(name)?;
        let value = numbers.is_valid(row).then(|| Finite::new(numbers.value(row))).transpose();
        value.map_err(|error| invalid(name, row, &error))
    }

    /// A truth value, if it is not null.
    pub fn flag(&self, name: &str, row: usize) -> Result<Option<bool>, ColumnError> {
        let flags = self.typed(name, |array| array.as_boolean_opt())?;
        Ok(flags.is_valid(row).then(|| flags.value(row)))
    }

    /// The id of an event.
    pub fn event_id(&self, name: &str, row: usize) -> Result<EventId, ColumnError> {
        let ids = self.event_ids(name)?;
        let bytes = <[u8; 16]>::try_from(ids.value(row)).map_err(|error| invalid(name, row, &error))?;
        Ok(EventId::from_bytes(bytes))
    }

    /// An embedding, if it is not null.
    pub fn vector(&self, name: &str, row: usize) -> Result<Option<Vec<f32>>, ColumnError> {
        let lists = self.list(name)?;
        if lists.is_null(row) {
            return Ok(None);
        }
        let vector = lists.value(row);
        match vector.as_primitive_opt::<Float32Type>() {
            Some(values) => Ok(Some(values.values().to_vec())),
            None => Err(ColumnError::Type { column: name.to_owned(), found: lists.data_type().to_string() }),
        }
    }

    /// A JSON object kept as text; null is the empty object.
    pub fn json(&self, name: &str, row: usize) -> Result<BTreeMap<String, Value>, ColumnError> {
        let Some(text) = self.text(name, row)? else {
            return Ok(BTreeMap::new());
        };
        serde_json::from_str(text).map_err(|error| invalid(name, row, &error))
    }

    /// A map from labels to labels.
    pub fn text_map(&self, name: &str, row: usize) -> Result<BTreeMap<Label, Label>, ColumnError> {
        self.map(name, row, |values, i| parse(values.as_string_opt::<i32>()?.value(i), name, row).ok())
    }

    /// A map from labels to numbers.
    pub fn number_map(&self, name: &str, row: usize) -> Result<BTreeMap<Label, Finite>, ColumnError> {
        self.map(name, row, |values, i| Finite::new(values.as_primitive_opt::<Float64Type>()?.value(i)).ok())
    }

    fn map<V>(
        &self,
        name: &str,
        row: usize,
        value: impl Fn(&ArrayRef, usize) -> Option<V>,
    ) -> Result<BTreeMap<Label, V>, ColumnError> {
        let maps = self.typed(name, |array| array.as_map_opt())?;
        let wrong = || ColumnError::Type { column: name.to_owned(), found: maps.data_type().to_string() };
        let keys = maps.keys().as_string_opt::<i32>().ok_or_else(wrong)?;
        let offsets = maps.value_offsets();
        let at = |i: usize| offsets.get(i).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
        (at(row)..at(row + 1))
            .map(|i| Ok((parse(keys.value(i), name, row)?, value(maps.values(), i).ok_or_else(wrong)?)))
            .collect()
    }
}

fn parse<T: FromStr<Err: Display>>(text: &str, column: &str, row: usize) -> Result<T, ColumnError> {
    text.parse().map_err(|error| invalid(column, row, &error))
}

fn invalid(column: &str, row: usize, reason: &dyn Display) -> ColumnError {
    ColumnError::Value { column: column.to_owned(), row, reason: reason.to_string() }
}
