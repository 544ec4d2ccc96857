//! Configuration in YAML, read with limits: what is written by people may still be a bomb.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use crate::unknown::{UnknownField, path_of};

/// Bytes of a document that are read.
const MOST_BYTES: usize = 1 << 20;

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is no YAML, or YAML that is refused: a key twice, too many aliases, too deep.
    Yaml(String),
    /// A key is wrong.
    Key { path: String, reason: String },
}

/// Reads a document. One without any key is the default. `noun` says what it is, with its article.
pub(crate) fn read<T: DeserializeOwned + Default>(text: &str, noun: &str) -> Result<T, Unusable> {
    if text.len() > MOST_BYTES {
        return Err(Unusable::Yaml(format!("it has {} bytes, the limit is {MOST_BYTES}", text.len())));
    }
    let value = parse(text).map_err(|error| Unusable::Yaml(error.to_string()))?;
    let Some(value) = value.map(without_nulls) else { return Ok(T::default()) };
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = path_of(error.path());
        let reason = error.into_inner().to_string();
        if let Some(unknown) = UnknownField::of(path.as_deref(), &reason) {
            let near = unknown.near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            return Unusable::Key { path: unknown.path, reason: format!("is not a key of {noun}{near}") };
        }
        let whole = noun.split_once(' ').map_or(noun, |(_, noun)| noun);
        Unusable::Key { path: path.unwrap_or_else(|| format!("the {whole}")), reason }
    })
}

/// An object that somebody else wrote, if the text holds one and is short.
pub(crate) fn object(text: &str) -> Option<Map<String, Value>> {
    const MOST_BYTES: usize = 64 * 1024;
    if text.len() > MOST_BYTES {
        return None;
    }
    match parse(text).ok()?? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Option<Value>, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_events: 200_000,
            max_nodes: 100_000,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        // Scopes and corpora may be called `no` and `on`.
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// A key without a value says as much as no key.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries = entries.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(entries.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        other => other,
    }
}
