use serde::Serialize;

use super::Judgement;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TrafficReport {
    /// Whether users asked different things.
    pub verdict: Judgement,
    /// Operations in reference and current window (retries of one operation count once).
    pub operations: [u64; 2],
    /// With fewer operations in either window there is no verdict.
    pub operations_min: u64,
    /// How many operations per window would be enough for a verdict, when there are too few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations_needed: Option<u64>,
    /// Common part of the distributions over fingerprints, from 0 (nothing in common) to 1 (the same).
    pub fingerprint_overlap: Option<f64>,
    /// What `js_distance` is taken over.
    pub basis: TrafficBasis,
    /// How many classes of queries there are.
    pub classes: usize,
    /// Jensen–Shannon distance (base 2) between the two distributions over classes, from 0 to 1.
    pub js_distance: Option<f64>,
    /// The distance that two samples of these sizes from one distribution are expected to show.
    pub noise_floor: Option<f64>,
    /// The distance beyond the floor.
    pub excess_distance: Option<f64>,
    /// Its interval.
    pub interval: Option<[f64; 2]>,
    /// An excess distance up to this is of no practical significance.
    pub threshold: f64,
    /// How likely a difference like this is by chance (G-test of homogeneity).
    pub p_value: Option<f64>,
    /// Who asks: the mix of each key by which events tell traffic apart, those that moved most first.
    pub mixes: Vec<MixReport>,
    /// The classes whose share changed most.
    pub shifted: Vec<ClusterShare>,
    /// Measures of all answers, matched or not, and which part of their change is due to the mix of queries.
    pub marginals: Vec<MarginalReport>,
}

/// The mix of the values of one key in the operations of the windows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MixReport {
    /// The key: `tenant`, `locale` and the like.
    pub key: String,
    /// Jensen–Shannon distance (base 2) between the two mixes, beyond what samples of one mix would show.
    pub excess_distance: f64,
    /// Its interval.
    pub interval: [f64; 2],
    /// How likely a difference like this is by chance, among all keys (Holm).
    pub adjusted_p_value: f64,
    /// The values whose share moved most.
    pub shifted: Vec<ValueShare>,
}

/// A value and its shares of the operations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValueShare {
    /// The value.
    pub value: String,
    /// Its share of the reference's operations, between 0 and 1.
    pub reference_share: f64,
    /// Its share of the current window's operations.
    pub current_share: f64,
}

/// What classes of queries are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrafficBasis {
    /// Clusters of query embeddings or of `SimHash`es of their texts.
    QueryClusters,
    /// Fingerprints that were asked often enough to be counted, and all others as one class.
    #[default]
    Fingerprints,
}

impl TrafficBasis {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueryClusters => "query_clusters",
            Self::Fingerprints => "fingerprints",
        }
    }
}

/// A class of queries and its shares of the operations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterShare {
    /// The fingerprint in it that was asked most; none for the class of rare ones.
    pub example: Option<String>,
    /// Its share of the reference's operations, between 0 and 1.
    pub reference_share: f64,
    /// Its share of the current window's operations.
    pub current_share: f64,
}

/// A measure of all answers of a window, and the split of its change (Kitagawa): `mix + within = change`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MarginalReport {
    /// `top_score`, `mean_score`, `gap_1_2`, `gap_1_k` (in the unit of the scores) or `results` (documents).
    pub measure: &'static str,
    /// Its mean in the reference.
    pub reference: f64,
    /// Its mean in the current window.
    pub current: f64,
    /// The difference of the means.
    pub change: f64,
    /// The part that comes from other queries being asked.
    pub mix: f64,
    /// The part that comes from the same queries being answered differently.
    pub within: f64,
    /// Wasserstein-1 distance of the distributions, in standard deviations of the reference.
    pub wasserstein_1: Option<f64>,
    /// Population stability index over ten bins of the reference.
    pub psi: Option<f64>,
    /// Two-sample Kolmogorov–Smirnov test.
    pub ks_p_value: Option<f64>,
}

/// Which documents were shown, weighted by rank.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ExposureReport {
    /// Jensen–Shannon distance (base 2) between the windows' exposures, from 0 to 1. It follows the mix of queries too.
    pub js_distance: Option<f64>,
    /// How unevenly exposure is spread over the documents shown in the reference: 0 even, towards 1 on one.
    pub gini_reference: Option<f64>,
    /// The same in the current window.
    pub gini_current: Option<f64>,
    /// The share of exposure on documents that the reference did not show.
    pub first_seen_share: Option<f64>,
}
