//! The attributes that are read. All others are ignored, and counted so that it can be seen.

use super::attributes::place;

const NAMES: [&str; 58] = [
    "openinference.span.kind",
    "input.value",
    "input.mime_type",
    "output.value",
    "retrieval.documents",
    "retrieval.top_k",
    "reranker.query",
    "reranker.model_name",
    "reranker.top_k",
    "reranker.input_documents",
    "reranker.output_documents",
    "embedding.model_name",
    "embedding.text",
    "embedding.vector",
    "llm.model_name",
    "llm.request.model_name",
    "llm.response.model_name",
    "llm.finish_reason",
    "llm.cost.total",
    "llm.token_count.completion",
    "llm.prompt_template.version",
    "prompt.id",
    "prompt.version",
    "session.id",
    "user.id",
    "metadata",
    "tag.tags",
    "gen_ai.operation.name",
    "gen_ai.retrieval.top_k",
    "gen_ai.request.top_k",
    "gen_ai.retrieval.query.text",
    "gen_ai.retrieval.documents",
    "gen_ai.data_source.id",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.output.messages",
    "gen_ai.prompt.version",
    "gen_ai.usage.output_tokens",
    "gen_ai.conversation.id",
    "gen_ai.memory.query.text",
    "gen_ai.memory.records",
    "gen_ai.memory.store.id",
    "enduser.id",
    "service.name",
    "deployment.environment",
    "deployment.environment.name",
    "rag.corpus.name",
    "rag.corpus.version",
    "rag.index.id",
    "rag.score.kind",
    "rag.attempt",
    "rag.operation.id",
    "rag.retriever.name",
    "rag.retriever.version",
    "rag.embedder",
    "rag.query.fingerprint",
    // What it says of a text shows in the text.
    "output.mime_type",
];

/// The lists, and what is read of their entries.
const LISTS: [(&str, &[&str]); 7] = [
    ("retrieval.documents.", &DOCUMENT),
    ("reranker.input_documents.", &DOCUMENT),
    ("reranker.output_documents.", &DOCUMENT),
    ("embedding.embeddings.", &["embedding.text", "embedding.vector"]),
    ("llm.output_messages.", &["message.content", "message.contents."]),
    ("evaluations.", &["evaluation.name", "evaluation.score", "evaluation.label"]),
    ("annotations.", &["annotation.name", "annotation.score", "annotation.label"]),
];

const DOCUMENT: [&str; 4] = ["document.id", "document.score", "document.content", "document.metadata"];

pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || LISTS.iter().any(|(list, fields)| is_of(name, list, fields))
}

fn is_of(name: &str, list: &str, fields: &[&str]) -> bool {
    let entry = name.strip_prefix(list).and_then(|rest| rest.split_once('.'));
    entry.is_some_and(|(index, field)| {
        let known = |known: &&str| *known == field || (known.ends_with('.') && field.starts_with(*known));
        place(index).is_some() && fields.iter().any(known)
    })
}
