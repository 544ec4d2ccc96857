//! Typed reading of the columns that other programs write.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, TimeUnit};
use tidemark_schema::Timestamp;

use crate::error::Fault;

/// One column of a batch; a column that is not there is null in every row.
pub(super) struct Column<'a> {
    name: &'static str,
    array: Option<&'a ArrayRef>,
}

impl<'a> Column<'a> {
    /// Refuses a column whose type cannot hold its values, before any row is decoded.
    pub(super) fn check(field: &Field) -> Result<(), Fault> {
        let found = field.data_type();
        let fits = match field.name().as_str() {
            "tokens" => found.is_integer(),
            "updated_at" => matches!(found, DataType::Utf8 | DataType::Timestamp(..)),
            "doc_id" => *found == DataType::Utf8 || found.is_integer(),
            _ => *found == DataType::Utf8,
        };
        // A column in which no row holds a value has no type in some programs.
        if fits || *found == DataType::Null {
            return Ok(());
        }
        let found = match found {
            DataType::Struct(_) => "struct".to_owned(),
            DataType::List(_) | DataType::Map(..) => "list".to_owned(),
            plain => plain.to_string(),
        };
        Err(Fault::of(field.name(), format!("has the type {found}")))
    }

    /// The column of this name, whose type was checked.
    pub(super) fn of(batch: &'a RecordBatch, name: &'static str) -> Self {
        Self { name, array: batch.column_by_name(name) }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// An id or label.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, row: usize) -> Result<Option<T>, Fault> {
        let text = match self.text(row) {
            Some(text) => Some(Cow::Borrowed(text)),
            None => self.integer(row).map(|number| Cow::Owned(number.to_string())),
        };
        text.map(|text| text.parse().map_err(|reason| Fault::of(self.name, reason))).transpose()
    }

    /// A count between 0 and 2³² − 1.
    pub(super) fn count(&self, row: usize) -> Result<Option<u32>, Fault> {
        let Some(number) = self.integer(row) else {
            return Ok(None);
        };
        match u32::try_from(number) {
            Ok(count) => Ok(Some(count)),
            Err(_) => Err(Fault::of(self.name, format!("{number} is not between 0 and {}", u32::MAX))),
        }
    }

    /// An instant; what is finer than a microsecond is cut off.
    pub(super) fn time(&self, row: usize) -> Result<Option<Timestamp>, Fault> {
        if let Some(text) = self.text(row) {
            return text.parse().map(Some).map_err(|reason| Fault::of(self.name, reason));
        }
        let micros = self.held(row).and_then(|array| match array.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => {
                Some(i128::from(array.as_primitive_opt::<TimestampSecondType>()?.value(row)) * 1_000_000)
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Some(i128::from(array.as_primitive_opt::<TimestampMillisecondType>()?.value(row)) * 1_000)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Some(i128::from(array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row)))
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Some(i128::from(array.as_primitive_opt::<TimestampNanosecondType>()?.value(row)).div_euclid(1_000))
            }
            _ => None,
        });
        // Beyond i64 is beyond the year 2100 in any case, and refused there.
        let held = |micros: i128| i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX });
        micros
            .map(|micros| Timestamp::from_micros(held(micros)).map_err(|reason| Fault::of(self.name, reason)))
            .transpose()
    }

    fn held(&self, row: usize) -> Option<&'a ArrayRef> {
        self.array.filter(|array| array.is_valid(row) && *array.data_type() != DataType::Null)
    }

    fn text(&self, row: usize) -> Option<&'a str> {
        Some(self.held(row)?.as_string_opt::<i32>()?.value(row))
    }

    fn integer(&self, row: usize) -> Option<i128> {
        let array = self.held(row)?;
        Some(match array.data_type() {
            DataType::Int8 => array.as_primitive_opt::<Int8Type>()?.value(row).into(),
            DataType::Int16 => array.as_primitive_opt::<Int16Type>()?.value(row).into(),
            DataType::Int32 => array.as_primitive_opt::<Int32Type>()?.value(row).into(),
            DataType::Int64 => array.as_primitive_opt::<Int64Type>()?.value(row).into(),
            DataType::UInt8 => array.as_primitive_opt::<UInt8Type>()?.value(row).into(),
            DataType::UInt16 => array.as_primitive_opt::<UInt16Type>()?.value(row).into(),
            DataType::UInt32 => array.as_primitive_opt::<UInt32Type>()?.value(row).into(),
            DataType::UInt64 => array.as_primitive_opt::<UInt64Type>()?.value(row).into(),
            _ => return None,
        })
    }
}
