use tidemark_schema::ErrorKind;

use super::Quantity;

/// What a monitor refuses.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// NaN, or outside of `[0, 1]`.
    #[error("{quantity} was observed as {value}, which is not in [0, 1]")]
    Observation {
        /// What was observed.
        quantity: Quantity,
        /// As what.
        value: f64,
    },
    /// Too little to learn a null mean from.
    #[error("the reference has {have} observations of {quantity}; a null mean needs {need}")]
    FewReferences {
        /// What was observed.
        quantity: Quantity,
        /// How often.
        have: usize,
        /// How often it must be.
        need: usize,
    },
    /// The margin of practical significance is not in `[0, 1)`.
    #[error("the margin of {quantity} is {margin}, which is not in [0, 1)")]
    Margin {
        /// Of what.
        quantity: Quantity,
        /// The margin.
        margin: f64,
    },
    /// A null mean that no observation can exceed, or that every one does.
    #[error("the null mean of {quantity} would be {value}, which is not in (0, 1): nothing could rise above it")]
    NoRoom {
        /// Of what.
        quantity: Quantity,
        /// What it would be.
        value: f64,
    },
    /// A level is not in `(0, 1)`.
    #[error("{name} is {value}, which is not in (0, 1)")]
    Level {
        /// Which level.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// No scores to compare with.
    #[error("there are no reference scores to calibrate {} with", Quantity::ScoreStrangeness)]
    Uncalibrated,
    /// A score or a tie-breaker is NaN, infinite or out of range.
    #[error("the {what} for {} is {value}, which is not {range}", Quantity::ScoreStrangeness)]
    Score {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        range: &'static str,
    },
    /// A stored state that no observations lead to.
    #[error("the stored monitor cannot be continued: {fault}")]
    Stored {
        /// What contradicts what.
        fault: &'static str,
    },
    /// A statistic refused its input: a defect.
    #[error("a statistic refused its input")]
    Statistics(#[from] tidemark_stats::Error),
}

impl MonitorError {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Stored { .. } => ErrorKind::Corrupt,
            Self::Statistics(_) => ErrorKind::Internal,
            _ => ErrorKind::Invalid,
        }
    }
}
