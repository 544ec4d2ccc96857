use serde::Serialize;
use tidemark_schema::Timestamp;

/// The first moment from which the current window differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Since {
    /// The moment: between the last operation before the change and the first one after it.
    pub at: Timestamp,
    /// Its interval, at the level of the report's intervals.
    pub interval: [Timestamp; 2],
    /// What was declared for the first time then: `corpus_version v2`, `embedder e5`.
    pub coincides_with: Vec<String>,
}
