//! Distance correlation: 0 exactly when two variables are independent, whatever the form of the dependence.
//!
//! ```text
//! dCov^2(x,y) = mean_{ij} A_ij B_ij,   A_ij = |x_i - x_j| minus row mean, minus column mean, plus grand mean; B from y
//! dCor        = sqrt(dCov^2(x,y) / sqrt(dCov^2(x,x) dCov^2(y,y)))
//! ```
//!
//! The V-statistic, biased upwards in small samples; the permutation test is not affected. Computed in `O(n log n)`
//! time and `O(n)` memory from `dCov^2 = S/n^2 - 2 sum_i a_i b_i / n^3 + a b / n^4` with row sums `a_i`, `b_i`, totals
//! `a`, `b` and `S = sum_ij |x_i - x_j| |y_i - y_j|` (Chaudhuri & Hu 2019, Comput. Stat. Data Anal. 135).
//!
//! Unit: none. Bounds: [0, 1]. Symmetric. Assumes independent pairs with finite means. Errors: `Empty`, `NonFinite`,
//! `LengthMismatch`, `TooFew` (under 2 pairs; no permutations), `Degenerate` (a variable without variation).
//! Source: Székely, Rizzo & Bakirov 2007 (Ann. Stat. 35).

use crate::correlation::require_paired;
use crate::permutation::{PermutationTest, permutation_test, shuffle_front};
use crate::{Error, Result};

/// Distance correlation (V-statistic).
pub fn distance_correlation(x: &[f64], y: &[f64]) -> Result<f64> {
    require_paired(x, y)?;
    let (x, y) = (Variable::new("x", x)?, Variable::new("y", y)?);
    let natural: Vec<usize> = (0..y.values.len()).collect();
    Ok(correlation(&x, &y, &natural))
}

/// Permutation test of independence.
pub fn distance_correlation_test(x: &[f64], y: &[f64], permutations: u32, seed: u64) -> Result<PermutationTest> {
    require_paired(x, y)?;
    let (x, y) = (Variable::new("x", x)?, Variable::new("y", y)?);
    let mut pairing: Vec<usize> = (0..y.values.len()).collect();
    let statistic = correlation(&x, &y, &pairing);
    permutation_test(statistic, permutations, seed, |rng| {
        let places = pairing.len();
        shuffle_front(&mut pairing, places, rng);
        correlation(&x, &y, &pairing)
    })
}

/// A variable with what a change of pairing leaves as it is.
struct Variable {
    /// Centred, so that products of large numbers do not cancel.
    values: Vec<f64>,
    /// Positions in ascending order of value.
    order: Vec<usize>,
    /// Place of each position in that order.
    place: Vec<usize>,
    /// `sum_j |v_i - v_j|`.
    row_sums: Vec<f64>,
    total: f64,
    /// dCov^2 with itself.
    variance: f64,
}

impl Variable {
    fn new(what: &'static str, values: &[f64]) -> Result<Self> {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let values: Vec<f64> = values.iter().map(|value| value - mean).collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]).then(i.cmp(&j)));
        let sum: f64 = values.iter().sum();
        let mut place = vec![0; n];
        let mut row_sums = vec![0.0; n];
        let mut below = 0.0;
        for (count, &i) in order.iter().enumerate() {
            place[i] = count;
            // Those below: count v_i - below; those above and itself: (sum - below) - (n - count) v_i.
            row_sums[i] = (2.0 * count as f64 - n as f64) * values[i] + sum - 2.0 * below;
            below += values[i];
        }
        let total = row_sums.iter().sum();
        let mut variable = Self { values, order, place, row_sums, total, variance: 0.0 };
        let natural: Vec<usize> = (0..n).collect();
        variable.variance = covariance(&variable, &variable, &natural);
        if variable.values[variable.order[0]] >= variable.values[variable.order[n - 1]] || variable.variance <= 0.0 {
            return Err(Error::Degenerate { what });
        }
        Ok(variable)
    }
}

fn correlation(x: &Variable, y: &Variable, pairing: &[usize]) -> f64 {
    let squared = covariance(x, y, pairing).max(0.0) / (x.variance * y.variance).sqrt();
    squared.sqrt().min(1.0)
}

/// dCov^2 when position `i` of `x` is paired with position `pairing[i]` of `y`.
fn covariance(x: &Variable, y: &Variable, pairing: &[usize]) -> f64 {
    let n = pairing.len() as f64;
    let rows: f64 = pairing.iter().zip(&x.row_sums).map(|(&j, row)| row * y.row_sums[j]).sum();
    product_of_distances(x, y, pairing) / (n * n) - 2.0 * rows / (n * n * n) + x.total / (n * n) * (y.total / (n * n))
}

/// Sums over the observations seen so far, by the place of their y.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: f64,
    x: f64,
    y: f64,
    xy: f64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.x += other.x;
        self.y += other.y;
        self.xy += other.xy;
    }

    /// `sum (x - x_i)(y - y_i)` over what was seen.
    fn products_around(self, x: f64, y: f64) -> f64 {
        self.xy - y * self.x - x * self.y + self.count * x * y
    }
}

/// `sum_ij |x_i - x_j| |y_i - y_j|`, walking up in x with a Fenwick tree over the places in y.
fn product_of_distances(x: &Variable, y: &Variable, pairing: &[usize]) -> f64 {
    let mut tree = vec![Sums::default(); pairing.len() + 1];
    let mut seen = Sums::default();
    let mut sum = 0.0;
    for &i in &x.order {
        let j = pairing[i];
        let (x_i, y_i) = (x.values[i], y.values[j]);
        let place = y.place[j] + 1;
        let mut below = Sums::default();
        let mut node = place;
        while node > 0 {
            below.add(tree[node]);
            node &= node - 1;
        }
        // Every x seen is at most x_i. Below in y the product of the differences is positive, above it is negative.
        sum += 2.0 * below.products_around(x_i, y_i) - seen.products_around(x_i, y_i);
        let own = Sums { count: 1.0, x: x_i, y: y_i, xy: x_i * y_i };
        seen.add(own);
        let mut node = place;
        while node < tree.len() {
            tree[node].add(own);
            node += node & node.wrapping_neg();
        }
    }
    2.0 * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn centred_distances(values: &[f64]) -> Vec<Vec<f64>> {
        let n = values.len() as f64;
        let rows: Vec<f64> = values.iter().map(|v| values.iter().map(|w| (v - w).abs()).sum::<f64>() / n).collect();
        let grand = rows.iter().sum::<f64>() / n;
        let centred = |(v, row): (&f64, &f64)| {
            values.iter().zip(&rows).map(|(w, column)| (v - w).abs() - row - column + grand).collect()
        };
        values.iter().zip(&rows).map(centred).collect()
    }

    fn check(x: &[f64], y: &[f64]) {
        let (a, b) = (centred_distances(x), centred_distances(y));
        let mean = |p: &[Vec<f64>], q: &[Vec<f64>]| -> f64 {
            p.iter().flatten().zip(q.iter().flatten()).map(|(p, q)| p * q).sum()
        };
        let expected = (mean(&a, &b) / (mean(&a, &a) * mean(&b, &b)).sqrt()).max(0.0).sqrt();
        let value = distance_correlation(x, y).unwrap();
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }

    #[test]
    fn the_tree_agrees_with_the_definition() {
        check(&[1.0, 2.0, 3.0, 4.0], &[1.0, 4.0, 9.0, 1.0]);
        let x: Vec<f64> = (0_u32..61).map(|i| f64::from(i * i % 13) + 1e6).collect();
        let y: Vec<f64> = (0_u32..61).map(|i| f64::from(i * 29 % 11)).collect();
        check(&x, &y);
    }

    #[test]
    fn a_parabola_depends_on_its_argument_though_it_does_not_correlate() {
        let x: Vec<f64> = (-20..=20).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| x * x).collect();
        let test = distance_correlation_test(&x, &y, 199, 1).unwrap();
        assert!(test.statistic > 0.4 && (test.p_value - 0.005).abs() < 1e-12, "{test:?}");
    }

    #[test]
    fn a_variable_without_variation_is_refused() {
        assert_eq!(distance_correlation(&[0.1; 5], &[1.0, 2.0, 3.0, 4.0, 5.0]), Err(Error::Degenerate { what: "x" }));
    }
}
