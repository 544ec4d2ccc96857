//! Why a draft cannot be read, in the words of the contract in place of those of its decoder.

use serde::Deserializer;

use super::draft::EventDraft;
use super::{Kind, Rejection};
use crate::unknown::{UnknownField, path_of};

/// Why an input that is no draft is none: read again, because the path to a wrong field costs time that a right event should
/// not pay.
pub(super) fn why<'a>(kind: Kind, input: impl Deserializer<'a, Error: std::fmt::Display>) -> Rejection {
    let mut track = serde_path_to_error::Track::new();
    let input = serde_path_to_error::Deserializer::new(input, &mut track);
    let message = EventDraft::deserialize(kind, input).err().map(|error| error.to_string()).unwrap_or_default();
    of_message(path_of(&track.path()), &message)
}

/// A rejection for what a decoder says of the field at `path`.
pub(super) fn of_message(path: Option<String>, message: &str) -> Rejection {
    if let Some(unknown) = UnknownField::of(path.as_deref(), message) {
        let near = unknown.near.map(|known| format!(" (did you mean {known}?)")).unwrap_or_default();
        let reason = format!("is not a field of this event{near}; data of your own goes into `attributes`");
        return Rejection::field(unknown.path, reason);
    }
    if let Some(missing) = message.strip_prefix("missing field ") {
        let name = missing.trim_matches('`');
        let field = path.map_or_else(|| name.to_owned(), |path| format!("{path}.{name}"));
        return Rejection::field(field, "is missing");
    }
    Rejection { field: path, reason: in_words(message), malformed: false }
}

/// The message without the names of types that only this program knows.
fn in_words(message: &str) -> String {
    if message.starts_with("number out of range") {
        return "is a number beyond the range of 64 bits".to_owned();
    }
    if let Some((_, expected)) =
        message.strip_prefix("invalid length ").and_then(|rest| rest.rsplit_once(", expected "))
    {
        // Of an object only the values, one after the other.
        return format!("is an array; expected {expected}");
    }
    let wrong = ["invalid type: ", "invalid value: "].iter().find_map(|wrong| message.strip_prefix(wrong));
    let Some((found, expected)) = wrong.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return message.to_owned();
    };
    let expected = match expected {
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        "a string" | "a borrowed string" => "a text",
        other => other,
    };
    let found = match found {
        "sequence" => "an array".to_owned(),
        "map" => "an object".to_owned(),
        "unit value" | "null" => "null".to_owned(),
        _ => {
            let kinds = [("string ", "the text "), ("integer ", ""), ("floating point ", ""), ("boolean ", "")];
            let named = kinds.iter().find_map(|(kind, name)| Some(format!("{name}{}", found.strip_prefix(kind)?)));
            named.map_or_else(|| found.to_owned(), |named| named.replace('`', ""))
        }
    };
    format!("is {found}; expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        assert_eq!(in_words(message), expected);
    }

    #[test]
    fn no_type_of_this_program_is_named() {
        check("invalid type: string \"high\", expected f64", "is the text \"high\"; expected a number");
        check("invalid type: integer `5`, expected a string", "is 5; expected a text");
        check("invalid value: integer `-1`, expected u32", "is -1; expected a whole number that is not negative");
        check("invalid type: sequence, expected an object", "is an array; expected an object");
        check("invalid type: null, expected a sequence", "is null; expected an array");
        check("has 300 bytes, the limit is 256", "has 300 bytes, the limit is 256");
    }
}
