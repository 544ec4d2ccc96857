use serde::Serialize;
use tidemark_schema::ScoreKind;

use super::Judgement;

/// What names a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageName {
    /// The retriever's name, if events carry it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retriever: Option<String>,
    /// Its kind, if events carry it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What its scores mean.
    pub score_kind: ScoreKind,
}

impl StageName {
    /// What it is called in a report.
    pub fn as_str(&self) -> &str {
        self.retriever.as_deref().or(self.kind.as_deref()).unwrap_or("the retriever")
    }
}

/// One stage of a pipeline, compared with itself alone.
#[expect(clippy::struct_excessive_bools, reason = "each says of one thing whether it holds")]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageReport {
    /// Which.
    pub stage: StageName,
    /// Its place among the stages of one operation, from 1.
    pub position: usize,
    /// Whether the model saw its answers: the report's verdict rests on these.
    pub last: bool,
    /// Whether the reference recorded it.
    pub recorded_in_reference: bool,
    /// Whether the current window recorded it.
    pub recorded_in_current: bool,
    /// Which part of the operations of its pipeline asks it, in the reference and in the current window, from 0 to 1.
    pub operations: [f64; 2],
    /// The stage that took its place in the current window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<StageName>,
    /// Whether its rankings drifted; never where only one window recorded it. A change that hardly matters by its own measure
    /// counts all the same where a stage that follows drifted, and lost or gained most of its documents through this one.
    pub verdict: Judgement,
    /// Units that both windows asked of it.
    pub matched_queries: usize,
    /// How much farther current answers are from the reference's than those are from each other.
    pub excess_change: Option<f64>,
    /// Its interval.
    pub interval: Option<[f64; 2]>,
    /// Mean distance of repeats; none where it is unknown.
    pub noise_floor: Option<f64>,
    /// Whether it changed and follows no stage that did.
    pub first_to_change: bool,
}
