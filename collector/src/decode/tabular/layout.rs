//! The columns of a store's tables, and the fields of an event that they hold.

use serde_json::{Map, Value};

/// Columns that hold a field within another.
const NESTED: [(&str, &str, &str); 21] = [
    ("retriever_name", "retriever", "name"),
    ("retriever_kind", "retriever", "kind"),
    ("retriever_version", "retriever", "version"),
    ("score_kind", "retriever", "score_kind"),
    ("index_id", "retriever", "index"),
    ("embedder", "retriever", "embedder"),
    ("retriever_params", "retriever", "params"),
    ("query_fingerprint", "query", "fingerprint"),
    ("query_fingerprint_previous", "query", "previous_fingerprint"),
    ("query_text", "query", "text"),
    ("query_simhash", "query", "simhash"),
    ("query_embedding", "query", "embedding"),
    ("requested_top_k", "requested", "top_k"),
    ("requested_context_tokens", "requested", "max_context_tokens"),
    ("requested_age_s", "requested", "max_age_s"),
    ("requested_scope", "requested", "scope"),
    ("requested_filter", "requested", "filter"),
    ("output_text", "output", "text"),
    ("output_hash", "output", "hash"),
    ("output_embedding", "output", "embedding"),
    ("output_tokens", "output", "tokens"),
];

/// Columns that the store adds when it takes an event.
const OF_THE_STORE: [&str; 3] = ["received_at", "ingest", "event_date"];

/// The name of a field, given its column and the path within that.
pub(super) fn wire_name(column: &str, path: &str) -> String {
    match NESTED.iter().find(|(name, ..)| *name == column) {
        Some((_, parent, field)) => format!("{parent}.{field}{path}"),
        None => format!("{column}{path}"),
    }
}

/// A row as an event is written.
pub(super) fn to_wire(row: Map<String, Value>) -> Map<String, Value> {
    let mut event = Map::new();
    for (column, value) in row {
        if OF_THE_STORE.contains(&column.as_str()) {
            continue;
        }
        let value = match column.as_str() {
            "attributes" | "retriever_params" | "segment" | "scores" => as_map(value),
            _ => value,
        };
        match NESTED.iter().find(|(name, ..)| *name == column) {
            Some((_, parent, field)) => {
                let parent = event.entry(*parent).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(parent) = parent {
                    parent.insert((*field).to_owned(), value);
                }
            }
            None => {
                event.insert(column, value);
            }
        }
    }
    event
}

/// Maps are stored as texts of JSON where their values differ in type, and programs without maps write lists of pairs.
fn as_map(value: Value) -> Value {
    match &value {
        Value::String(text) => serde_json::from_str(text).unwrap_or(value),
        Value::Array(pairs) => {
            let pair = |pair: &Value| Some((pair.get("key")?.as_str()?.to_owned(), pair.get("value")?.clone()));
            pairs.iter().map(pair).collect::<Option<Map<_, _>>>().map_or(value, Value::Object)
        }
        _ => value,
    }
}
