//! The documents of a span, in the forms in which instrumentors write them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::any_value;
use serde_json::{Map, Value, json};

use super::attributes::{self, Attributes};

/// One document as it was emitted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Document {
    pub(super) id: Option<String>,
    pub(super) score: Option<Value>,
    pub(super) content: Option<String>,
    pub(super) metadata: Map<String, Value>,
}

/// What a span says about the documents under a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Listing {
    /// Nothing, which is something else than that there were none.
    #[default]
    Untold,
    /// Something that cannot be read.
    Unreadable(String),
    /// The documents in the order of their ranks; `cut` if the list has a gap, at which it ends here.
    Told { documents: Vec<Document>, cut: bool },
}

impl Listing {
    pub(super) fn whole(documents: Vec<Document>) -> Self {
        Self::Told { documents, cut: false }
    }

    /// The documents, or none of what is not told.
    pub(super) fn documents(self) -> Vec<Document> {
        match self {
            Self::Told { documents, .. } => documents,
            Self::Untold | Self::Unreadable(_) => Vec::new(),
        }
    }
}

/// The documents under `name`: flattened, or as one array, structured or as a text of JSON.
pub(super) fn documents(attributes: &Attributes<'_>, name: &str) -> Listing {
    let (flat, cut) = attributes.list(name, "document");
    if !flat.is_empty() || cut {
        return Listing::Told { documents: flat.into_iter().map(of_fields).collect(), cut };
    }
    match attributes.value(name).filter(|value| attributes::says_something(value)) {
        None => Listing::Untold,
        Some(value) => of_array(&attributes::json(value)).map_or_else(Listing::Unreadable, Listing::whole),
    }
}

/// The documents that `output.value` lists, by itself or under `documents`, as the retrievers of `LangChain` do.
pub(super) fn of_output(attributes: &Attributes<'_>) -> Option<Vec<Document>> {
    match attributes::json(attributes.value("output.value")?) {
        list @ Value::Array(_) => of_array(&list).ok(),
        Value::Object(object) => of_array(object.get("documents")?).ok(),
        _ => None,
    }
}

fn of_fields(fields: BTreeMap<&str, &any_value::Value>) -> Document {
    let mut document = Document::default();
    for (field, value) in fields {
        match field {
            "id" => document.id = attributes::text(value).map(Into::into),
            "score" => document.score = Some(score(value)),
            "content" => document.content = attributes::text(value).map(Into::into),
            "metadata" => document.metadata.extend(attributes::object(value).unwrap_or_default()),
            _ => {}
        }
    }
    document
}

fn score(value: &any_value::Value) -> Value {
    match value {
        any_value::Value::StringValue(text) => json!(text),
        other => attributes::json(other),
    }
}

/// The documents, or why they are none.
fn of_array(value: &Value) -> Result<Vec<Document>, String> {
    let array = value.as_array().ok_or("is no array of documents, neither structured nor as a text of JSON")?;
    let each = array.iter().enumerate().map(|(place, value)| {
        // An array of texts is all that some senders can make of an array of objects.
        let embedded = value.as_str().and_then(attributes::embedded);
        let object = embedded.as_ref().unwrap_or(value).as_object();
        object.map(of_object).ok_or_else(|| format!("has no object at index {place}"))
    });
    each.collect()
}

fn of_object(object: &Map<String, Value>) -> Document {
    let mut document = Document::default();
    for (key, value) in object {
        match key.strip_prefix("document.").unwrap_or(key) {
            "id" => document.id = simple(value),
            "score" => document.score = Some(value.clone()),
            "content" | "page_content" => document.content = value.as_str().map(ToOwned::to_owned),
            "metadata" => {
                let parsed = value.as_str().and_then(attributes::embedded_object);
                document.metadata.extend(parsed.or_else(|| value.as_object().cloned()).unwrap_or_default());
            }
            // GenAI allows any further keys; LangChain writes the metadata there.
            other => {
                document.metadata.entry(other.to_owned()).or_insert_with(|| value.clone());
            }
        }
    }
    document
}

/// A text that is not blank, or a number as a text.
pub(super) fn simple(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
