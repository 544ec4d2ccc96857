//! Survival function of the one-sample Kolmogorov statistic `D_n`, which the asymptotic two-sample test needs.
//!
//! Follows the choice of methods of Simard & L'Ecuyer (2011, J. Stat. Softw. 39:11): Marsaglia, Tsang & Wang (2003, J.
//! Stat. Softw. 8:18) in the body for small `n`; twice the one-sided tail of Birnbaum & Tingey (1951) in the upper
//! tail, where both one-sided events together are rarer than the rounding; and in the body for large `n` the expansion
//! of Li-Chien (1956) around the limit distribution up to the term in `1/n`, good to 6e-5 there and to 1e-5 where it
//! hands over.

use ndarray::Array2;
use statrs::function::gamma::ln_gamma;

/// Up to this `n` the body is computed exactly, by a matrix power.
const EXACT_BODY: f64 = 140.0;
/// Beyond this `n` the one-sided sum has too many terms and the limit is as good.
const EXACT_TAIL: f64 = 100_000.0;

/// `P(D_n >= d)` for a positive integer `n`.
pub(crate) fn survival(n: f64, d: f64) -> f64 {
    let square = n * d * d;
    // Where the upper tail is so thin that the two one-sided events practically exclude each other.
    let tail_from = if n <= EXACT_BODY { 4.0 } else { 2.2 };
    let survival = if d >= 1.0 {
        0.0
    } else if n * d <= 0.5 {
        1.0
    } else if n <= EXACT_TAIL && (d >= 0.5 || square >= tail_from) {
        2.0 * one_sided(n, d)
    } else if n <= EXACT_BODY {
        1.0 - body(n, d)
    } else {
        expansion(n, n.sqrt() * d)
    };
    survival.clamp(0.0, 1.0)
}

/// `P(D_n+ >= d) = d sum_j C(n,j) (d + j/n)^(j-1) (1 - d - j/n)^(n-j)`, in logarithms.
fn one_sided(n: f64, d: f64) -> f64 {
    let mut sum = (n * (-d).ln_1p()).exp();
    let mut j = 1.0;
    let ln_n_factorial = ln_gamma(n + 1.0);
    while j <= n * (1.0 - d) {
        let reached = d + j / n;
        let rest = 1.0 - reached;
        // At rest = 0 the factor is 0^(n-j): 1 if j = n, which d > 0 excludes.
        if rest > 0.0 {
            let choose = ln_n_factorial - ln_gamma(j + 1.0) - ln_gamma(n - j + 1.0);
            sum += (choose + d.ln() + (j - 1.0) * reached.ln() + (n - j) * rest.ln()).exp();
        }
        j += 1.0;
    }
    sum
}

/// Survival of `sqrt(n) D_n` at `z`, as Kolmogorov's limit `2 sum_k (-1)^(k-1) exp(-2 k^2 z^2)` with corrections in
/// `1/sqrt(n)` and `1/n` per term.
fn expansion(n: f64, z: f64) -> f64 {
    // The distribution function is below 1e-8 here, and the alternating series would need many terms to say so.
    if z < 0.25 {
        return 1.0;
    }
    let mut sum = 0.0;
    let mut sign = 1.0;
    for k in 1..=20 {
        let square = f64::from(k * k);
        let even = if sign > 0.0 { square - 1.0 } else { square };
        let exponent = square * z * z;
        let first = 2.0 * square * z / (3.0 * n.sqrt());
        let second = (even - 4.0 * (even + 3.0) * exponent + 8.0 * exponent * exponent) / (18.0 * n);
        sum += sign * (-2.0 * exponent).exp() * (1.0 - first - second);
        sign = -sign;
    }
    2.0 * sum
}

/// `P(D_n < d)` by the matrix power of Marsaglia, Tsang & Wang, with the exponent kept apart from overflow.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "n is an integer up to 140 and d below 1")]
fn body(n: f64, d: f64) -> f64 {
    let centre = (n * d) as usize;
    let order = 2 * centre + 1;
    let h = (centre + 1) as f64 - n * d;
    let mut transition = Array2::from_shape_fn((order, order), |(i, j)| if i + 1 >= j { 1.0 } else { 0.0 });
    let mut power_of_h = 1.0;
    for i in 0..order {
        power_of_h *= h;
        transition[(i, 0)] -= power_of_h;
        transition[(order - 1, order - 1 - i)] -= power_of_h;
    }
    if 2.0 * h > 1.0 {
        transition[(order - 1, 0)] += (2.0 * h - 1.0).powf(order as f64);
    }
    for ((i, j), value) in transition.indexed_iter_mut() {
        for divisor in 2..=(i + 1).saturating_sub(j) {
            *value /= divisor as f64;
        }
    }
    let (power, mut exponent) = matrix_power(&transition, n as usize, centre);
    let mut probability = power[(centre, centre)];
    for i in 1..=n as usize {
        probability *= i as f64 / n;
        if probability < 1e-140 {
            probability *= 1e140;
            exponent -= 140;
        }
    }
    probability * 10_f64.powi(exponent)
}

/// `base^n` as a matrix and a power of ten, rescaled whenever the entry at `(centre, centre)` grows too large.
fn matrix_power(base: &Array2<f64>, n: usize, centre: usize) -> (Array2<f64>, i32) {
    if n == 1 {
        return (base.clone(), 0);
    }
    let (half, half_exponent) = matrix_power(base, n / 2, centre);
    let mut power = half.dot(&half);
    let mut exponent = 2 * half_exponent;
    if n % 2 == 1 {
        power = base.dot(&power);
    }
    if power[(centre, centre)] > 1e140 {
        power *= 1e-140;
        exponent += 140;
    }
    (power, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(n: f64, d: f64, expected: f64, tolerance: f64) {
        let value = survival(n, d);
        assert!((value - expected).abs() <= tolerance, "P(D_{n} >= {d}) = {value}, not {expected}");
    }

    #[test]
    fn the_body_agrees_with_the_value_its_authors_published() {
        check(10.0, 0.274, 1.0 - 0.628_479_615_456_504_3, 1e-12);
    }

    #[test]
    fn one_observation_is_uniform() {
        check(1.0, 0.75, 0.5, 1e-12);
    }

    #[test]
    fn methods_meet_where_one_hands_over_to_another() {
        for n in [50.0_f64, 140.0] {
            let d = (4.0 / n).sqrt();
            check(n, d * (1.0 - 1e-12), survival(n, d), 1e-8);
        }
        for n in [141.0_f64, 1_000.0] {
            let d = (2.2 / n).sqrt();
            check(n, d * (1.0 - 1e-12), survival(n, d), 1e-5);
        }
    }

    #[test]
    fn the_expansion_agrees_with_the_exact_body() {
        for step in 1..40 {
            let z = 0.04 * f64::from(step);
            let error = expansion(140.0, z) - (1.0 - body(140.0, z / 140.0_f64.sqrt()));
            assert!(error.abs() < 6e-5, "{error} at {z}");
        }
    }

    #[test]
    fn the_whole_line_is_covered() {
        check(20.0, 0.0, 1.0, 0.0);
        check(20.0, 1.0, 0.0, 0.0);
        check(1e7, 1e-9, 1.0, 0.0);
        check(1e7, 0.5, 0.0, 0.0);
    }
}
