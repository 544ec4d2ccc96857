//! One trace beside another.

use super::time;
use tidemark_analyzer::causes::Cause;
use tidemark_analyzer::trace::{DocumentChange, DocumentDiff, RetrievalSummary, TraceDiff};

pub(crate) fn trace_diff() -> TraceDiff {
    let document = |doc_id: &str, change, ranks: [Option<usize>; 2], scores: [Option<f64>; 2], cause| DocumentDiff {
        doc_id: doc_id.to_owned(),
        change,
        reference_rank: ranks[0],
        current_rank: ranks[1],
        reference_score: scores[0],
        current_score: scores[1],
        cause,
    };
    let before = RetrievalSummary {
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
        occurred_at: time("2026-11-16T09:30:00.123456Z"),
        corpus: "handbook".to_owned(),
        corpus_version: Some("v1".to_owned()),
        fingerprint: "fp:9e3779b97f4a7c15f39cc0605cedc834".to_owned(),
        query: Some("how do I reset my badge".to_owned()),
        embedder: Some("all-MiniLM-L6-v2".to_owned()),
        index: None,
    };
    TraceDiff {
        rbo: 0.612_4,
        current: RetrievalSummary {
            trace_id: Some("a3ce929d0e0e47364bf92f3577b34da6".to_owned()),
            occurred_at: time("2026-11-17T09:31:00Z"),
            corpus_version: Some("v2".to_owned()),
            ..before.clone()
        },
        reference: before,
        documents: vec![
            document("hr/badges.md#3", DocumentChange::Same, [Some(1), Some(1)], [Some(0.831_2), Some(0.831_2)], None),
            document(
                "hr/visitor-badges-2026.md#1",
                DocumentChange::Entered,
                [None, Some(2)],
                [None, Some(0.802_5)],
                Some(Cause::CorpusAdded),
            ),
            document(
                "it/passwords.md#7",
                DocumentChange::Moved,
                [Some(10), Some(3)],
                [Some(0.731_2), Some(0.731_5)],
                Some(Cause::CorpusModified),
            ),
            document(
                "https://wiki.example.com/spaces/OPS/pages/1234567/Building+access+after+hours#section-lost-and-found",
                DocumentChange::Moved,
                [Some(2), Some(4)],
                [Some(0.729_9), Some(0.729_9)],
                Some(Cause::CorpusAdded),
            ),
            document(
                "hr/old-badges.md#2",
                DocumentChange::Left,
                [Some(3), None],
                [Some(0.721), None],
                Some(Cause::CorpusRemoved),
            ),
        ],
        similar: Vec::new(),
        notes: vec!["compared with the last different answer; this query was answered as now 3 times since".to_owned()],
    }
}
