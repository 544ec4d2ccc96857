//! How far two counted distributions are apart beyond what two samples of one distribution show, with an interval.
//!
//! ```text
//! D      = JSD^2 of the two windows' shares (base 2)                        a divergence, in bits
//! E0 D   = (c - 1) / (8 ln 2) (1/n + 1/m)        sd0 D = E0 D sqrt(2 / (c - 1))    samples of one distribution
//! excess = D - E0 D
//! var D  = [ Var_p(log2 p/s) / n + Var_q(log2 q/s) / m ] / 4,   s = (p + q)/2      samples of two distributions
//! excess -+ z sqrt(var D + sd0^2 D)                                         p-value: G-test
//! ```
//!
//! `c` categories that occur at all, `n` and `m` counts of the windows. Under equality `8 ln 2 D / (1/n + 1/m)` is
//! chi-squared with `c - 1` degrees of freedom, hence the first line; away from it `D` is asymptotically normal (delta
//! method). Both variances are added, which is cautious near equality. All is reported as distances: square roots, 0 where
//! the divergence is negative. Unit: root bits, in [0, 1]. Good where expected counts are about 5 or more; assumes
//! independent counts. Errors: those of [`g_test`](crate::g_test()), and `OutOfRange` (confidence).
//! Source: Lin 1991; Grosse et al. 2002 (Phys. Rev. E 65, 041905), equations 18 to 22 for the distribution.

use std::f64::consts::LN_2;

use crate::normal::critical_value;
use crate::sample::require_between;
use crate::{Result, g_test, jensen_shannon_distance};

/// Two counted distributions compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Homogeneity {
    /// Jensen–Shannon distance of the samples.
    pub distance: f64,
    /// The distance that two samples of these sizes from one distribution are expected to show.
    pub floor: f64,
    /// Root of the divergence beyond the floor's.
    pub excess: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// G-test of equality.
    pub p_value: f64,
    /// Categories that occur.
    pub categories: usize,
}

/// Compares counts of the same categories, in the same order.
pub fn homogeneity(reference: &[u64], current: &[u64], confidence: f64) -> Result<Homogeneity> {
    require_between("confidence", confidence, 0.0, 1.0, "(0, 1)")?;
    let test = g_test(reference, current)?;
    let masses = |counts: &[u64]| counts.iter().map(|&count| count as f64).collect::<Vec<_>>();
    let (before, after) = (masses(reference), masses(current));
    let distance = jensen_shannon_distance(&before, &after)?;
    let (n, m): (f64, f64) = (before.iter().sum(), after.iter().sum());
    let divergence = distance * distance;
    let expected = expected_divergence(test.df + 1, n, m);
    let deviation = if test.df > 0 { expected * (2.0 / test.df as f64).sqrt() } else { 0.0 };
    let sampled =
        (information_variance(&before, &after, n, m) / n + information_variance(&after, &before, m, n) / m) / 4.0;
    let margin = critical_value(confidence) * (sampled + deviation * deviation).sqrt();
    let excess = divergence - expected;
    let root = |divergence: f64| divergence.clamp(0.0, 1.0).sqrt();
    Ok(Homogeneity {
        distance,
        floor: root(expected),
        excess: root(excess),
        low: root(excess - margin),
        high: root(excess + margin),
        p_value: test.p_value,
        categories: test.df + 1,
    })
}

/// The divergence that samples of sizes `n` and `m` from one distribution over `categories` are expected to show, in bits.
fn expected_divergence(categories: usize, n: f64, m: f64) -> f64 {
    categories.saturating_sub(1) as f64 / (8.0 * LN_2) * (1.0 / n + 1.0 / m)
}

/// How many categories the counts can tell apart, if the deviation of the divergence by chance alone is to stay below a
/// half of `divergence`: `sqrt(2 (c - 1)) / (8 ln 2) (1/n + 1/m) <= divergence / 2`. At least 2.
pub fn resolvable_categories(n: u64, m: u64, divergence: f64) -> usize {
    if n == 0 || m == 0 {
        return 2;
    }
    let root = divergence / 2.0 * 8.0 * LN_2 / (1.0 / n as f64 + 1.0 / m as f64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let categories = (root * root / 2.0) as usize + 1;
    categories.max(2)
}

/// Variance, over the categories of `p`, of `log2(p / s)` with `s` the mean of both distributions.
fn information_variance(p: &[f64], q: &[f64], n: f64, m: f64) -> f64 {
    let information = p.iter().zip(q).filter(|(p, _)| **p > 0.0).map(|(p, q)| {
        let (p, q) = (p / n, q / m);
        (p, (p / f64::midpoint(p, q)).log2())
    });
    let (first, second) = information
        .fold((0.0, 0.0), |(first, second), (share, bits)| (first + share * bits, second + share * bits * bits));
    (second - first * first).max(0.0)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn sample(shares: &[f64], n: usize, rng: &mut ChaCha8Rng) -> Vec<u64> {
        let mut counts = vec![0; shares.len()];
        for _ in 0..n {
            let mut draw = f64::from(rng.next_u32()) / 2.0_f64.powi(32);
            let category = shares.iter().position(|share| {
                draw -= share;
                draw < 0.0
            });
            counts[category.unwrap_or(shares.len() - 1)] += 1;
        }
        counts
    }

    #[test]
    fn samples_of_one_distribution_show_the_floor_and_seldom_more() {
        let shares: Vec<f64> = (0..16).map(|i| (1.0 + f64::from(i)) / 136.0).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut sum, mut above, runs) = (0.0, 0, 400);
        for _ in 0..runs {
            let found =
                homogeneity(&sample(&shares, 1_200, &mut rng), &sample(&shares, 1_200, &mut rng), 0.95).unwrap();
            sum += found.distance * found.distance / (found.floor * found.floor);
            above += usize::from(found.low > 0.0);
        }
        assert!((sum / f64::from(runs) - 1.0).abs() < 0.1, "{}", sum / f64::from(runs));
        assert!(above <= 20, "{above} of {runs} intervals exclude 0");
    }

    #[test]
    fn the_interval_covers_the_distance_of_two_distributions() {
        let (p, q) = ([0.4, 0.3, 0.2, 0.1], [0.2, 0.3, 0.2, 0.3]);
        let truth = jensen_shannon_distance(&p, &q).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let (mut covered, runs) = (0, 400);
        for _ in 0..runs {
            let found = homogeneity(&sample(&p, 800, &mut rng), &sample(&q, 600, &mut rng), 0.95).unwrap();
            covered += usize::from(found.low <= truth && truth <= found.high);
        }
        assert!((370..=400).contains(&covered), "{covered} of {runs}");
    }

    #[test]
    fn one_category_shows_nothing() {
        let found = homogeneity(&[10], &[20], 0.95).unwrap();
        assert_eq!((found.distance, found.floor, found.excess, found.p_value), (0.0, 0.0, 0.0, 1.0));
    }

    #[test]
    fn more_counts_tell_more_categories_apart() {
        assert_eq!(resolvable_categories(0, 10, 0.01), 2);
        assert_eq!(resolvable_categories(300, 300, 0.01), 9);
        assert_eq!(resolvable_categories(600, 600, 0.01), 35);
    }
}
