//! Percentile bootstrap of a (weighted) mean over clusters.
//!
//! ```text
//! mean = sum_i w_i v_i / sum_i w_i          resample: draw n clusters with replacement, take the mean again
//! [low, high] = quantiles (1 -+ confidence)/2 of the resampled means
//! p_value     = (1 + #{resampled mean <= threshold}) / (1 + B)         for "the mean is at most the threshold"
//! ```
//!
//! One value per cluster (a query, say), never per event: events of one query depend on each other. The p-value inverts
//! the interval, so it is below `(1 - confidence)/2` about when `low` exceeds the threshold. Assumes independent
//! clusters of finite variance; with fewer than about 20 the interval is too short.
//!
//! Unit: that of the values. Bounds: `low` and `high` lie between the smallest and the largest value; the p-value in
//! (0, 1]. Errors: `Empty`, `NonFinite`, `LengthMismatch`, `TooFew` (under 2 values, no resamples), `OutOfRange`
//! (confidence outside (0, 1), a negative weight), `Degenerate` (all weights 0).
//!
//! Every resample costs `n` draws of 32 bits, filled in bulk; 100,000 values and 2,000 resamples take about a second on
//! one core of an optimised build. Source: Efron 1979 (Ann. Stat. 7); Davison & Hinkley 1997, sections 4.4 and 5.3.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::sample::{quantile, require_between, require_count, require_finite, require_same_length, total_mass};
use crate::{Error, Result};

/// Draws fetched from the generator at a time.
const CHUNK: usize = 1_024;

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    /// Coverage of the two-sided interval, in (0, 1).
    pub confidence: f64,
    /// `B`.
    pub resamples: u32,
    /// The same seed gives the same interval.
    pub seed: u64,
}

/// A mean with its percentile interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BootstrapMean {
    /// The mean of the sample itself.
    pub estimate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// One-sided: small if the mean is above the threshold.
    pub p_value: f64,
}

/// Mean of one value per cluster, weighted equally unless `weights` says otherwise, tested against `threshold`.
pub fn bootstrap_mean(
    values: &[f64],
    weights: Option<&[f64]>,
    threshold: f64,
    resampling: Resampling,
) -> Result<BootstrapMean> {
    require_finite("values", values)?;
    require_finite("threshold", &[threshold])?;
    require_count("values", values.len(), 2)?;
    require_between("confidence", resampling.confidence, 0.0, 1.0, "(0, 1)")?;
    require_count("resamples", resampling.resamples as usize, 1)?;
    let Ok(length) = u32::try_from(values.len()) else {
        return Err(Error::OutOfRange { what: "number of values", value: values.len() as f64, range: "[2, 2^32)" });
    };
    let clusters: Vec<(f64, f64)> = match weights {
        Some(weights) => {
            require_same_length(("values", values.len()), ("weights", weights.len()))?;
            total_mass("weights", weights)?;
            values.iter().zip(weights).map(|(value, weight)| (value * weight, *weight)).collect()
        }
        None => values.iter().map(|value| (*value, 1.0)).collect(),
    };
    let mean = |(sum, weight): (f64, f64)| sum / weight;
    let estimate = mean(clusters.iter().fold((0.0, 0.0), |sums, cluster| (sums.0 + cluster.0, sums.1 + cluster.1)));

    let mut rng = ChaCha8Rng::seed_from_u64(resampling.seed);
    let mut means: Vec<f64> = (0..resampling.resamples)
        .map(|_| {
            let sums = resample(&clusters, length, &mut rng);
            // A resample of clusters without weight says nothing; the sample's own mean keeps it neutral.
            if sums.1 > 0.0 { mean(sums) } else { estimate }
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let not_above = means.partition_point(|&resampled| resampled <= threshold);
    let tail = (1.0 - resampling.confidence) / 2.0;
    Ok(BootstrapMean {
        estimate,
        low: quantile(&means, tail),
        high: quantile(&means, 1.0 - tail),
        p_value: (1 + not_above) as f64 / (1.0 + f64::from(resampling.resamples)),
    })
}

/// Sums over `length` clusters drawn with replacement.
///
/// An index is the upper half of `draw * length` (Lemire 2019) without its rejection step: no cluster is likelier than
/// another by more than `length / 2^32`, far below the resolution of `B` resamples.
fn resample(clusters: &[(f64, f64)], length: u32, rng: &mut ChaCha8Rng) -> (f64, f64) {
    let mut bytes = [0_u8; 4 * CHUNK];
    let (mut sum, mut weight) = (0.0, 0.0);
    let mut left = clusters.len();
    while left > 0 {
        let draws = left.min(CHUNK);
        rng.fill_bytes(&mut bytes[..4 * draws]);
        for draw in bytes[..4 * draws].chunks_exact(4) {
            let draw = u32::from_le_bytes([draw[0], draw[1], draw[2], draw[3]]);
            let index = (u64::from(draw) * u64::from(length)) >> 32;
            let cluster = clusters[index as usize];
            sum += cluster.0;
            weight += cluster.1;
        }
        left -= draws;
    }
    (sum, weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESAMPLING: Resampling = Resampling { confidence: 0.95, resamples: 2_000, seed: 11 };

    fn check(values: &[f64], weights: Option<&[f64]>, threshold: f64) -> BootstrapMean {
        let mean = bootstrap_mean(values, weights, threshold, RESAMPLING).unwrap();
        assert!(mean.low <= mean.high && mean.p_value > 0.0 && mean.p_value <= 1.0);
        assert_eq!(mean, bootstrap_mean(values, weights, threshold, RESAMPLING).unwrap());
        mean
    }

    #[test]
    fn the_interval_is_about_as_wide_as_the_normal_one() {
        let values: Vec<f64> = (0..400).map(f64::from).collect();
        let mean = check(&values, None, 150.0);
        let standard_error = 400.0 / 12.0_f64.sqrt() / 20.0;
        assert!((mean.estimate - 199.5).abs() < 1e-9);
        assert!((mean.low - (199.5 - 1.96 * standard_error)).abs() < 1.0, "{mean:?}");
        assert!((mean.high - (199.5 + 1.96 * standard_error)).abs() < 1.0, "{mean:?}");
        assert!(mean.p_value < 0.001);
    }

    #[test]
    fn a_threshold_at_the_mean_is_not_exceeded() {
        let values: Vec<f64> = (0..101).map(f64::from).collect();
        assert!(check(&values, None, 50.0).p_value > 0.4);
    }

    #[test]
    fn values_without_variation_have_an_interval_without_width() {
        let mean = check(&[0.25; 30], None, 0.02);
        assert!((mean.high - mean.low).abs() < 1e-12 && (mean.p_value - 1.0 / 2_001.0).abs() < 1e-12);
    }

    #[test]
    fn a_cluster_without_weight_does_not_move_the_mean() {
        assert!((check(&[1.0, 1.0, 9.0], Some(&[1.0, 2.0, 0.0]), 0.0).estimate - 1.0).abs() < 1e-12);
    }

    #[test]
    fn unusable_input_is_refused() {
        assert!(matches!(bootstrap_mean(&[], None, 0.0, RESAMPLING), Err(Error::Empty { .. })));
        assert!(matches!(bootstrap_mean(&[1.0], None, 0.0, RESAMPLING), Err(Error::TooFew { .. })));
        assert!(matches!(
            bootstrap_mean(&[1.0, 2.0], Some(&[0.0, 0.0]), 0.0, RESAMPLING),
            Err(Error::Degenerate { .. })
        ));
    }
}
