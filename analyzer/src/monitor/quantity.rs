use std::fmt;

use serde::{Deserialize, Serialize};

/// What a monitor watches. Every observation lies in `[0, 1]`, and larger is worse.
///
/// One observation is one *operation*, its last attempt: retries repeat a value, and a repeated value is no evidence.
/// The null mean is learnt from the same observations of the reference window ([`super::NullMean::learn`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// How far the ranking of a probe or a matched query is from its baseline ranking, `1 - RBO`: the mean over one
    /// round of all probes, or for matched traffic what exceeds that query's own noise floor. Null mean: the mean
    /// distance inside the reference, which is 0 only where nothing repeats differently.
    RankDistance,
    /// How strange a retrieval's top score is among the reference's ([`super::Calibration::strangeness`]). Null mean:
    /// 1/2 for fresh calibration scores at every look, but not for one fixed set of them; so it is learnt from a half
    /// of the reference that the other half calibrates.
    ScoreStrangeness,
    /// 1 for a retrieval without results, else 0. Null mean: the reference's rate.
    EmptyResults,
    /// 1 for a retrieval that broke a bound it was asked to keep (top k, context, age, scope), else 0. Null mean: the
    /// reference's rate.
    BoundViolations,
    /// The share of a retrieval's results that its corpus version does not list; no observation if there were no
    /// results. Null mean: the reference's mean share.
    UnregisteredDocuments,
    /// The share of a retrieval's results that are older than was asked for; no observation if there were no results.
    /// Null mean: the reference's mean share.
    StaleDocuments,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RankDistance,
        Self::ScoreStrangeness,
        Self::EmptyResults,
        Self::BoundViolations,
        Self::UnregisteredDocuments,
        Self::StaleDocuments,
    ];

    /// The name as serialised.
    pub fn name(self) -> &'static str {
        match self {
            Self::RankDistance => "rank_distance",
            Self::ScoreStrangeness => "score_strangeness",
            Self::EmptyResults => "empty_results",
            Self::BoundViolations => "bound_violations",
            Self::UnregisteredDocuments => "unregistered_documents",
            Self::StaleDocuments => "stale_documents",
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
