//! A report of a pipeline of several stages.

use super::{drift, stage};
use tidemark_analyzer::report::{Judgement, QualityMeasure, QualityReport, QualityVerdict, Report, StageReport};

/// A search, a keyword search, their fusion and a reranker that only the current window records.
pub(crate) fn pipeline() -> Report {
    let drift = drift();
    let stages = vec![
        StageReport { last: false, ..stage("BM25Retriever", Judgement::Drift, 0.41) },
        StageReport { last: false, ..stage("VectorStoreRetriever", Judgement::Stable, 0.001) },
        StageReport { position: 3, first_to_change: false, ..stage("EnsembleRetriever", Judgement::Drift, 0.281_3) },
        StageReport {
            position: 4,
            last: false,
            recorded_in_reference: false,
            matched_queries: 0,
            excess_change: None,
            interval: None,
            noise_floor: None,
            ..stage("reranker", Judgement::InsufficientEvidence, 0.0)
        },
    ];
    Report {
        stages,
        quality: QualityReport {
            verdict: QualityVerdict::Worse,
            decided_by: Some("feedback".to_owned()),
            queries: 402,
            measures: vec![QualityMeasure {
                measure: "feedback".to_owned(),
                queries: 133,
                reference: 0.61,
                current: 0.42,
                difference: -0.19,
                interval: [-0.27, -0.11],
                higher_is_better: true,
            }],
        },
        ..drift
    }
}
