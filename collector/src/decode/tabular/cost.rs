use arrow_array::cast::AsArray;
use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{Array, ArrayRef, downcast_dictionary_array};
use arrow_schema::DataType;

use super::TableError;

/// Bytes that any value takes at least when it is written out, such as `null,`.
const VALUE: u64 = 5;
/// The longest number or time, and a part of a name.
const NUMBER: u64 = 32;

/// Bytes that an array takes at most when it is written out as JSON, but for the escapes in its texts.
pub(super) fn of(array: &ArrayRef, name: &str) -> Result<u64, TableError> {
    let len = array.len() as u64;
    let inner = |child: &ArrayRef, part: &str| of(child, &format!("{name}{part}"));
    Ok(match array.data_type() {
        DataType::Null | DataType::Boolean => len * VALUE,
        data_type if data_type.is_numeric() || data_type.is_temporal() => len * NUMBER,
        DataType::Utf8 => len * VALUE + array.as_string::<i32>().value_data().len() as u64,
        DataType::LargeUtf8 => len * VALUE + array.as_string::<i64>().value_data().len() as u64,
        DataType::Utf8View => len * VALUE + array.as_string_view().lengths().map(u64::from).sum::<u64>(),
        DataType::Binary => len * VALUE + 2 * array.as_binary::<i32>().value_data().len() as u64,
        DataType::LargeBinary => len * VALUE + 2 * array.as_binary::<i64>().value_data().len() as u64,
        DataType::BinaryView => len * VALUE + 2 * array.as_binary_view().lengths().map(u64::from).sum::<u64>(),
        DataType::FixedSizeBinary(size) => len * (VALUE + 2 * u64::try_from(*size).unwrap_or_default()),
        DataType::List(_) => len * VALUE + inner(array.as_list::<i32>().values(), "[]")?,
        DataType::LargeList(_) => len * VALUE + inner(array.as_list::<i64>().values(), "[]")?,
        DataType::FixedSizeList(_, _) => len * VALUE + inner(array.as_fixed_size_list().values(), "[]")?,
        DataType::Struct(fields) => {
            let mut sum = len * VALUE;
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                let part = format!(".{}", field.name());
                sum += len * (field.name().len() as u64 + VALUE) + inner(column, &part)?;
            }
            sum
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            len * VALUE + inner(map.keys(), ".key")? + inner(map.values(), ".value")?
        }
        DataType::Dictionary(_, _) => {
            let array = array.as_ref();
            downcast_dictionary_array!(
                array => of_dictionary(array, name)?,
                _ => return Err(unknown(array.data_type(), name))
            )
        }
        other => return Err(unknown(other, name)),
    })
}

fn unknown(found: &DataType, name: &str) -> TableError {
    TableError::Type { column: name.to_owned(), found: found.to_string() }
}

/// A dictionary of texts; others are nothing that an event holds.
fn of_dictionary<K: ArrowDictionaryKeyType>(
    array: &arrow_array::DictionaryArray<K>,
    name: &str,
) -> Result<u64, TableError> {
    let values = array.values();
    let length = |key: usize| match values.data_type() {
        DataType::Utf8 => Some(values.as_string::<i32>().value(key).len() as u64),
        DataType::LargeUtf8 => Some(values.as_string::<i64>().value(key).len() as u64),
        DataType::Utf8View => Some(values.as_string_view().value(key).len() as u64),
        _ => None,
    };
    let mut sum = array.len() as u64 * VALUE;
    for key in array.keys_iter().flatten() {
        sum += length(key).ok_or_else(|| unknown(array.data_type(), name))?;
    }
    Ok(sum)
}
