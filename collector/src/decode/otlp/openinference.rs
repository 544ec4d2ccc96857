//! `OpenInference`: <https://github.com/Arize-ai/openinference>, `spec/semantic_conventions.md`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use serde_json::{Map, Value, json};

use super::attributes::{self, Attributes, place, text, vector};
use super::documents::{Document, Listing, documents, of_output};
use super::embeddings::Embedded;
use super::span::{About, Answered, Retrieved, model};

pub(super) fn about(attributes: &Attributes<'_>) -> About {
    match attributes.text("openinference.span.kind").as_deref() {
        Some("RETRIEVER") => About::Retrieval(retriever(attributes)),
        Some("RERANKER") => About::Retrieval(reranker(attributes)),
        Some("EMBEDDING") => About::Embedding(embedded(attributes)),
        Some("LLM") => About::Output(answered(attributes)),
        _ => About::Other,
    }
}

fn retriever(attributes: &Attributes<'_>) -> Retrieved {
    const NAME: &str = "retrieval.documents";
    let in_output = of_output(attributes);
    let documents = match (documents(attributes, NAME), &in_output) {
        // A retriever that found nothing has no attribute to say so with; what it returned says it. And when the sender
        // dropped the first documents, what it returned still has them.
        (Listing::Untold, Some(output)) => from_output(output),
        (Listing::Told { documents, cut: true }, Some(output)) if documents.is_empty() => from_output(output),
        (listing, _) => listing,
    };
    Retrieved {
        query: question(attributes),
        documents,
        name: NAME,
        in_output,
        top_k: attributes.count("retrieval.top_k"),
        embedder: model(attributes, &["embedding.model_name"]),
        ..Retrieved::default()
    }
}

/// The documents of `output.value` alone. Their ids are looked up there, so that the event says where they are from.
fn from_output(output: &[Document]) -> Listing {
    Listing::whole(output.iter().map(|document| Document { id: None, ..document.clone() }).collect())
}

fn reranker(attributes: &Attributes<'_>) -> Retrieved {
    const NAME: &str = "reranker.output_documents";
    let mut params = Map::new();
    if let Some(model) = model(attributes, &["reranker.model_name"]) {
        params.insert("model".to_owned(), json!(model));
    }
    Retrieved {
        query: attributes.text("reranker.query").map(Into::into).or_else(|| question(attributes)),
        documents: documents(attributes, NAME),
        name: NAME,
        candidates: documents(attributes, "reranker.input_documents").documents(),
        kind: Some("rerank"),
        score_kind: Some("rerank"),
        top_k: attributes.count("reranker.top_k"),
        params,
        ..Retrieved::default()
    }
}

/// The question in `input.value`: the text itself, or the member of an object that is one.
fn question(attributes: &Attributes<'_>) -> Option<String> {
    let text = attributes.text("input.value")?;
    let is_json = attributes.text("input.mime_type").is_some_and(|kind| kind == "application/json");
    if is_json && let Ok(Value::String(text)) = serde_json::from_str(&text) {
        return Some(text);
    }
    match attributes::embedded(&text) {
        Some(Value::Object(object)) => within(&object).or_else(|| Some(text.into())),
        _ => Some(text.into()),
    }
}

fn within(object: &Map<String, Value>) -> Option<String> {
    const NAMES: [&str; 7] = ["query", "query_str", "question", "input", "text", "search_query", "query_text"];
    let named = NAMES.iter().find_map(|name| match object.get(*name)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Object(inner) => within(inner),
        _ => None,
    });
    named.or_else(|| object.get("query_bundle")?.as_object().and_then(within))
}

fn embedded(attributes: &Attributes<'_>) -> Vec<Embedded> {
    let model = model(attributes, &["embedding.model_name"]);
    let of = |text: &AnyValue, vector_of: Option<&AnyValue>| {
        let text = attributes::text(text)?.into();
        Some(Embedded { text, model: model.clone(), vector: vector_of.and_then(vector).map(Into::into) })
    };
    let (batch, _) = attributes.list("embedding.embeddings", "embedding");
    if !batch.is_empty() {
        let each = batch.iter().map(|fields| of(fields.get("text")?, fields.get("vector").copied()));
        return each.flatten().collect();
    }
    if let Some(text) = attributes.value("embedding.text") {
        return of(text, attributes.value("embedding.vector")).into_iter().collect();
    }
    let asked = question(attributes).map(|text| Embedded { text, model: model.clone(), vector: None });
    asked.into_iter().collect()
}

fn answered(attributes: &Attributes<'_>) -> Answered {
    let (messages, _) = attributes.list("llm.output_messages", "message");
    let texts: Vec<_> = messages.iter().flat_map(|message| said(message)).collect();
    // A message without a text calls a tool. What `output.value` then has is the whole answer of the provider, whose ids and
    // counts are others each time.
    let said = if messages.is_empty() {
        attributes.text("output.value").map(Into::into)
    } else {
        (!texts.is_empty()).then(|| texts.join("\n"))
    };
    let prompt_version = ["prompt.version", "llm.prompt_template.version", "prompt.id"];
    Answered {
        text: said,
        model: model(attributes, &["llm.response.model_name", "llm.model_name", "llm.request.model_name"]),
        prompt_version: attributes.first_text(&prompt_version).map(Into::into),
        refusal: attributes.text("llm.finish_reason").is_some_and(|reason| is_refusal(&reason)),
        tokens: attributes.count("llm.token_count.completion"),
        cost_usd: attributes.text("llm.cost.total").and_then(|cost| cost.parse().ok()),
        scores: evaluations(attributes).into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect(),
    }
}

/// The texts of a message: `message.content`, else `message.contents.N.message_content.text`.
fn said<'a>(message: &BTreeMap<&str, &'a AnyValue>) -> Vec<Cow<'a, str>> {
    if let Some(content) = message.get("content").and_then(|content| text(content)) {
        return vec![content];
    }
    let parts = message.iter().filter_map(|(name, value)| {
        let (index, field) = name.strip_prefix("contents.")?.split_once('.')?;
        Some((place(index)?, text(value).filter(|_| field == "message_content.text")?))
    });
    let parts: BTreeMap<u64, Cow<'_, str>> = parts.collect();
    parts.into_values().collect()
}

pub(super) fn is_refusal(finish_reason: &str) -> bool {
    ["refusal", "content_filter", "safety"].contains(&finish_reason.to_ascii_lowercase().as_str())
}

/// Evaluations that came with the span, by their names: the score, else the label.
pub(super) fn evaluations(attributes: &Attributes<'_>) -> BTreeMap<String, Value> {
    let lists = [("evaluations", "evaluation"), ("annotations", "annotation")];
    let each = lists.iter().flat_map(|(list, entry)| attributes.list(list, entry).0);
    let named = each.filter_map(|fields| {
        let name = text(fields.get("name")?)?.into_owned();
        let score = match fields.get("score") {
            Some(AnyValue::DoubleValue(score)) if score.is_finite() => Some(json!(score)),
            Some(AnyValue::IntValue(score)) => Some(json!(score)),
            _ => None,
        };
        let value = score.or_else(|| Some(Value::String(text(fields.get("label")?)?.into_owned())))?;
        Some((name, value))
    });
    named.collect()
}
