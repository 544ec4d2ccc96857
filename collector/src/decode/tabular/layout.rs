//! The columns of a store's tables, and the fields of an event that they hold.

use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema};
use serde_json::{Map, Value, json};

use super::value::{self, Bounded, Fault};
use super::{Kind, TableError};
use crate::decode::wire::{WireOutput, WireRetrieval};
use crate::unknown::UnknownField;

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

/// Fields that are maps.
const MAPS: [&str; 4] = ["attributes", "params", "segment", "scores"];

/// How many wrong columns are named.
const NAMED: usize = 5;

/// The columns of a table as fields of an event.
pub(super) struct Layout {
    /// Those with the same parent stand together.
    fields: Vec<Field>,
    /// Columns that are passed over because they hold nothing of an event.
    pub(super) ignored: Vec<String>,
}

struct Field {
    parent: Option<&'static str>,
    name: String,
    column: usize,
}

impl Layout {
    pub(super) fn of(schema: &Schema, kind: Kind) -> Result<Self, TableError> {
        let (mut fields, mut ignored, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for (column, found) in schema.fields().iter().enumerate() {
            if OF_THE_STORE.contains(&found.name().as_str()) {
                continue;
            }
            if is_index_of_pandas(found.name()) {
                ignored.push(found.name().clone());
                continue;
            }
            value::check(found.data_type(), found.name())?;
            let field = Field::of(column, found.name());
            if unknown.len() < NAMED {
                let shapes = shapes(found.data_type());
                unknown.extend(shapes.iter().filter_map(|shape| field.unknown(shape, kind)));
            }
            fields.push(field);
        }
        if !unknown.is_empty() {
            unknown.truncate(NAMED);
            return Err(TableError::Columns(unknown.join(", ")));
        }
        fields.sort_by_key(|field| field.parent);
        Ok(Self { fields, ignored })
    }

    /// Writes a row as an event is written.
    pub(super) fn write(&self, batch: &RecordBatch, row: usize, out: &mut Bounded) -> Result<(), Fault> {
        out.look_at(self.fields.len())?;
        let known = |field: &&Field| field.of_batch(batch).is_some_and(|column| !value::is_null(column, row));
        let groups = self.fields.chunk_by(|a, b| a.parent.is_some() && a.parent == b.parent);
        let groups = groups.filter(|group| group.iter().any(|field| known(&field)));
        let named = groups.filter_map(|group| group.first().map(|first| (first.parent.unwrap_or(&first.name), group)));
        value::object(named, out, |group, out| match group {
            [field] if field.parent.is_none() => field.write(batch, row, out),
            group => {
                let members = group.iter().filter(known).map(|field| (field.name.as_str(), field));
                value::object(members, out, |field, out| field.write(batch, row, out))
            }
        })
    }
}

impl Field {
    fn of(column: usize, name: &str) -> Self {
        match NESTED.iter().find(|(nested, ..)| *nested == name) {
            Some((_, parent, field)) => Self { parent: Some(parent), name: (*field).to_owned(), column },
            None => Self { parent: None, name: name.to_owned(), column },
        }
    }

    fn of_batch<'b>(&self, batch: &'b RecordBatch) -> Option<&'b dyn Array> {
        batch.columns().get(self.column).map(AsRef::as_ref)
    }

    fn write(&self, batch: &RecordBatch, row: usize, out: &mut Bounded) -> Result<(), Fault> {
        let Some(column) = self.of_batch(batch) else { return Ok(()) };
        if MAPS.contains(&self.name.as_str()) {
            value::write_map(column, row, out)
        } else {
            value::write(column, row, out)
        }
    }

    /// The name of this field, or of one within it, if no event of the kind has it: an event that holds nothing else is
    /// shown to the decoder.
    fn unknown(&self, shape: &Value, kind: Kind) -> Option<String> {
        let field = json!({ &*self.name: shape });
        let event = match self.parent {
            Some(parent) => json!({ parent: field }),
            None => field,
        };
        let error = match kind {
            Kind::Retrieval => serde_path_to_error::deserialize::<_, WireRetrieval>(event).err(),
            Kind::Output => serde_path_to_error::deserialize::<_, WireOutput>(event).err(),
        }?;
        let path = Some(error.path().to_string()).filter(|path| path != "." && path != "?");
        let UnknownField { path, near } = UnknownField::of(path.as_deref(), &error.inner().to_string())?;
        let near = near.map(|known| format!(" (did you mean {known}?)")).unwrap_or_default();
        Some(format!("{}{near}", path.replace("[0]", "[]")))
    }
}

/// Which kind of events has these columns; `None` if they do not say.
pub(super) fn kind(schema: &Schema) -> Option<Kind> {
    let mut event = Map::new();
    for found in schema.fields() {
        let Field { parent, name, .. } = Field::of(0, found.name());
        event.insert(parent.map_or(name, str::to_owned), Value::Bool(true));
    }
    Kind::of(&serde_json::to_vec(&event).ok()?)
}

/// Values with nothing but the nested names of a type, each with one of them.
fn shapes(data_type: &DataType) -> Vec<Value> {
    match data_type {
        DataType::Struct(fields) if !fields.is_empty() => {
            let within = |name: &str, shape: Value| json!({ name: shape });
            let each = fields
                .iter()
                .flat_map(|field| shapes(field.data_type()).into_iter().map(move |shape| within(field.name(), shape)));
            each.collect()
        }
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            shapes(field.data_type()).into_iter().map(|shape| json!([shape])).collect()
        }
        _ => vec![Value::Null],
    }
}

/// `__index_level_0__` and so on: the numbers of rows, which pandas writes with a table that was filtered or sorted.
fn is_index_of_pandas(column: &str) -> bool {
    let level = column.strip_prefix("__index_level_").and_then(|rest| rest.strip_suffix("__"));
    level.is_some_and(|level| !level.is_empty() && level.bytes().all(|digit| digit.is_ascii_digit()))
}
