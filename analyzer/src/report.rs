//! The report of a comparison, in the shape of the contract.

mod integrity;
mod multiplicity;
mod neighbours;
mod outputs;
mod quality;
mod segments;
mod since;
mod stages;
mod symptoms;
mod traffic;

use std::collections::BTreeMap;

use serde::Serialize;
use tidemark_schema::{CorpusName, ScoreKind, Timestamp};

use crate::causes::Cause;

pub use integrity::{IntegrityKind, IntegrityReport};
pub use multiplicity::{MultiplicityReport, TestReport};
pub use neighbours::{NeighbourBasis, NeighboursReport};
pub use outputs::{
    Because, ChangedBy, DoseResponse, Factors, Grounding, OutputMeasure, OutputReport, StratifiedDifference,
};
pub use quality::{QualityMeasure, QualityReport, QualityVerdict};
pub use segments::SegmentReport;
pub use since::Since;
pub use stages::{StageName, StageReport};
pub use symptoms::{SymptomKind, SymptomReport};
pub use traffic::{ClusterShare, ExposureReport, MarginalReport, MixReport, TrafficBasis, TrafficReport, ValueShare};

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Derived from corpus, windows and table version: the same comparison has the same id.
    pub id: String,
    /// The corpus.
    pub corpus: CorpusName,
    /// The part of the traffic that was compared, if not all of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub segment: BTreeMap<String, String>,
    /// When the report was made.
    pub created_at: Timestamp,
    /// The window that is compared with.
    pub reference: WindowReport,
    /// The window that is judged.
    pub current: WindowReport,
    /// The overall verdict: that on retrieval, its scores and integrity together, which the exit code follows by default.
    pub verdict: Judgement,
    /// What a user of the service would notice, largest first.
    pub symptoms: Vec<SymptomReport>,
    /// From when on retrieval differs; none where it does not.
    pub since: Option<Since>,
    /// Does the same query get different context?
    pub retrieval: RetrievalReport,
    /// Was the change for the better?
    pub quality: QualityReport,
    /// Is the context better or worse, where people judged it? Nothing where nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relevance: Option<RelevanceReport>,
    /// Did users ask different things?
    pub traffic: TrafficReport,
    /// Did the answers change, and with the retrieval?
    pub outputs: OutputReport,
    /// Which documents were shown, and how unevenly.
    pub exposure: ExposureReport,
    /// Why, most important first.
    pub causes: Vec<CauseReport>,
    /// What contradicts what was declared.
    pub integrity: Vec<IntegrityReport>,
    /// The parts of the traffic, those that changed first.
    pub segments: Vec<SegmentReport>,
    /// The stages of the pipelines in their order, each compared with itself alone.
    pub stages: Vec<StageReport>,
    /// The queries that changed most; none that did not change.
    pub queries: Vec<QueryReport>,
    /// How the tests of this report were corrected for being several.
    pub multiplicity: MultiplicityReport,
    /// What a reader should know besides: assumptions, and what would make the report better.
    pub notes: Vec<String>,
}

/// How good the answers are, over the queries that both windows asked and for which a relevant document is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelevanceReport {
    /// How many queries.
    pub queries: usize,
    /// Each measure of them.
    pub measures: Vec<MeasureReport>,
}

/// One measure: the mean over the queries, between 0 and 1, larger is better.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasureReport {
    /// `ndcg_at_10`, `recall_at_10` or `reciprocal_rank`.
    pub name: &'static str,
    /// In the reference.
    pub reference: f64,
    /// In the current window.
    pub current: f64,
    /// Of the paired randomisation test of their difference; not corrected for being one of three.
    pub p_value: f64,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// The effect does not exceed what matters in practice.
    Stable,
    /// The effect exceeds what matters in practice, and chance does not explain it.
    Drift,
    /// Too little was seen to say either.
    #[default]
    InsufficientEvidence,
}

impl Judgement {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Drift => "drift",
            Self::InsufficientEvidence => "insufficient_evidence",
        }
    }
}

/// One window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WindowReport {
    /// How it was asked for.
    pub selector: String,
    /// Its first event.
    pub from: Option<Timestamp>,
    /// Its last event.
    pub to: Option<Timestamp>,
    /// How many events it holds.
    pub events: u64,
    /// How many operations: retries of one count once.
    pub operations: u64,
    /// How many different queries.
    pub queries: usize,
    /// Which versions of the corpus its events declare.
    pub corpus_versions: Vec<String>,
    /// The version of the table of retrievals that was read.
    pub table_version: u64,
    /// The version of the table of outputs that was read.
    pub outputs_table_version: u64,
    /// The share of its queries that the verdicts rest on: below 1 only if there were more than a window keeps.
    pub queries_kept: f64,
}

/// Which repeats a noise floor is that of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FloorBasis {
    /// Those of the reference.
    Reference,
    /// Those of the current window: the reference repeats too few questions.
    Current,
    /// None: too few questions repeat in either window.
    #[default]
    Unknown,
}

/// Rankings and scores of matched queries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetrievalReport {
    /// Whether rankings drifted.
    pub verdict: Judgement,
    /// Questions that both windows asked, of one stage and within the same limits each.
    pub matched_queries: usize,
    /// The share of the current window's operations whose questions are compared; nothing is claimed of the others.
    pub coverage: Option<f64>,
    /// Where too few questions are asked in both windows: how similar ones were compared in their place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<NeighboursReport>,
    /// Those of them, or groups of similar ones, that the effect rests on: their noise floor is known.
    pub judged_queries: usize,
    /// With fewer matched queries there is no verdict on rankings, scores or outputs.
    pub queries_min: usize,
    /// How many would be enough for a verdict, when there are too few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries_needed: Option<usize>,
    /// 1 minus the mean distance: rank-biased overlap as deep as the longer answer, which sees answers that were cut; 1 is
    /// the same.
    pub mean_overlap: Option<f64>,
    /// Mean extrapolated rank-biased overlap, persistence 0.9; 1 is the same, or the same as far as both go.
    pub mean_rbo: Option<f64>,
    /// Mean Jaccard similarity of the sets; 1 is the same.
    pub mean_jaccard: Option<f64>,
    /// Mean Kendall similarity of the top-k lists (penalty 1/2, normalised); 1 is the same.
    pub mean_kendall_top_k: Option<f64>,
    /// Which repeats the noise floor is that of.
    pub floor_basis: FloorBasis,
    /// Mean distance between repeats of a question; none where nothing repeats.
    pub noise_floor: Option<f64>,
    /// The same inside the current window.
    pub current_noise_floor: Option<f64>,
    /// How much farther current answers are from the reference's than the reference's are from each other. Where the noise
    /// floor is unknown, the part of the distance that no noise can make: it is at least so much.
    pub excess_change: Option<f64>,
    /// Its bootstrap interval over queries.
    pub interval: Option<[f64; 2]>,
    /// The level of the interval.
    pub confidence: f64,
    /// An excess change up to this is of no practical significance.
    pub threshold: f64,
    /// How likely a change like this is by chance.
    pub p_value: Option<f64>,
    /// Which test gave the p-value: `kernel_two_sample` or `bootstrap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<&'static str>,
    /// Scores of unchanged documents.
    pub scores: ScoreReport,
}

/// Scores of unchanged documents for matched queries.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ScoreReport {
    /// Whether scores drifted.
    pub verdict: Judgement,
    /// Queries with a common unchanged document.
    pub queries: usize,
    /// Hodges–Lehmann shift, in the unit of the scores.
    pub shift: Option<f64>,
    /// Slope of current on reference scores; 1 is the same.
    pub scale: Option<f64>,
    /// Mean rank correlation (tau-b) of common documents; 1 is the same order.
    pub order_agreement: Option<f64>,
    /// Mean excess difference, in standard deviations of the reference's scores.
    pub effect: Option<f64>,
    /// Its bootstrap interval over queries.
    pub interval: Option<[f64; 2]>,
    /// An effect up to this is of no practical significance, in the same unit.
    pub threshold: f64,
    /// How likely a change like this is by chance.
    pub p_value: Option<f64>,
    /// What the scores mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ScoreKind>,
}

/// What a cause affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Affects {
    /// Which documents are returned, and in which order.
    Ranking,
    /// The scores they are returned with.
    Scores,
    /// What is asked.
    Traffic,
    /// The names of documents.
    Identity,
}

impl Affects {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ranking => "ranking",
            Self::Scores => "scores",
            Self::Traffic => "traffic",
            Self::Identity => "identity",
        }
    }
}

/// One cause of a change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CauseReport {
    /// Which.
    pub cause: Cause,
    /// What it affects.
    pub affects: Affects,
    /// Its part of the change in what it affects; these add up to 1.
    pub share: f64,
    /// Whether events or registry said that most of it would happen.
    pub declared: bool,
    /// The part of it that they said would happen, between 0 and 1.
    pub declared_share: f64,
    /// What was counted.
    pub evidence: String,
    /// From when on it acts, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// One query that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryReport {
    /// Its fingerprint.
    pub fingerprint: String,
    /// Mean distance between its answers in the two windows, beyond that of its repeats where these are known.
    pub excess_change: f64,
    /// Mean overlap between its answers in the two windows; 1 is the same.
    pub rbo: f64,
    /// A trace of it in the reference.
    pub reference_trace: Option<String>,
    /// A trace of it in the current window.
    pub current_trace: Option<String>,
}
