use serde_json::Value;

use crate::decode::Rejection;

/// An id of a trace or a span, in hexadecimal digits.
pub(super) fn id(field: &str, bytes: &[u8], length: usize) -> Result<String, Rejection> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(Rejection::field(field, "is missing or all zeros"));
    }
    if bytes.len() != length {
        return Err(Rejection::field(field, format!("has {} bytes, and {length} are right", bytes.len())));
    }
    Ok(hex(bytes))
}

/// Hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// About the bytes of a value as JSON.
pub(super) fn json_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 20,
        Value::String(text) => text.len() + 3,
        Value::Array(values) => 2 + values.iter().map(json_bytes).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(name, field)| name.len() + 4 + json_bytes(field)).sum::<usize>()
        }
    }
}
