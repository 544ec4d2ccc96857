//! Watching without end: has a quantity risen above what the reference window showed?
//!
//! A fixed-sample test that is looked at every hour raises a false alarm sooner or later. A [`Monitor`] may be looked
//! at after every observation. It bets against the null hypothesis `E[x_t | past] <= m`, for observations in `[0, 1]`
//! and the [`NullMean`] `m`, and keeps two accounts of what it won:
//!
//! | account | answers | guarantee | weak where |
//! | --- | --- | --- | --- |
//! | evidence since the start ([`Basis::SinceStart`]) | was the mean ever above `m`? | of all null streams at most [`Levels::ever`] raise this alarm, ever | the change begins late: bets have learnt to be small |
//! | recent evidence ([`Basis::Recent`]) | has the mean risen of late, and since when? | a false alarm per `1/`[`Levels::per_look`] looks at most, on average | one false alarm must come, some day |
//!
//! The first is a betting e-process ([`tidemark_stats::BettingProcess`]); [`judge`] decides over many monitors by it.
//! The second is an e-detector. How fast and how often wrong both are, measured, is in this crate's README.
//!
//! # What is fed
//!
//! [`Quantity`] says what one observation is. Nothing is assumed about dependence or distribution beyond the null
//! hypothesis; but that one is conditional. A stream whose *expected* value swings around `m`, because noisy queries
//! come in bursts, is not null while it is above `m`. So a change of the query mix is kept out before it gets here: one
//! observation per round over all probes, or per matched query the distance beyond that query's own noise floor.
//!
//! The order of calls is the order of the stream; times only date what is found, and are never compared.
//!
//! # After an alarm
//!
//! An alarm stands until [`Monitor::acknowledge`]. While it stands the monitor goes on observing, and speaks again only
//! if the recent evidence becomes evidence since the start. Acknowledging restarts the detector, so that a change that
//! stays is reported again; the evidence since the start goes on, because having been read does not undo it, and
//! raises its alarm once in the life of a monitor: `ever` is spent once. To accept the new state as normal, start
//! another monitor with a null mean learnt from it.
//!
//! # State
//!
//! Pure and serialisable: the same observations in the same order give the same bits, across restarts too.
//!
//! Sources: Waudby-Smith & Ramdas 2024 (JRSS B 86), betting; Ville 1939, the bound on `ever`; Shin, Ramdas & Rinaldo
//! 2023 (NEJSDS), e-detectors; Wang & Ramdas 2022 (JRSS B 84), e-BH; Vovk, Gammerman & Shafer 2005, conformal p-values.

mod conformal;
mod detector;
mod error;
mod null_mean;
mod quantity;
#[cfg(test)]
mod simulations;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use tidemark_schema::Timestamp;
use tidemark_stats::{BettingProcess, e_bh};

use detector::RiseDetector;

pub use conformal::{Calibration, Stranger};
pub use error::MonitorError;
pub use null_mean::NullMean;
pub use quantity::Quantity;

/// The largest share of the wealth that one observation can lose: the bets of Waudby-Smith & Ramdas at their 1/2.
const CLIP: f64 = 0.5;

/// How often a monitor may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// The share of null streams that may ever raise an alarm on the evidence since the start. To it comes the 1 % risk
    /// that a learnt null mean lies below the reference's true mean ([`NullMean`]).
    pub ever: f64,
    /// False alarms on recent evidence per look, at most, on average: 1 over the number of looks between two of them.
    /// A monitor that looks at ten thousand queries a day needs a smaller one than a monitor of an hourly probe.
    pub per_look: f64,
}

impl Default for Levels {
    fn default() -> Self {
        Self { ever: 0.01, per_look: 0.001 }
    }
}

impl Levels {
    fn admit(self) -> Result<Self, MonitorError> {
        for (name, value) in [("ever", self.ever), ("per_look", self.per_look)] {
            require_level(name, value)?;
        }
        Ok(self)
    }
}

fn require_level(name: &'static str, value: f64) -> Result<(), MonitorError> {
    if value > 0.0 && value < 1.0 { Ok(()) } else { Err(MonitorError::Level { name, value }) }
}

/// What an alarm rests on. The later one is the stronger claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The detector: the mean has risen of late.
    Recent,
    /// The e-process: the mean was above the null mean at some time since the monitor started.
    SinceStart,
}

/// A monitored quantity has risen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// What has risen.
    pub quantity: Quantity,
    /// Which account raised the alarm.
    pub basis: Basis,
    /// The time of the observation that raised it.
    pub at: Timestamp,
    /// The time of the first observation that counts: for recent evidence the estimated begin of the rise.
    pub since: Timestamp,
    /// That observation's number, from 1.
    pub from_observation: u64,
    /// The number of the one that raised the alarm.
    pub to_observation: u64,
    /// Natural logarithm of the account.
    pub log_evidence: f64,
    /// Natural logarithm of what the account had to reach.
    pub log_threshold: f64,
    /// What the mean was held against.
    pub null_mean: f64,
}

/// A quantity under watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredMonitor")]
pub struct Monitor {
    null_mean: NullMean,
    levels: Levels,
    observations: u64,
    started_at: Option<Timestamp>,
    process: BettingProcess,
    detector: RiseDetector,
    proven: bool,
    standing: Option<Alarm>,
}

/// A monitor as stored, before its parts are checked against each other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredMonitor {
    null_mean: NullMean,
    levels: Levels,
    observations: u64,
    started_at: Option<Timestamp>,
    process: BettingProcess,
    detector: RiseDetector,
    proven: bool,
    standing: Option<Alarm>,
}

impl TryFrom<StoredMonitor> for Monitor {
    type Error = MonitorError;

    fn try_from(stored: StoredMonitor) -> Result<Self, MonitorError> {
        let StoredMonitor { null_mean, levels, observations, started_at, process, detector, proven, standing } = stored;
        let fresh = Self::new(null_mean, levels)?;
        let looks = observations as f64;
        let most = looks * (1.0 + CLIP * (1.0 - null_mean.value()) / null_mean.value()).ln() + 1e-9 * looks;
        let least = looks * (1.0 - CLIP).ln() - 1e-9 * looks;
        let follows = |alarm: &Alarm| alarm.quantity == fresh.quantity() && alarm.to_observation <= observations;
        let faults = [
            (process.observations() != observations, "the e-process has seen another number of observations"),
            (!(least..=most).contains(&process.log_wealth()), "no observations lead to this wealth"),
            (detector.observations() > observations, "the detector has seen more observations than there were"),
            (!standing.as_ref().is_none_or(follows), "the standing alarm is not this monitor's"),
            (started_at.is_some() != (observations > 0), "the start does not go with the number of observations"),
        ];
        if let Some((_, fault)) = faults.into_iter().find(|(found, _)| *found) {
            return Err(MonitorError::Stored { fault });
        }
        Ok(Self { observations, started_at, process, detector, proven, standing, ..fresh })
    }
}

impl Monitor {
    /// Starts to watch for a mean above `null_mean`.
    pub fn new(null_mean: NullMean, levels: Levels) -> Result<Self, MonitorError> {
        let levels = levels.admit()?;
        Ok(Self {
            null_mean,
            levels,
            observations: 0,
            started_at: None,
            process: BettingProcess::new(null_mean.value(), CLIP)?,
            detector: RiseDetector::default(),
            proven: false,
            standing: None,
        })
    }

    /// Takes in the next observation; an alarm is returned when it is raised, and not again while it stands. A refused
    /// observation changes nothing.
    pub fn observe(&mut self, at: Timestamp, value: f64) -> Result<Option<Alarm>, MonitorError> {
        if !(0.0..=1.0).contains(&value) {
            return Err(MonitorError::Observation { quantity: self.quantity(), value });
        }
        self.process.observe(value)?;
        self.detector.observe(self.null_mean.value(), at, value);
        self.observations += 1;
        let started_at = *self.started_at.get_or_insert(at);

        let raised = if !self.proven && self.reached(Basis::SinceStart) {
            self.proven = true;
            Some(self.alarm(Basis::SinceStart, at, started_at, 1))
        } else if self.standing.is_none() && self.reached(Basis::Recent) {
            let (since, looks) = self.detector.rise().unwrap_or((started_at, self.observations));
            Some(self.alarm(Basis::Recent, at, since, self.observations + 1 - looks))
        } else {
            None
        };
        if raised.is_some() {
            self.standing.clone_from(&raised);
        }
        Ok(raised)
    }

    fn alarm(&self, basis: Basis, at: Timestamp, since: Timestamp, first: u64) -> Alarm {
        Alarm {
            quantity: self.quantity(),
            basis,
            at,
            since,
            from_observation: first,
            to_observation: self.observations,
            log_evidence: match basis {
                Basis::Recent => self.log_recent_evidence(),
                Basis::SinceStart => self.log_evidence(),
            },
            log_threshold: self.log_threshold(basis),
            null_mean: self.null_mean.value(),
        }
    }

    /// Somebody has seen the standing alarm: returns it, and restarts the detector. Without one it does nothing.
    pub fn acknowledge(&mut self) -> Option<Alarm> {
        let alarm = self.standing.take()?;
        self.detector.restart();
        Some(alarm)
    }

    /// The alarm that nobody has acknowledged.
    pub fn standing(&self) -> Option<&Alarm> {
        self.standing.as_ref()
    }

    /// What is watched.
    pub fn quantity(&self) -> Quantity {
        self.null_mean.quantity()
    }

    /// What the mean is held against.
    pub fn null_mean(&self) -> NullMean {
        self.null_mean
    }

    /// How often it may be wrong.
    pub fn levels(&self) -> Levels {
        self.levels
    }

    /// How many observations it has seen.
    pub fn observations(&self) -> u64 {
        self.observations
    }

    /// Natural logarithm of the e-process.
    pub fn log_evidence(&self) -> f64 {
        self.process.log_wealth()
    }

    /// Natural logarithm of the detector's statistic; negative infinity before the first observation.
    pub fn log_recent_evidence(&self) -> f64 {
        self.detector.statistic().ln()
    }

    /// The e-value of this monitor, at any time of looking; infinite where it exceeds a double.
    pub fn e_value(&self) -> f64 {
        self.process.e_value()
    }

    /// Whether an account holds what an alarm needs.
    pub fn reached(&self, basis: Basis) -> bool {
        match basis {
            Basis::Recent => self.detector.statistic() >= 1.0 / self.levels.per_look,
            Basis::SinceStart => self.log_evidence() >= self.log_threshold(basis),
        }
    }

    /// Natural logarithm of what an account must reach for an alarm.
    pub fn log_threshold(&self, basis: Basis) -> f64 {
        match basis {
            Basis::Recent => -self.levels.per_look.ln(),
            Basis::SinceStart => -self.levels.ever.ln(),
        }
    }
}

/// Which of many monitors have found something, when they are looked at together: positions, ascending. Of those named
/// at most the share `alpha` is expected to be wrong, whatever the dependence between the monitors (e-BH).
///
/// It decides by the evidence since the start that each monitor holds now. When it is asked may depend on what the
/// monitors show, as long as what one showed does not raise what is expected of another. Its answers at several times
/// are not one answer: a position that was named and no longer is, is no longer found.
pub fn judge<'a>(monitors: impl IntoIterator<Item = &'a Monitor>, alpha: f64) -> Result<Vec<usize>, MonitorError> {
    require_level("alpha", alpha)?;
    let e_values: Vec<f64> = monitors.into_iter().map(Monitor::e_value).collect();
    Ok(e_bh(&e_values, alpha)?)
}
