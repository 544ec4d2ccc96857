use serde::Serialize;
use tidemark_schema::Timestamp;

/// The first moment from which the current window differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Since {
    /// The moment: between the last operation before the change and the first one after it.
    pub at: Timestamp,
    /// Its interval, at the level of the report's intervals.
    pub interval: [Timestamp; 2],
    /// How much farther from the reference answers are from then on, beyond noise: 0 none of an answer, 1 all of it.
    pub rise: f64,
    /// What was declared for the first time then: `corpus_version v2`, `embedder e5`.
    pub coincides_with: Vec<String>,
}
