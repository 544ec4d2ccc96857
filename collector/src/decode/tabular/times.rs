use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_schema::TimeUnit;
use tidemark_schema::{InvalidTime, Timestamp};

/// Arrow counts from 1970 in UTC whatever zone a column names.
fn count(array: &dyn Array, unit: TimeUnit, row: usize) -> (i64, Option<i64>) {
    match unit {
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
    }
}

/// The microseconds since 1970, if that is a time which events can have.
pub(super) fn micros(array: &dyn Array, unit: TimeUnit, row: usize) -> Option<i64> {
    count(array, unit, row).1.filter(|micros| Timestamp::from_micros(*micros).is_ok())
}

/// A time as a text, without a zone if its column has none.
pub(super) fn text(array: &dyn Array, unit: TimeUnit, has_zone: bool, row: usize) -> String {
    let (count, micros) = count(array, unit, row);
    match micros.map(Timestamp::from_micros) {
        Some(Ok(time)) if has_zone => time.to_string(),
        Some(Ok(time)) => time.to_string().trim_end_matches('Z').to_owned(),
        // No time that is taken: the event is refused for it, with what was there.
        Some(Err(InvalidTime::Range(shown) | InvalidTime::Syntax(shown))) => shown,
        None => format!("{count} since 1970"),
    }
}
