//! The arithmetic of retrieval statistics: how far two rankings, samples or distributions are apart, how sure that is,
//! and which part of it belongs to whom.
//!
//! Pure functions of their arguments. What is absent is the point: no clock, no file, no network, no global state and
//! no randomness that was not passed in as a `seed`. The same input gives the same bits, on every run; nothing iterates
//! over a hash table. Nothing here knows what a verdict, a window or an event is, and no function answers a question it
//! has too little data for: it returns an [`Error`] that says what is wrong.
//!
//! `STATISTICS.md` beside this crate has one row per statistic: what it answers, formula, unit, assumptions, source.
//! Each module opens with the same in full.
//!
//! | question | modules |
//! | --- | --- |
//! | what is a ranking | [`ranking`], [`persistence`] |
//! | how far are two rankings apart | [`mod@rbo`], [`overlap`], [`kendall_top_k`](mod@kendall_top_k), [`footrule`], [`displacement`] |
//! | which document carries the distance | [`charge`] |
//! | do repeats of a query come from one distribution | [`mod@ranking_kernel`] |
//! | how far are answers to similar questions apart | [`variogram`] |
//! | how sure is a mean over queries | [`bootstrap`], [`student`] (few), [`relevance`] (paired test), [`permutation`] |
//! | since when does a series have another mean | [`mod@change_point`] |
//! | did a sample of scores change | [`ks`], [`cramer_von_mises`], [`mann_whitney`], [`wasserstein`], [`energy_distance`](mod@energy_distance), [`psi`] |
//! | how did matched scores change | [`hodges_lehmann`], [`affine_fit`](mod@affine_fit), [`correlation`] |
//! | did exposure or query mix change | [`mod@homogeneity`], [`k_majority`](mod@k_majority) (clusters), [`jensen_shannon`], [`hellinger`](mod@hellinger), [`total_variation`](mod@total_variation), [`g_test`](mod@g_test), [`gini`](mod@gini), [`kitagawa`](mod@kitagawa) |
//! | do outputs change with retrieval | [`newcombe`], [`mantel_haenszel`], [`correlation`], [`distance_correlation`](mod@distance_correlation) |
//! | how good is a ranking | [`relevance`] |
//! | many tests at once | [`holm`](mod@holm), [`benjamini_hochberg`](mod@benjamini_hochberg), [`e_bh`](mod@e_bh) |
//! | watching without end | [`betting`], [`e_detector`], [`cusum`] (for comparison) |

pub mod affine_fit;
pub mod benjamini_hochberg;
pub mod betting;
pub mod bootstrap;
pub mod change_point;
pub mod charge;
pub mod correlation;
pub mod cramer_von_mises;
pub mod cusum;
pub mod displacement;
pub mod distance_correlation;
pub mod e_bh;
pub mod e_detector;
mod ecdf;
pub mod energy_distance;
pub mod error;
pub mod footrule;
pub mod g_test;
pub mod gini;
pub mod hellinger;
pub mod hodges_lehmann;
pub mod holm;
pub mod homogeneity;
pub mod jensen_shannon;
pub mod k_majority;
pub mod kendall_top_k;
pub mod kitagawa;
mod kolmogorov;
pub mod ks;
pub mod label_split;
pub mod mann_whitney;
pub mod mantel_haenszel;
mod mass;
pub mod newcombe;
mod normal;
pub mod overlap;
pub mod permutation;
pub mod persistence;
pub mod psi;
pub mod ranking;
pub mod ranking_kernel;
pub mod rbo;
pub mod relevance;
mod sample;
pub mod student;
pub mod total_variation;
pub mod variogram;
pub mod wasserstein;

pub use affine_fit::{AffineFit, affine_fit};
pub use benjamini_hochberg::benjamini_hochberg;
pub use betting::{BettingProcess, Bettor};
pub use bootstrap::{BootstrapMean, Resampling, bootstrap_mean};
pub use change_point::{ChangePoint, change_point};
pub use charge::{ChargeAccount, charges, truncated_distance};
pub use correlation::{kendall_tau_b, spearman, spearman_permutation_test};
pub use cramer_von_mises::cramer_von_mises_two_sample;
pub use cusum::Cusum;
pub use displacement::{Displacement, displacements};
pub use distance_correlation::{distance_correlation, distance_correlation_test};
pub use e_bh::e_bh;
pub use e_detector::EDetector;
pub use energy_distance::energy_distance;
pub use error::{Error, Result};
pub use footrule::footrule_top_k;
pub use g_test::{GTest, g_test};
pub use gini::gini;
pub use hellinger::hellinger;
pub use hodges_lehmann::{hodges_lehmann_pseudo_median, hodges_lehmann_shift};
pub use holm::holm;
pub use homogeneity::{Homogeneity, homogeneity, resolvable_categories};
pub use jensen_shannon::jensen_shannon_distance;
pub use k_majority::{k_majority, nearest};
pub use kendall_top_k::{TopKDistance, kendall_top_k};
pub use kitagawa::{Decomposition, Strata, kitagawa};
pub use ks::{KsMethod, TestResult, ks_two_sample};
pub use label_split::{Labelled, label_split_test};
pub use mann_whitney::mann_whitney_u;
pub use mantel_haenszel::{Interval, TwoByTwo, mantel_haenszel_odds_ratio, mantel_haenszel_risk_difference};
pub use newcombe::{Proportion, risk_difference_newcombe, wilson_interval};
pub use overlap::{jaccard, jaccard_at, overlap_at};
pub use permutation::PermutationTest;
pub use persistence::Persistence;
pub use psi::population_stability_index;
pub use ranking::{Ranking, closest_orders};
pub use ranking_kernel::{KernelStratum, excess_permutation_test, mmd_permutation_test, mmd2_unbiased, ranking_kernel};
pub use rbo::{RboBounds, rbo, rbo_bounds, rbo_min};
pub use relevance::{ndcg_at, paired_randomisation_test, recall_at, reciprocal_rank};
pub use student::student_mean;
pub use total_variation::total_variation;
pub use variogram::Variogram;
pub use wasserstein::wasserstein_1;
