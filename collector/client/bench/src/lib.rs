//! What `Recorder::record` costs its caller: see `benches/record.rs`.

#![forbid(unsafe_code)]

use tidemark_client::{Document, Query, Retrieval, Retriever};

/// A retrieval as a service has it: a question of 40 characters and ten documents.
pub fn retrieval(number: u64) -> Retrieval {
    Retrieval {
        corpus: "handbook".to_owned(),
        corpus_version: Some("v12".to_owned()),
        service: Some("support".to_owned()),
        retriever: Some(Retriever { name: Some("faq".to_owned()), ..Retriever::default() }),
        query: Query { text: Some(format!("how do I reset my badge, number {number:7}")), ..Query::default() },
        results: (0..10).map(|rank| Document::scored(format!("hr/badges.md#{rank}"), 0.9)).collect(),
        ..Retrieval::default()
    }
}
