use super::MonitorError;

/// Which scores are strange: of similarities the low ones, of distances the high ones. A change in the other direction
/// (a rescaling) is found by a second monitor that looks that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// The lower, the stranger.
    Lower,
    /// The higher, the stranger.
    Higher,
}

/// The scores of a reference, which say how strange another score is.
///
/// ```text
/// p = (#{stranger than s} + u (#{equal to s} + 1)) / (n + 1),   strangeness = 1 - p
/// ```
///
/// The smoothed conformal p-value (Vovk, Gammerman & Shafer 2005, section 2.2): if the score and the reference's are
/// exchangeable and `u` is uniform, it is uniform on `[0, 1]`, whatever the scores' distribution and ties.
///
/// That holds on average over references. The mean over many scores and *one* reference of `n` misses 1/2 by about
/// `1 / sqrt(12 n)`, which a monitor that looks long enough would find. So its null mean is learnt too: calibrate with
/// one half of the reference and learn from the strangeness of the other half.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    sorted: Vec<f64>,
}

impl Calibration {
    /// From the reference's scores, in any order; all of one kind.
    pub fn new(mut scores: Vec<f64>) -> Result<Self, MonitorError> {
        if scores.is_empty() {
            return Err(MonitorError::Uncalibrated);
        }
        scores.iter().try_for_each(|&score| require_finite("reference score", score))?;
        scores.sort_unstable_by(f64::total_cmp);
        Ok(Self { sorted: scores })
    }

    /// The smoothed conformal p-value of a score; small is strange. `tie_break` is uniform on `[0, 1)`, drawn by the
    /// caller for this score alone.
    pub fn p_value(&self, score: f64, stranger: Stranger, tie_break: f64) -> Result<f64, MonitorError> {
        require_finite("score", score)?;
        if !(0.0..=1.0).contains(&tie_break) {
            return Err(MonitorError::Score { what: "tie-breaker", value: tie_break, range: "in [0, 1]" });
        }
        let all = self.sorted.len();
        let below = self.sorted.partition_point(|&other| other < score);
        let not_above = self.sorted.partition_point(|&other| other <= score);
        let stranger_ones = match stranger {
            Stranger::Lower => below,
            Stranger::Higher => all - not_above,
        };
        let equal = not_above - below;
        Ok((stranger_ones as f64 + tie_break * (equal + 1) as f64) / (all + 1) as f64)
    }

    /// How strange a score is, in `[0, 1]`: the p-value turned, so that larger is stranger, as a monitor needs it.
    pub fn strangeness(&self, score: f64, stranger: Stranger, tie_break: f64) -> Result<f64, MonitorError> {
        Ok(1.0 - self.p_value(score, stranger, tie_break)?)
    }
}

fn require_finite(what: &'static str, value: f64) -> Result<(), MonitorError> {
    if value.is_finite() { Ok(()) } else { Err(MonitorError::Score { what, value, range: "a finite number" }) }
}
