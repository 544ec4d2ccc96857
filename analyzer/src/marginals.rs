//! Measures of all answers, whether their queries match or not, over a uniform sample of operations.

use std::collections::BTreeMap;

/// How many operations a window keeps for its marginal measures.
pub const OPERATIONS: usize = 10_240;

/// What is measured of one answer; a measure may be missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The query.
    pub query: u32,
    attempt: u32,
    values: [f32; MEASURES.len()],
}

/// The measures in the order of their values.
pub const MEASURES: [&str; 5] = ["top_score", "mean_score", "gap_1_2", "gap_1_k", "results"];

/// The operations whose ids have the smallest hashes.
#[derive(Debug, Default)]
pub struct OperationSample(BTreeMap<u64, Measured>);

impl Measured {
    #[expect(clippy::cast_possible_truncation, reason = "24 bits are enough for a distribution")]
    pub(crate) fn new(query: u32, attempt: u32, scores: &[Option<f64>]) -> Self {
        let known: Vec<f64> = scores.iter().copied().flatten().collect();
        let mut values = [f32::NAN; MEASURES.len()];
        if let (Some(first), true) = (known.first(), known.len() == scores.len()) {
            values[0] = *first as f32;
            values[1] = (known.iter().sum::<f64>() / known.len() as f64) as f32;
            if let (Some(second), Some(last)) = (known.get(1), known.last()) {
                values[2] = (first - second) as f32;
                values[3] = (first - last) as f32;
            }
        }
        values[4] = scores.len() as f32;
        Self { query, attempt, values }
    }

    /// A measure by its place in [`MEASURES`].
    pub fn value(&self, measure: usize) -> Option<f64> {
        self.values.get(measure).filter(|value| value.is_finite()).map(|value| f64::from(*value))
    }
}

impl OperationSample {
    pub(crate) fn wants(&self, key: u64) -> bool {
        self.0.len() < OPERATIONS || self.0.last_key_value().is_some_and(|(last, _)| key <= *last)
    }

    pub(crate) fn insert(&mut self, key: u64, measured: Measured) {
        let slot = self.0.entry(key).or_insert(measured);
        if slot.attempt < measured.attempt {
            *slot = measured;
        }
        if self.0.len() > OPERATIONS {
            self.0.pop_last();
        }
    }

    /// What was measured, in an order of its own.
    pub fn iter(&self) -> impl Iterator<Item = &Measured> {
        self.0.values()
    }
}
