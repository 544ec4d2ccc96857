use serde::Serialize;

/// Whether a change was for the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityVerdict {
    /// What is known of quality rose.
    Improved,
    /// It fell.
    Worse,
    /// It is known well enough to say that it hardly moved.
    Same,
    /// Something is known of quality, and not enough.
    InsufficientEvidence,
    /// Nothing tells.
    #[default]
    Unknown,
}

impl QualityVerdict {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::InsufficientEvidence => "insufficient_evidence",
            Self::Unknown => "unknown",
        }
    }
}

/// Better or worse, for the questions whose answers changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct QualityReport {
    /// Whether it was for the better: what the first measure that decides says.
    pub verdict: QualityVerdict,
    /// The measure that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// How many questions changed.
    pub queries: usize,
    /// What tells of quality, the most direct evidence first.
    pub measures: Vec<QualityMeasure>,
}

/// One way in which quality is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QualityMeasure {
    /// `ndcg_at_10`, `feedback`, `score:NAME`, `refusal` or `cited`.
    pub measure: String,
    /// Changed questions for which both windows know it.
    pub queries: usize,
    /// Mean in the reference.
    pub reference: f64,
    /// Mean in the current window.
    pub current: f64,
    /// Mean difference over questions.
    pub difference: f64,
    /// Its interval.
    pub interval: [f64; 2],
    /// Whether a larger value is a better one.
    pub higher_is_better: bool,
}
