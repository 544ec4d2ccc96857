//! How values become arrays of the types that Delta has.

use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{
    ArrayRef, BinaryArray, Date32Array, Float64Array, Int32Array, ListArray, MapArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, Field, Fields, Schema};

use crate::ids::EventId;
use crate::time::Timestamp;

/// The day of an event in UTC: a partition column of both tables.
pub const EVENT_DATE: &str = "event_date";
/// The partition columns of the table of retrievals.
pub const PARTITIONED_BY_CORPUS: [&str; 2] = ["corpus", EVENT_DATE];
/// The partition columns of the table of outputs, which belong to operations and not to a corpus.
pub const PARTITIONED_BY_DATE: [&str; 1] = [EVENT_DATE];

/// Columns side by side, named as they are added.
#[derive(Default)]
pub(super) struct Layout {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Layout {
    pub(super) fn add(&mut self, name: &str, array: ArrayRef) {
        self.fields.push(Field::new(name, array.data_type().clone(), true));
        self.arrays.push(array);
    }

    pub(super) fn text<'a>(&mut self, name: &str, values: impl Iterator<Item = Option<&'a str>>) {
        self.add(name, texts(values));
    }

    pub(super) fn finish(self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays)
    }

    fn into_struct(self) -> Result<StructArray, ArrowError> {
        StructArray::try_new(Fields::from(self.fields), self.arrays, None)
    }
}

pub(super) fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

pub(super) fn event_ids<'a>(values: impl Iterator<Item = &'a EventId>) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values(values.map(EventId::as_bytes)))
}

pub(super) fn times(values: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    let micros = values.map(|time| time.map(Timestamp::micros));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

pub(super) fn dates(values: impl Iterator<Item = Timestamp>) -> ArrayRef {
    Arc::new(Date32Array::from_iter_values(values.map(Timestamp::days)))
}

/// Counts, as the signed integers that Delta has; a count past 2^31 is held there.
pub(super) fn counts(values: impl Iterator<Item = Option<u32>>) -> ArrayRef {
    Arc::new(values.map(|count| count.map(|n| i32::try_from(n).unwrap_or(i32::MAX))).collect::<Int32Array>())
}

pub(super) fn numbers(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.collect::<Float64Array>())
}

pub(super) fn vectors<'a>(values: impl Iterator<Item = Option<&'a [f32]>>) -> ArrayRef {
    let lists = ListArray::from_iter_primitive::<Float32Type, _, _>(
        values.map(|vector| vector.map(|v| v.iter().copied().map(Some).collect::<Vec<_>>())),
    );
    let (_, offsets, elements, nulls) = lists.into_parts();
    let field = Field::new("element", elements.data_type().clone(), true);
    Arc::new(ListArray::new(Arc::new(field), offsets, elements, nulls))
}

/// One list per length, cut from the elements laid end to end.
pub(super) fn lists(lengths: impl Iterator<Item = usize>, elements: ArrayRef) -> Result<ArrayRef, ArrowError> {
    let field = Field::new("element", elements.data_type().clone(), true);
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::new(field), offsets, elements, None)?))
}

pub(super) fn struct_lists(lengths: impl Iterator<Item = usize>, elements: Layout) -> Result<ArrayRef, ArrowError> {
    lists(lengths, Arc::new(elements.into_struct()?))
}

/// One map per length, cut from keys and values laid end to end.
pub(super) fn maps(
    lengths: impl Iterator<Item = usize>,
    keys: ArrayRef,
    values: ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let fields = Fields::from(vec![
        Field::new("key", keys.data_type().clone(), false),
        Field::new("value", values.data_type().clone(), true),
    ]);
    let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let field = Field::new_struct("key_value", fields, false);
    Ok(Arc::new(MapArray::try_new(Arc::new(field), OffsetBuffer::from_lengths(lengths), entries, None, false)?))
}
