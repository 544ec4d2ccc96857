use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_schema::TimeUnit;
use tidemark_schema::Timestamp;

/// A time as events have it. Arrow counts from 1970 in UTC whatever zone a column names, and one without a zone is taken as
/// UTC.
pub(super) fn text(array: &dyn Array, unit: TimeUnit, row: usize) -> String {
    let (count, micros) = match unit {
        TimeUnit::Second => {
            let count = array.as_primitive::<TimestampSecondType>().value(row);
            (count, count.checked_mul(1_000_000))
        }
        TimeUnit::Millisecond => {
            let count = array.as_primitive::<TimestampMillisecondType>().value(row);
            (count, count.checked_mul(1_000))
        }
        TimeUnit::Microsecond => {
            let count = array.as_primitive::<TimestampMicrosecondType>().value(row);
            (count, Some(count))
        }
        TimeUnit::Nanosecond => {
            let count = array.as_primitive::<TimestampNanosecondType>().value(row);
            (count, Some(count / 1_000))
        }
    };
    match micros.map(Timestamp::from_micros) {
        Some(Ok(time)) => time.to_string(),
        // No time that is taken: the event is refused for it, with what was there.
        _ => format!("{count} since 1970"),
    }
}
