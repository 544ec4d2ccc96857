//! Admission of samples: what every statistic checks before it computes, and order statistics of a sorted sample.

use crate::{Error, Result};

/// Refuses an empty sample and the first value that is not finite.
pub(crate) fn require_finite(what: &'static str, values: &[f64]) -> Result<()> {
    if values.is_empty() {
        return Err(Error::Empty { what });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::NonFinite { what, index }),
        None => Ok(()),
    }
}

/// Refuses arguments that do not run in parallel.
pub(crate) fn require_same_length(
    (left, left_len): (&'static str, usize),
    (right, right_len): (&'static str, usize),
) -> Result<()> {
    if left_len == right_len {
        return Ok(());
    }
    Err(Error::LengthMismatch { left, left_len, right, right_len })
}

/// Refuses fewer than `need` of `what`.
pub(crate) fn require_count(what: &'static str, have: usize, need: usize) -> Result<()> {
    if have < need { Err(Error::TooFew { what, have, need }) } else { Ok(()) }
}

/// Refuses anything but a finite number of the open interval `(low, high)`; `range` is that interval for the reader.
pub(crate) fn require_between(what: &'static str, value: f64, low: f64, high: f64, range: &'static str) -> Result<()> {
    if !value.is_finite() {
        return Err(Error::NonFinite { what, index: 0 });
    }
    if value <= low || value >= high {
        return Err(Error::OutOfRange { what, value, range });
    }
    Ok(())
}

/// Refuses the first value that is no probability; none at all are admitted.
pub(crate) fn require_probabilities(what: &'static str, values: &[f64]) -> Result<()> {
    for (index, &value) in values.iter().enumerate() {
        if !value.is_finite() {
            return Err(Error::NonFinite { what, index });
        }
        if !(0.0..=1.0).contains(&value) {
            return Err(Error::OutOfRange { what, value, range: "[0, 1]" });
        }
    }
    Ok(())
}

/// Admits non-negative masses (counts, exposures) and returns their sum, which is positive.
pub(crate) fn total_mass(what: &'static str, masses: &[f64]) -> Result<f64> {
    require_finite(what, masses)?;
    if let Some(&value) = masses.iter().find(|&&mass| mass < 0.0) {
        return Err(Error::OutOfRange { what, value, range: "[0, inf)" });
    }
    let total: f64 = masses.iter().sum();
    if !total.is_finite() {
        return Err(Error::OutOfRange { what, value: total, range: "a finite sum" });
    }
    if total > 0.0 { Ok(total) } else { Err(Error::Degenerate { what }) }
}

/// Admits a sample and sorts a copy.
pub(crate) fn sorted(what: &'static str, values: &[f64]) -> Result<Vec<f64>> {
    require_finite(what, values)?;
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(sorted)
}

/// Quantile of a sorted, non-empty sample with linear interpolation (Hyndman & Fan 1996, type 7; the default of
/// `NumPy`).
pub(crate) fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = probability.clamp(0.0, 1.0) * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the position lies between 0 and the last index"
    )]
    let below = (position.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let fraction = position - below as f64;
    sorted[below] + fraction * (sorted[above] - sorted[below])
}

/// Median of a non-empty sample.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// Midranks from 1 (equal values share the mean of their ranks), and the tie term `sum (t^3 - t)` over groups of `t`.
pub(crate) fn midranks(values: &[f64]) -> (Vec<f64>, f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]).then(i.cmp(&j)));
    let mut ranks = vec![0.0; values.len()];
    let mut tie_term = 0.0;
    let mut ranked = 0;
    // The order ascends, so "not below its successor" means equal (and lets -0.0 equal 0.0).
    for group in order.chunk_by(|&i, &j| values[i] >= values[j]) {
        let size = group.len() as f64;
        for &index in group {
            ranks[index] = ranked as f64 + f64::midpoint(size, 1.0);
        }
        ranked += group.len();
        tie_term += size * (size * size - 1.0);
    }
    (ranks, tie_term)
}
