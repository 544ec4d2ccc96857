//! What a statistic refuses. Too little or unusable data is an answer of its own, never a zero.

/// Why a statistic has no value for the input it was given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sample without observations.
    #[error("{what} is empty")]
    Empty {
        /// The argument.
        what: &'static str,
    },
    /// A NaN or an infinity.
    #[error("{what}[{index}] is not a finite number")]
    NonFinite {
        /// The argument.
        what: &'static str,
        /// Position of the first offender, from 0 (0 for a single number).
        index: usize,
    },
    /// Fewer observations than the definition needs.
    #[error("{what}: have {have}, need at least {need}")]
    TooFew {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        have: usize,
        /// How many the definition needs.
        need: usize,
    },
    /// Two arguments that must run in parallel do not.
    #[error("{left} has {left_len} values but {right} has {right_len}")]
    LengthMismatch {
        /// The first argument.
        left: &'static str,
        /// Its length.
        left_len: usize,
        /// The second argument.
        right: &'static str,
        /// Its length.
        right_len: usize,
    },
    /// A number outside the interval the definition allows.
    #[error("{what} is {value}, outside {range}")]
    OutOfRange {
        /// The argument.
        what: &'static str,
        /// The offending number.
        value: f64,
        /// The allowed interval, in interval notation.
        range: &'static str,
    },
    /// A ranking names one item twice.
    #[error("positions {first} and {second} hold the same item")]
    DuplicateItem {
        /// Position of the earlier occurrence, from 0.
        first: usize,
        /// Position of the later occurrence, from 0.
        second: usize,
    },
    /// A sample without variation, or without mass, where the statistic divides by it.
    #[error("{what} does not vary, so the statistic is undefined")]
    Degenerate {
        /// What does not vary.
        what: &'static str,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
