//! A stage of retrieval: who answered, and in which kind of scores.

use tidemark_schema::ScoreKind;

/// Who answered. Answers of different stages are never compared with each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stage {
    /// The retriever's name.
    pub retriever: Option<Box<str>>,
    /// `dense`, `sparse`, `hybrid`, `rerank` and the like.
    pub kind: Option<Box<str>>,
    /// What its scores mean.
    pub score_kind: ScoreKind,
}

/// Words in a kind, or in a name where there is no kind, and how far down a pipeline such a stage stands.
const LEVELS: [(&str, u8); 17] = [
    ("rerank", 3),
    ("cross", 3),
    ("compress", 3),
    ("filter", 3),
    ("ensemble", 2),
    ("hybrid", 2),
    ("fusion", 2),
    ("fuse", 2),
    ("rrf", 2),
    ("merge", 2),
    ("dense", 1),
    ("sparse", 1),
    ("vector", 1),
    ("embed", 1),
    ("keyword", 1),
    ("lexical", 1),
    ("bm25", 1),
];

impl Stage {
    /// How far down a pipeline it stands by what it declares: 1 searches, 2 fuses, 3 chooses from what was found.
    pub(crate) fn level(&self) -> Option<u8> {
        let by_word = |text: &Option<Box<str>>| {
            let text = text.as_deref()?.to_lowercase();
            LEVELS.iter().find(|(word, _)| text.contains(word)).map(|(_, level)| *level)
        };
        let by_scores = || match self.score_kind {
            ScoreKind::Rerank => Some(3),
            ScoreKind::Rrf => Some(2),
            ScoreKind::Cosine | ScoreKind::Dot | ScoreKind::Distance | ScoreKind::Bm25 => Some(1),
            ScoreKind::Other => None,
        };
        by_word(&self.kind).or_else(by_scores).or_else(|| by_word(&self.retriever))
    }

    /// What it is called in a report.
    pub(crate) fn name(&self) -> &str {
        self.retriever.as_deref().or(self.kind.as_deref()).unwrap_or("the retriever")
    }
}

/// Whether a score is a function of query and document alone. Others follow the corpus (`bm25`: frequencies and lengths)
/// or the other documents of the answer (`rrf`: ranks), so an unchanged document has another score when those change.
pub(crate) fn is_pointwise(kind: ScoreKind) -> bool {
    !matches!(kind, ScoreKind::Bm25 | ScoreKind::Rrf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(retriever: &str, kind: Option<&str>, score_kind: ScoreKind, level: Option<u8>) {
        let stage = Stage { retriever: Some(retriever.into()), kind: kind.map(Into::into), score_kind };
        assert_eq!(stage.level(), level, "{stage:?}");
    }

    #[test]
    fn a_stage_declares_how_far_down_it_stands() {
        check("a", Some("dense"), ScoreKind::Cosine, Some(1));
        check("a", Some("rerank"), ScoreKind::Rerank, Some(3));
        check("EnsembleRetriever", None, ScoreKind::Other, Some(2));
        check("ContextualCompressionRetriever", None, ScoreKind::Other, Some(3));
        check("VectorStoreRetriever", None, ScoreKind::Other, Some(1));
        check("faq", None, ScoreKind::Rrf, Some(2));
        check("faq", None, ScoreKind::Other, None);
    }
}
