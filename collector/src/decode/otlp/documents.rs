//! The documents of a span, in the forms in which instrumentors write them, and what identifies each.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use opentelemetry_proto::tonic::common::v1::any_value;
use serde_json::{Map, Value, json};
use tidemark_schema::ContentHash;

use super::attributes::{self, Attributes};
use crate::decode::Rejection;

/// The id is that of the same document in `output.value`.
pub(super) const ID_OF_OUTPUT: &str = "doc_id.output_value";
/// The id is a value of the document's metadata.
pub(super) const ID_OF_METADATA: &str = "doc_id.metadata";
/// The id is the hash of what the document says.
pub(super) const ID_OF_CONTENT: &str = "doc_id.content_hash";
/// Several documents had one id, as chunks of one source have: the second is `<id>#2`, and so on.
pub(super) const ID_REPEATED: &str = "doc_id.repeated";

/// One document as it was emitted.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Document {
    id: Option<String>,
    score: Option<Value>,
    content: Option<String>,
    metadata: Map<String, Value>,
}

/// The documents under `name`: flattened, or as one array, structured or as a text of JSON. None if the span does not tell of
/// them, which is something else than a list that is empty.
pub(super) fn documents(attributes: &Attributes<'_>, name: &str) -> (Option<Vec<Document>>, bool) {
    let (flat, gap) = attributes.list(name, "document");
    if !flat.is_empty() || gap {
        return (Some(flat.into_iter().map(of_fields).collect()), gap);
    }
    let whole = attributes.value(name).map(attributes::json);
    (whole.and_then(|value| of_array(&value)), false)
}

/// The documents that `output.value` lists under `documents`, as the retrievers of `LangChain` do.
pub(super) fn of_output(attributes: &Attributes<'_>) -> Option<Vec<Document>> {
    let any_value::Value::StringValue(text) = attributes.value("output.value")? else { return None };
    of_array(attributes::embedded(text)?.get("documents")?)
}

fn of_fields(fields: BTreeMap<&str, &any_value::Value>) -> Document {
    let mut document = Document::default();
    for (field, value) in fields {
        match field {
            "id" => document.id = attributes::text(value).map(Into::into),
            "score" => document.score = Some(attributes::json(value)),
            "content" => document.content = attributes::text(value).map(Into::into),
            "metadata" => {
                if let Value::Object(metadata) = attributes::json(value) {
                    document.metadata.extend(metadata);
                }
            }
            _ => {}
        }
    }
    document
}

fn of_array(value: &Value) -> Option<Vec<Document>> {
    value.as_array()?.iter().map(of_object).collect()
}

fn of_object(value: &Value) -> Option<Document> {
    let mut document = Document::default();
    for (key, value) in value.as_object()? {
        match key.strip_prefix("document.").unwrap_or(key) {
            "id" => document.id = simple(value),
            "score" => document.score = Some(value.clone()),
            "content" | "page_content" => document.content = value.as_str().map(ToOwned::to_owned),
            "metadata" => {
                let parsed = value.as_str().and_then(attributes::embedded);
                if let Value::Object(metadata) = parsed.unwrap_or_else(|| value.clone()) {
                    document.metadata.extend(metadata);
                }
            }
            // GenAI allows any further keys; LangChain writes the metadata there.
            other => {
                document.metadata.entry(other.to_owned()).or_insert_with(|| value.clone());
            }
        }
    }
    Some(document)
}

/// A text that is not blank, or a number as a text.
fn simple(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The results of an event from the documents of a span, and the marks that tell where their ids come from.
pub(super) fn results(
    documents: &[Document],
    in_output: Option<&[Document]>,
    keys: &[String],
    name: &str,
) -> Result<(Vec<Value>, BTreeSet<&'static str>), Rejection> {
    // Only lists of the same documents say something about each other.
    let in_output = in_output.filter(|output| output.len() == documents.len());
    let (mut marks, mut times) = (BTreeSet::new(), HashMap::new());
    let mut results = Vec::with_capacity(documents.len());
    for (place, document) in documents.iter().enumerate() {
        let there = in_output.and_then(|output| output.get(place));
        let (mut id, mark) = identify(document, there, keys).ok_or_else(|| {
            let reason = format!(
                "has neither id nor content, and its metadata none of {}; name a key that identifies it in `document_id`",
                keys.join(", ")
            );
            Rejection::field(format!("{name}.{place}"), reason)
        })?;
        marks.extend(mark);
        let time = times.entry(id.clone()).and_modify(|time| *time += 1).or_insert(1);
        if *time > 1 {
            marks.insert(ID_REPEATED);
            id = format!("{id}#{time}");
        }
        let mut result = Map::from_iter([("doc_id".to_owned(), Value::String(id))]);
        if let Some(score) =
            score(document).map_err(|reason| Rejection::field(format!("{name}.{place}.score"), reason))?
        {
            result.insert("score".to_owned(), score);
        }
        if let Some(content) = document.content.as_deref().or_else(|| there?.content.as_deref()) {
            result.insert("content_hash".to_owned(), json!(ContentHash::of_text(content)));
        }
        results.push(Value::Object(result));
    }
    Ok((results, marks))
}

/// A score that is missing stays missing.
fn score(document: &Document) -> Result<Option<Value>, String> {
    match &document.score {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(Value::Number(number.clone()))),
        Some(Value::String(text)) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(json!(number))),
            _ => Err("is no finite number; leave it out when it is not known".to_owned()),
        },
        Some(_) => Err("is no number; leave it out when it is not known".to_owned()),
    }
}

fn identify(document: &Document, there: Option<&Document>, keys: &[String]) -> Option<(String, Option<&'static str>)> {
    if let Some(id) = &document.id {
        return Some((id.clone(), None));
    }
    let same = there
        .filter(|there| document.content.is_none() || there.content.is_none() || there.content == document.content);
    if let Some(id) = same.and_then(|there| there.id.clone()) {
        return Some((id, Some(ID_OF_OUTPUT)));
    }
    let of_metadata = keys.iter().find_map(|key| document.metadata.get(key).and_then(simple));
    if let Some(id) = of_metadata {
        return Some((id, Some(ID_OF_METADATA)));
    }
    let content = document.content.as_deref()?;
    Some((ContentHash::of_text(content).as_str().to_owned(), Some(ID_OF_CONTENT)))
}

/// The ids alone, for documents that were candidates and no results.
pub(super) fn ids(documents: &[Document], keys: &[String]) -> Vec<String> {
    documents.iter().filter_map(|document| Some(identify(document, None, keys)?.0)).collect()
}
