use serde::{Deserialize, Serialize};
use tidemark_schema::Timestamp;

use super::{CLIP, MonitorError};

/// e-detector: finds that a mean has risen of late, as fast after a million quiet looks as after none.
///
/// ```text
/// C_k = max(C_k, 1) (1 + bet_k (x - m)),   bet_k = clip / (m 2^k),   k = 0 .. 7;   statistic = mean of C_k
/// ```
///
/// The mixture of e-CUSUMs of Shin, Ramdas & Rinaldo (2023): Page's chart (1954) with e-values in the place of
/// likelihood ratios. Under the null hypothesis a factor's mean is at most 1, so the statistic is expected to grow by
/// at most 1 per look: when it first reaches `1/alpha`, at least `1/alpha` looks are expected to have passed, whatever
/// the dependence. Bets that do not learn are what makes the delay independent of how long nothing happened; eight of
/// them, halving, cost at most `ln 8`, and one of them is within a factor of `sqrt 2` of the best.
///
/// The Shiryaev–Roberts form, `C = (C + 1) factor`, keeps the same promise with nothing to spare: where bets that learn
/// have become 0, every factor is 1 and it counts looks, so that a stream of zeros alarms after `1/alpha` of them. The
/// maximum stays at 1 there.
///
/// A chart remembers when it last stood at 1: the highest one dates the rise.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "StoredDetector")]
pub(super) struct RiseDetector {
    observations: u64,
    charts: [Chart; CHARTS],
}

const CHARTS: usize = 8;
/// Keeps the statistic, a mean of eight, inside a double.
const LARGEST: f64 = 1e300;

/// One bet.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chart {
    value: f64,
    /// The time of the first observation since it stood at 1, and how many there were since.
    since: Option<Timestamp>,
    looks: u64,
}

/// A detector as stored, before its numbers are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredDetector {
    observations: u64,
    charts: [Chart; CHARTS],
}

impl TryFrom<StoredDetector> for RiseDetector {
    type Error = MonitorError;

    fn try_from(stored: StoredDetector) -> Result<Self, MonitorError> {
        let StoredDetector { observations, charts } = stored;
        let possible = |chart: &Chart| {
            let dated = chart.since.is_some() == (chart.looks > 0);
            dated && chart.looks <= observations && (0.0..=LARGEST).contains(&chart.value)
        };
        if !charts.iter().all(possible) {
            return Err(MonitorError::Stored { fault: "no observations lead to these charts" });
        }
        Ok(Self { observations, charts })
    }
}

impl RiseDetector {
    /// Takes in an observation, which the monitor has admitted.
    pub(super) fn observe(&mut self, null_mean: f64, at: Timestamp, value: f64) {
        self.observations += 1;
        let mut bet = CLIP / null_mean;
        for chart in &mut self.charts {
            if chart.value <= 1.0 {
                *chart = Chart { value: 1.0, since: Some(at), looks: 0 };
            }
            chart.value = (chart.value * (1.0 + bet * (value - null_mean))).min(LARGEST);
            chart.looks += 1;
            bet /= 2.0;
        }
    }

    /// The mean of all charts, in `[0, 1e300]`.
    pub(super) fn statistic(&self) -> f64 {
        self.charts.iter().map(|chart| chart.value / CHARTS as f64).sum()
    }

    /// When the rise began, as the highest chart has it, and how many observations ago (1: with the last one).
    pub(super) fn rise(&self) -> Option<(Timestamp, u64)> {
        let highest = self.charts.iter().max_by(|a, b| a.value.total_cmp(&b.value))?;
        Some((highest.since?, highest.looks))
    }

    /// How many observations were seen since the last restart.
    pub(super) fn observations(&self) -> u64 {
        self.observations
    }

    /// Forgets every observation.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}
