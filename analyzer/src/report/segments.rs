use std::collections::BTreeMap;

use serde::Serialize;

use super::{Judgement, Since};

/// Retrieval in one part of the traffic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentReport {
    /// The keys and values that name it.
    pub segment: BTreeMap<String, String>,
    /// Whether rankings drifted in it.
    pub verdict: Judgement,
    /// Its share of the current window's operations, between 0 and 1.
    pub traffic_share: f64,
    /// Queries that both windows asked in it.
    pub matched_queries: usize,
    /// How much farther current answers are from the reference's than the reference's are from each other; where that decides
    /// nothing and the part of it does that no noise can make, that part.
    pub excess_change: Option<f64>,
    /// Its bootstrap interval over queries.
    pub interval: Option<[f64; 2]>,
    /// How likely a change like this is by chance, on its own.
    pub p_value: Option<f64>,
    /// The same among all segments that were tested (Benjamini–Hochberg).
    pub q_value: Option<f64>,
    /// From when on it differs, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}
