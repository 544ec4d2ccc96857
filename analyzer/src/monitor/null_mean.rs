use serde::{Deserialize, Serialize};
use tidemark_stats::BettingProcess;

use super::{CLIP, MonitorError, Quantity};

/// The largest mean that is still "as the reference": what a monitor holds the observations against.
///
/// ```text
/// m = max(reference's mean + margin, upper confidence bound of the reference's mean)
/// ```
///
/// The *margin* is of practical significance: less of a rise is not worth a call. The *bound* is there because the
/// reference is a sample. A monitor that looks for ever tells any mean from any other: held against a sample's mean
/// alone, half of all stable streams would in the end alarm, rightly and uselessly. So a small reference makes a
/// monitor slow to alarm, not wrong.
///
/// The bound holds with probability 99 %. It is the smallest mean on a grid of 1/1000 from which on every mean is
/// refuted by a betting e-process on the reference (Waudby-Smith & Ramdas 2024), which assumes no more of the reference
/// than a monitor does of its stream: one mean throughout, not independence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredNullMean")]
pub struct NullMean {
    quantity: Quantity,
    value: f64,
    reference_mean: f64,
    reference_observations: u64,
    margin: f64,
}

/// A null mean as stored, before its numbers are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredNullMean {
    quantity: Quantity,
    value: f64,
    reference_mean: f64,
    reference_observations: u64,
    margin: f64,
}

impl TryFrom<StoredNullMean> for NullMean {
    type Error = MonitorError;

    fn try_from(stored: StoredNullMean) -> Result<Self, MonitorError> {
        let StoredNullMean { quantity, value, reference_mean, reference_observations, margin } = stored;
        require_margin(quantity, margin)?;
        require_room(quantity, value)?;
        let keeps_margin = reference_mean >= 0.0 && reference_mean + margin <= value;
        if !keeps_margin {
            return Err(MonitorError::Stored { fault: "the null mean leaves the reference's mean no margin" });
        }
        Ok(Self { quantity, value, reference_mean, reference_observations, margin })
    }
}

/// Fewer observations bound no mean usefully; with fewer matched queries a comparison has no verdict either.
const REFERENCES_MIN: usize = 30;
/// The probability that the true mean of the reference is above the bound.
const RISK: f64 = 0.01;
/// Steps of the grid of bounds.
const GRID: u32 = 1_000;

impl NullMean {
    /// From the observations of the reference window, in their order.
    pub fn learn(quantity: Quantity, reference: &[f64], margin: f64) -> Result<Self, MonitorError> {
        require_margin(quantity, margin)?;
        if reference.len() < REFERENCES_MIN {
            return Err(MonitorError::FewReferences { quantity, have: reference.len(), need: REFERENCES_MIN });
        }
        if let Some(&value) = reference.iter().find(|&value| !(0.0..=1.0).contains(value)) {
            return Err(MonitorError::Observation { quantity, value });
        }
        let reference_mean = reference.iter().sum::<f64>() / reference.len() as f64;
        let value = (reference_mean + margin).max(upper_bound(reference)?);
        require_room(quantity, value)?;
        Ok(Self { quantity, value, reference_mean, reference_observations: reference.len() as u64, margin })
    }

    /// The null mean, in `(0, 1)`.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The mean of the reference's observations.
    pub fn reference_mean(&self) -> f64 {
        self.reference_mean
    }

    /// Whether the reference was so small that its uncertainty, not the margin, decides what is found.
    pub fn reference_is_small(&self) -> bool {
        self.value > self.reference_mean + self.margin
    }

    /// A known null mean, which only a simulation has.
    #[cfg(test)]
    pub(super) fn known(quantity: Quantity, value: f64) -> Self {
        Self { quantity, value, reference_mean: value, reference_observations: 1_000, margin: 0.0 }
    }

    /// Of what it is the mean.
    pub fn quantity(&self) -> Quantity {
        self.quantity
    }
}

fn require_margin(quantity: Quantity, margin: f64) -> Result<(), MonitorError> {
    if (0.0..1.0).contains(&margin) { Ok(()) } else { Err(MonitorError::Margin { quantity, margin }) }
}

fn require_room(quantity: Quantity, value: f64) -> Result<(), MonitorError> {
    if value > 0.0 && value < 1.0 { Ok(()) } else { Err(MonitorError::NoRoom { quantity, value }) }
}

/// From the top down, because a bound must lie above every mean that is not refuted. Most of them are after a few
/// observations.
fn upper_bound(reference: &[f64]) -> Result<f64, MonitorError> {
    let mut bound = 1.0;
    for step in (1..GRID).rev() {
        let candidate = f64::from(step) / f64::from(GRID);
        if !is_refuted(candidate, reference)? {
            break;
        }
        bound = candidate;
    }
    Ok(bound)
}

/// Whether the reference refutes a mean of at least `candidate`: whether `1 - x` has a mean above `1 - candidate`.
fn is_refuted(candidate: f64, reference: &[f64]) -> Result<bool, MonitorError> {
    let mut process = BettingProcess::new(1.0 - candidate, CLIP)?;
    for value in reference {
        if process.observe(1.0 - value)? >= -RISK.ln() {
            return Ok(true);
        }
    }
    Ok(false)
}
