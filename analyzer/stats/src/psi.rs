//! Population stability index over quantile bins of the reference.
//!
//! ```text
//! PSI = sum_b (q_b - p_b) ln(q_b / p_b),     p_b = (count_b + 1/2) / (n + bins/2) in the reference, q_b likewise
//! ```
//!
//! Our choices where the literature leaves them open: bin edges are the reference's quantiles at `1/bins ..` with
//! linear interpolation, a value on an edge belongs to the upper bin, the outer bins are unbounded, and half an
//! observation is added to every bin of both samples, so that no bin is empty. Equal edges (many equal values) leave
//! bins empty in both samples, which contribute next to nothing.
//!
//! Unit: nats. Bounds: [0, inf); folklore calls 0.1 small and 0.25 large, whatever the sample size, so no verdict rests
//! on it. Errors: `Empty`, `NonFinite`, `TooFew` (under 2 bins). Source: Lewis 1994, *An Introduction to Credit
//! Scoring*.

use crate::Result;
use crate::sample::{quantile, require_count, require_finite, sorted};

/// Population stability index of `current` against `reference`.
pub fn population_stability_index(reference: &[f64], current: &[f64], bins: usize) -> Result<f64> {
    require_count("bins", bins, 2)?;
    let reference = sorted("reference", reference)?;
    require_finite("current", current)?;
    let edges: Vec<f64> = (1..bins).map(|bin| quantile(&reference, bin as f64 / bins as f64)).collect();
    let shares = |values: &[f64]| -> Vec<f64> {
        let mut counts = vec![0.5; bins];
        for value in values {
            counts[edges.partition_point(|edge| edge <= value)] += 1.0;
        }
        let total: f64 = counts.iter().sum();
        counts.iter().map(|count| count / total).collect()
    };
    Ok(shares(&reference).iter().zip(shares(current)).map(|(p, q)| (q - p) * (q / p).ln()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_stable_against_itself() {
        let sample: Vec<f64> = (0..100).map(f64::from).collect();
        assert!(population_stability_index(&sample, &sample, 10).unwrap().abs() < 1e-15);
    }

    #[test]
    fn a_reference_of_equal_values_has_bins_all_the_same() {
        assert!(population_stability_index(&[0.0; 40], &[1.0; 40], 10).unwrap().abs() < 1e-12);
        assert!(population_stability_index(&[0.0; 40], &[-1.0; 40], 10).unwrap() > 1.0);
    }
}
