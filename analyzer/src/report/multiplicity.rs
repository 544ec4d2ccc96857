use serde::Serialize;

/// How the tests of a report were corrected for being several.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct MultiplicityReport {
    /// The correction of the verdicts: `holm`, which bounds the probability of any false alarm in the report.
    pub method: &'static str,
    /// Its level.
    pub alpha: f64,
    /// The tests of the verdicts.
    pub tests: Vec<TestReport>,
    /// The false discovery rate among segments (Benjamini–Hochberg).
    pub segment_false_discovery_rate: f64,
    /// How many segments were tested.
    pub segments_tested: usize,
}

/// One test of the family.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestReport {
    /// Which verdict it is for: `retrieval`, `scores`, `traffic` or `outputs`.
    pub verdict: &'static str,
    /// As the test gave it.
    pub p_value: f64,
    /// After the correction; compared with `alpha`.
    pub adjusted_p_value: f64,
}
