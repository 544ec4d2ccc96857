//! Reports of traffic in which hardly anything is asked twice.

use super::drift;
use tidemark_analyzer::report::{NeighbourBasis, NeighboursReport, Report, RetrievalReport};

/// Judged by groups of similar queries, found by their embeddings.
pub(crate) fn rephrased() -> Report {
    with(NeighboursReport {
        basis: NeighbourBasis::Embedding,
        groups: 176,
        differing_bits: Some(4),
        nugget: 0.088,
        sill: 0.998,
        embedder_moved: false,
    })
}

/// The query embedder changed, and no text is known.
pub(crate) fn embedder_moved() -> Report {
    with(NeighboursReport {
        basis: NeighbourBasis::FirstDocument,
        groups: 19,
        differing_bits: None,
        nugget: 0.451,
        sill: 0.451,
        embedder_moved: true,
    })
}

fn with(neighbours: NeighboursReport) -> Report {
    let drift = drift();
    let retrieval = RetrievalReport {
        matched_queries: 3,
        judged_queries: neighbours.groups,
        queries_min: neighbours.groups.min(30),
        coverage: Some(0.884),
        neighbours: Some(neighbours),
        ..drift.retrieval
    };
    Report { retrieval, ..drift }
}
