use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow_json::writer::NullableEncoder;
use arrow_json::{Encoder, EncoderFactory, EncoderOptions};
use arrow_schema::{ArrowError, DataType, FieldRef, TimeUnit};
use tidemark_schema::Timestamp;

/// Writes times as events have them. Arrow counts from 1970 in UTC whatever zone a column names, and one without a zone is
/// taken as UTC.
#[derive(Debug)]
pub(super) struct Times;

impl EncoderFactory for Times {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let DataType::Timestamp(unit, _) = array.data_type() else { return Ok(None) };
        let encoder: Box<dyn Encoder + 'a> = match unit {
            TimeUnit::Second => {
                Box::new(Column(array.as_primitive::<TimestampSecondType>(), |s| s.checked_mul(1_000_000)))
            }
            TimeUnit::Millisecond => {
                Box::new(Column(array.as_primitive::<TimestampMillisecondType>(), |ms| ms.checked_mul(1_000)))
            }
            TimeUnit::Microsecond => Box::new(Column(array.as_primitive::<TimestampMicrosecondType>(), Some)),
            TimeUnit::Nanosecond => {
                Box::new(Column(array.as_primitive::<TimestampNanosecondType>(), |ns| Some(ns / 1_000)))
            }
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct Column<'a, T: ArrowPrimitiveType>(&'a PrimitiveArray<T>, fn(i64) -> Option<i64>);

impl<T: ArrowPrimitiveType<Native = i64>> Encoder for Column<'_, T> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let count = self.0.value(row);
        let text = match (self.1)(count).map(Timestamp::from_micros) {
            Some(Ok(time)) => time.to_string(),
            // No time that is taken: the event is refused for it, with what was there.
            _ => format!("{count} since 1970"),
        };
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}
