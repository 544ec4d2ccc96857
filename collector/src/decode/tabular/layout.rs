//! The columns of a store's tables, and the fields of an event that they hold.

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value, json};

use super::cell::{Budget, Cell, Unreadable, is_null, is_text};
use super::{Kind, TableError};
use crate::decode::draft::EventDraft;
use crate::unknown::{UnknownField, path_of};

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

/// How many wrong columns are named.
const NAMED: usize = 5;

/// Fields that hold others: a column may be named after both, as `query.text` is by those who flatten JSON.
const PARENTS: [&str; 7] = ["query", "retriever", "requested", "output", "segment", "attributes", "scores"];

/// The columns of a table as fields of an event.
pub(super) struct Layout {
    fields: Vec<(String, Node)>,
    /// Columns that are passed over because they hold nothing of an event.
    pub(super) ignored: Vec<String>,
}

/// Where a field is.
enum Node {
    /// In a column.
    Column(usize),
    /// In several, each of which holds a field within it.
    Fields(Vec<(String, Node)>),
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
            check(found.data_type(), found.name())?;
            let path = path(found.name());
            if unknown.len() < NAMED {
                unknown.extend(
                    shapes(found.data_type()).into_iter().filter_map(|shape| self::unknown(&path, shape, kind)),
                );
            }
            if !insert(&mut fields, &path, column) {
                let path = path.join(".");
                return Err(TableError::Columns(format!("{} (another column holds {path} already)", found.name())));
            }
        }
        if !unknown.is_empty() {
            unknown.truncate(NAMED);
            return Err(TableError::Columns(unknown.join(", ")));
        }
        Ok(Self { fields, ignored })
    }

    /// A row as something that a draft is read from.
    pub(super) fn row<'a>(&'a self, batch: &'a RecordBatch, row: usize, budget: &'a Budget) -> Fields<'a> {
        Fields { nodes: &self.fields, batch, row, budget }
    }
}

/// Puts a column where its path leads; false if something is there.
fn insert(fields: &mut Vec<(String, Node)>, path: &[&str], column: usize) -> bool {
    let Some((name, rest)) = path.split_first() else { return false };
    let there = fields.iter_mut().find(|(field, _)| field == name);
    match (there, rest) {
        (None, []) => {
            fields.push(((*name).to_owned(), Node::Column(column)));
            true
        }
        (None, rest) => {
            let mut within = Vec::new();
            insert(&mut within, rest, column);
            fields.push(((*name).to_owned(), Node::Fields(within)));
            true
        }
        (Some((_, Node::Fields(within))), rest) => insert(within, rest, column),
        (Some((_, Node::Column(_))), _) => false,
    }
}

/// The field of a column, with those above it.
fn path(column: &str) -> Vec<&str> {
    if let Some((_, parent, field)) = NESTED.iter().find(|(name, ..)| *name == column) {
        return vec![parent, field];
    }
    match column.split_once('.') {
        Some(("retriever", rest)) if rest.starts_with("params.") => {
            vec!["retriever", "params", rest.trim_start_matches("params.")]
        }
        Some((parent, field)) if PARENTS.contains(&parent) => vec![parent, field],
        _ => vec![column],
    }
}

/// The name of the field at `path`, or of one within it, if no event of the kind has it: an event that holds nothing else is
/// shown to the decoder.
fn unknown(path: &[&str], shape: Value, kind: Kind) -> Option<String> {
    let event = path.iter().rev().fold(shape, |inner, name| json!({ *name: inner }));
    let mut track = serde_path_to_error::Track::new();
    let message =
        EventDraft::deserialize(kind, serde_path_to_error::Deserializer::new(event, &mut track)).err()?.to_string();
    let path = path_of(&track.path());
    let UnknownField { path, near } = UnknownField::of(path.as_deref(), &message)?;
    let near = near.map(|known| format!(" (did you mean {known}?)")).unwrap_or_default();
    Some(format!("{}{near}", path.replace("[0]", "[]")))
}

/// The fields of a row, or of a field in it.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    nodes: &'a [(String, Node)],
    batch: &'a RecordBatch,
    row: usize,
    budget: &'a Budget,
}

impl Fields<'_> {
    fn is_null(&self) -> bool {
        self.nodes.iter().all(|(_, node)| match node {
            Node::Column(column) => self.batch.columns().get(*column).is_none_or(|array| is_null(array, self.row)),
            Node::Fields(nodes) => Fields { nodes, ..*self }.is_null(),
        })
    }
}

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.budget.spend(self.nodes.len())?;
        visitor.visit_map(Known { of: self, fields: self.nodes.iter(), value: None })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The fields of a row that are not null, one after the other.
struct Known<'a> {
    of: Fields<'a>,
    fields: std::slice::Iter<'a, (String, Node)>,
    value: Option<Part<'a>>,
}

enum Part<'a> {
    Cell(Cell<'a>),
    Fields(Fields<'a>),
}

impl<'de> MapAccess<'de> for Known<'_> {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unreadable> {
        let Fields { batch, row, budget, .. } = self.of;
        for (name, node) in self.fields.by_ref() {
            self.value = match node {
                Node::Column(column) => {
                    let array = batch.columns().get(*column).filter(|array| !is_null(array, row));
                    array.map(|array| Part::Cell(Cell { array: array.as_ref(), row, budget }))
                }
                Node::Fields(nodes) => {
                    Some(Fields { nodes, ..self.of }).filter(|fields| !fields.is_null()).map(Part::Fields)
                }
            };
            if self.value.is_some() {
                return seed.deserialize(name.as_str().into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unreadable> {
        match self.value.take() {
            Some(Part::Cell(cell)) => seed.deserialize(cell),
            Some(Part::Fields(fields)) => seed.deserialize(fields),
            None => Err(de::Error::custom("has no value")),
        }
    }
}

/// Whether a type can be a part of an event; `name` is the column, with those above it.
fn check(data_type: &DataType, name: &str) -> Result<(), TableError> {
    let foreign = || Err(TableError::Type { column: name.to_owned(), found: data_type.to_string() });
    match data_type {
        DataType::Null
        | DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Timestamp(_, _)
        | DataType::Date32
        | DataType::Date64 => Ok(()),
        number if number.is_numeric() => Ok(()),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            check(field.data_type(), &format!("{name}[]"))
        }
        DataType::Struct(fields) => {
            fields.iter().try_for_each(|field| check(field.data_type(), &format!("{name}.{}", field.name())))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => match fields.iter().as_slice() {
                [key, value] if is_text(key.data_type()) => check(value.data_type(), &format!("{name}.value")),
                _ => foreign(),
            },
            _ => foreign(),
        },
        DataType::Dictionary(_, values) => check(values, name),
        _ => foreign(),
    }
}

/// Which kind of events has these columns; `None` if they do not say.
pub(super) fn kind(schema: &Schema) -> Option<Kind> {
    let first = |name: &str| path(name).first().map(|first| ((*first).to_owned(), Value::Bool(true)));
    let event: Map<_, _> = schema.fields().iter().filter_map(|found| first(found.name())).collect();
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
