//! OpenTelemetry's conventions for generative AI, in development:
//! <https://github.com/open-telemetry/semantic-conventions-genai>, `docs/gen-ai/gen-ai-spans.md`.

use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use serde_json::Value;

use super::attributes::{self, Attributes};
use super::documents::documents;
use super::openinference::is_refusal;
use super::span::{About, Answered, Retrieved, model};

pub(super) fn about(attributes: &Attributes<'_>) -> About {
    match attributes.text("gen_ai.operation.name").as_deref() {
        Some("retrieval") => About::Retrieval(retrieval(attributes)),
        Some("search_memory") => About::Retrieval(memory(attributes)),
        Some("chat" | "text_completion" | "generate_content") => About::Output(answered(attributes)),
        _ => About::Other,
    }
}

fn retrieval(attributes: &Attributes<'_>) -> Retrieved {
    const NAME: &str = "gen_ai.retrieval.documents";
    Retrieved {
        query: attributes.text("gen_ai.retrieval.query.text").map(Into::into),
        documents: documents(attributes, NAME),
        name: NAME,
        // Until convention 1.41 the number was sent as a float, under the second name.
        top_k: attributes.count("gen_ai.retrieval.top_k").or_else(|| attributes.count("gen_ai.request.top_k")),
        embedder: model(attributes, &["gen_ai.request.model"]),
        source: attributes.text("gen_ai.data_source.id").map(Into::into),
        ..Retrieved::default()
    }
}

fn memory(attributes: &Attributes<'_>) -> Retrieved {
    const NAME: &str = "gen_ai.memory.records";
    Retrieved {
        query: attributes.text("gen_ai.memory.query.text").map(Into::into),
        documents: documents(attributes, NAME),
        name: NAME,
        kind: Some("memory"),
        top_k: attributes.count("gen_ai.retrieval.top_k").or_else(|| attributes.count("gen_ai.request.top_k")),
        source: attributes.first_text(&["gen_ai.memory.store.id", "gen_ai.data_source.id"]).map(Into::into),
        ..Retrieved::default()
    }
}

fn answered(attributes: &Attributes<'_>) -> Answered {
    let reasons = attributes.value("gen_ai.response.finish_reasons").map(attributes::json);
    let refused = |reasons: &Value| {
        let mut texts = reasons.as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.any(is_refusal)
    };
    let scores = super::openinference::evaluations(attributes);
    Answered {
        text: attributes.value("gen_ai.output.messages").and_then(said),
        model: model(attributes, &["gen_ai.response.model", "gen_ai.request.model"]),
        prompt_version: attributes.text("gen_ai.prompt.version").map(Into::into),
        refusal: reasons.as_ref().is_some_and(refused),
        tokens: attributes.count("gen_ai.usage.output_tokens"),
        cost_usd: None,
        scores: scores.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect(),
    }
}

/// The texts of messages: `[{"role", "parts": [{"type": "text", "content"}]}]`, or `content` beside `role`.
fn said(messages: &AnyValue) -> Option<String> {
    let messages = attributes::json(messages);
    let texts: Vec<&str> = messages
        .as_array()?
        .iter()
        .flat_map(|message| {
            let parts = message.get("parts").and_then(Value::as_array).into_iter().flatten();
            let texts = parts.filter(|part| part.get("type").is_none_or(|kind| kind == "text"));
            let plain = message.get("content").and_then(Value::as_str);
            texts.filter_map(|part| part.get("content")?.as_str()).chain(plain)
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}
