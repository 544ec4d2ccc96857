//! What a span is about, whichever convention it follows.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::attributes::Attributes;
use super::documents::{Document, Listing};
use super::embeddings::Embedded;
use super::{genai, openinference};

/// What a span tells of.
pub(super) enum About {
    Retrieval(Retrieved),
    Output(Answered),
    Embedding(Vec<Embedded>),
    /// Nothing that is recorded here: a chain, a tool, a request over HTTP.
    Other,
}

/// A retrieval or a reranking.
#[derive(Default)]
pub(super) struct Retrieved {
    pub(super) query: Option<String>,
    pub(super) documents: Listing,
    /// The attribute that holds them.
    pub(super) name: &'static str,
    /// What `output.value` lists.
    pub(super) in_output: Option<Vec<Document>>,
    /// What a reranker chose from.
    pub(super) candidates: Vec<Document>,
    pub(super) kind: Option<&'static str>,
    pub(super) score_kind: Option<&'static str>,
    pub(super) top_k: Option<u64>,
    pub(super) embedder: Option<String>,
    pub(super) params: Map<String, Value>,
    /// What names the corpus when nothing of ours does.
    pub(super) source: Option<String>,
}

/// What a model answered.
#[derive(Default)]
pub(super) struct Answered {
    pub(super) text: Option<String>,
    pub(super) model: Option<String>,
    pub(super) prompt_version: Option<String>,
    pub(super) refusal: bool,
    pub(super) tokens: Option<u64>,
    pub(super) cost_usd: Option<f64>,
    /// By the name of the evaluation.
    pub(super) scores: BTreeMap<String, f64>,
}

pub(super) fn about(attributes: &Attributes<'_>) -> About {
    match openinference::about(attributes) {
        About::Other => genai::about(attributes),
        known => known,
    }
}

/// `unknown` is what instrumentors write when they do not know.
pub(super) fn model(attributes: &Attributes<'_>, names: &[&str]) -> Option<String> {
    attributes.first_text(names).filter(|name| name != "unknown").map(Into::into)
}
