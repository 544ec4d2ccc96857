//! What an event takes in memory, about: exact to the parts that can grow.

use serde_json::Value;
use tidemark_schema::{Label, OutputEvent, Query, RetrievalEvent, RetrievedDocument};

/// What an entry of a map or a set takes besides its texts, its share of the tree's nodes included.
const ENTRY: usize = 64;

/// The bytes of a retrieval.
pub(super) fn of_retrieval(event: &RetrievalEvent) -> u64 {
    let RetrievalEvent {
        retriever,
        query: Query { text: asked, fingerprint, previous_fingerprint, embedding, .. },
        ..
    } = event;
    let labels = [&event.principal, &event.service, &event.environment, &event.model, &event.prompt_version];
    let versions = [&event.policy_version, &retriever.name, &retriever.kind, &retriever.version, &retriever.index];
    let ids = event.operation_id.as_str().len()
        + event.corpus.as_str().len()
        + event.trace_id.as_ref().map_or(0, |id| id.as_str().len())
        + event.span_id.as_ref().map_or(0, |id| id.as_str().len())
        + event.corpus_version.as_ref().map_or(0, |version| version.as_str().len());
    let query = asked.as_ref().map_or(0, String::len)
        + fingerprint.as_str().len()
        + previous_fingerprint.as_ref().map_or(0, |fingerprint| fingerprint.as_str().len())
        + embedding.as_ref().map_or(0, |vector| size_of_val(vector.as_slice()));
    let requested = event.requested.filter.as_ref().map_or(0, String::len)
        + event.requested.scope.iter().map(of_entry).sum::<usize>();
    let sum = size_of::<RetrievalEvent>()
        + labels
            .into_iter()
            .chain(versions)
            .chain([&retriever.embedder])
            .map(|label| of_label(label.as_ref()))
            .sum::<usize>()
        + ids
        + query
        + requested
        + event.segment.iter().map(|(key, value)| of_entry(key) + value.as_str().len()).sum::<usize>()
        + event.results.iter().map(of_document).sum::<usize>()
        + event
            .attributes
            .iter()
            .chain(&retriever.params)
            .map(|(key, value)| ENTRY + key.len() + of_value(value))
            .sum::<usize>()
        + event.marks.iter().map(of_entry).sum::<usize>();
    sum as u64
}

/// The bytes of an output.
pub(super) fn of_output(event: &OutputEvent) -> u64 {
    let labels = [&event.principal, &event.service, &event.model, &event.prompt_version, &event.policy_version];
    let answer = event.output.text.as_ref().map_or(0, String::len)
        + event.output.hash.as_ref().map_or(0, |hash| hash.as_str().len())
        + event.output.embedding.as_ref().map_or(0, |vector| size_of_val(vector.as_slice()));
    let sum = size_of::<OutputEvent>()
        + labels.into_iter().map(|label| of_label(label.as_ref())).sum::<usize>()
        + event.operation_id.as_str().len()
        + event.trace_id.as_ref().map_or(0, |id| id.as_str().len())
        + answer
        + event.citations.iter().map(|id| size_of::<String>() + id.as_str().len()).sum::<usize>()
        + event.scores.keys().map(of_entry).sum::<usize>()
        + event.marks.iter().map(of_entry).sum::<usize>();
    sum as u64
}

fn of_label(label: Option<&Label>) -> usize {
    label.map_or(0, |label| label.as_str().len())
}

fn of_entry(label: &Label) -> usize {
    ENTRY + label.as_str().len()
}

fn of_document(document: &RetrievedDocument) -> usize {
    size_of::<RetrievedDocument>()
        + document.doc_id.as_str().len()
        + document.content_hash.as_ref().map_or(0, |hash| hash.as_str().len())
        + of_label(document.scope.as_ref())
}

/// The bytes of a value of JSON.
fn of_value(value: &Value) -> usize {
    let own = size_of::<Value>();
    own + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(of_value).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| ENTRY + key.len() + of_value(value)).sum(),
    }
}
