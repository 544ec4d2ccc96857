use serde::Serialize;

use super::Judgement;

/// Outputs of matched queries. One pair of operations stands for each query.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct OutputReport {
    /// Whether outputs drifted.
    pub verdict: Judgement,
    /// Queries with an output in both windows.
    pub matched_queries: usize,
    /// How many would be enough for a verdict, when there are too few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries_needed: Option<usize>,
    /// The smallest p-value of its measures, corrected for their number (Holm).
    pub p_value: Option<f64>,
    /// Share of queries whose output changed.
    pub changed: Option<f64>,
    /// Share of changed outputs where context, model and prompt are the same.
    pub base_rate: Option<f64>,
    /// Share of changed outputs where the context differs, and model and prompt are the same.
    pub exposed_rate: Option<f64>,
    /// `exposed_rate - base_rate`.
    pub risk_difference: Option<f64>,
    /// Its interval (Newcombe).
    pub interval: Option<[f64; 2]>,
    /// The same across strata of model, prompt and segment (Mantel–Haenszel).
    pub stratified: Option<StratifiedDifference>,
    /// The part of the changes among queries with another context that goes beyond the base rate.
    pub attributable_fraction: Option<f64>,
    /// What the change goes with, if there is one.
    pub because: Option<Because>,
    /// Does more change of context go with more change of output?
    pub dose_response: Option<DoseResponse>,
    /// What changed besides, over all queries.
    pub what_changed: Vec<ChangedBy>,
    /// Each way in which an output can change, and its verdict.
    pub measures: Vec<OutputMeasure>,
    /// Citations in the current window.
    pub grounding: Grounding,
}

/// What a change of outputs goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// Other context.
    Retrieval,
    /// Another model.
    Model,
    /// Another prompt.
    Prompt,
    /// Several of these at once.
    Several,
    /// None of these.
    Unknown,
}

impl Because {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retrieval => "retrieval",
            Self::Model => "model",
            Self::Prompt => "prompt",
            Self::Several => "several",
            Self::Unknown => "unknown",
        }
    }
}

/// A risk difference across strata.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StratifiedDifference {
    /// Mantel–Haenszel risk difference.
    pub risk_difference: f64,
    /// Its interval.
    pub interval: [f64; 2],
    /// How many strata held both exposed and unexposed queries.
    pub strata: usize,
}

/// Association between the distance of contexts (1 - RBO) and the change of outputs, model and prompt being the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DoseResponse {
    /// How many queries it rests on.
    pub queries: usize,
    /// Spearman's rank correlation.
    pub spearman: f64,
    /// Its permutation p-value.
    pub spearman_p_value: f64,
    /// Distance correlation, which sees more than monotone association.
    pub distance_correlation: f64,
    /// Its permutation p-value.
    pub distance_correlation_p_value: f64,
}

/// Which of context, model and prompt differ within a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Factors {
    /// Only the context.
    Retrieval,
    /// Only the model.
    Model,
    /// Only the prompt.
    Prompt,
    /// More than one.
    Several,
    /// None.
    None,
}

impl Factors {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retrieval => "retrieval",
            Self::Model => "model",
            Self::Prompt => "prompt",
            Self::Several => "several",
            Self::None => "none",
        }
    }
}

/// How many outputs changed together with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ChangedBy {
    /// What differs.
    pub factors: Factors,
    /// Queries for which just this differs.
    pub queries: usize,
    /// Those of them whose output changed.
    pub changed: usize,
}

/// One way in which outputs can change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputMeasure {
    /// `hash`, `embedding`, `refusal`, `citations`, or `score:NAME`.
    pub measure: String,
    /// Whether it drifted.
    pub verdict: Judgement,
    /// Queries it rests on.
    pub queries: usize,
    /// Mean in the reference (for `hash`, `embedding` and `citations`: mean distance of repeats, the noise floor).
    pub reference: f64,
    /// Mean in the current window (for these three: mean distance to the reference).
    pub current: f64,
    /// Their difference over queries.
    pub effect: f64,
    /// Its bootstrap interval over queries.
    pub interval: [f64; 2],
    /// An effect up to this is of no practical significance.
    pub threshold: f64,
    /// How likely an effect like this is by chance.
    pub p_value: f64,
    /// The same among all measures of outputs (Holm).
    pub adjusted_p_value: f64,
}

impl OutputMeasure {
    /// How large the effect is, and how large at least. A value may go either way; a distance can only exceed the floor of
    /// repeats, and outputs that vary less than before are no drift.
    pub(crate) fn lead(&self) -> (f64, f64) {
        let [low, high] = self.interval;
        let either_way = self.measure == "refusal" || self.measure.starts_with("score:");
        if either_way && self.effect < 0.0 { (-self.effect, -high) } else { (self.effect, low) }
    }

    /// How large the effect is at most, in the direction of [`OutputMeasure::lead`].
    pub(crate) fn reach(&self) -> f64 {
        let [low, high] = self.interval;
        if self.lead().0 > self.effect { -low } else { high }
    }
}

/// Whether outputs cite what was retrieved. Shares are of what the sampled operations of the current window hold.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Grounding {
    /// Citations.
    pub citations: u64,
    /// Those of documents that the operation did not retrieve.
    pub not_retrieved: u64,
    /// Share of retrieved documents that were cited, over operations that cite anything.
    pub cited_share: Option<f64>,
}
