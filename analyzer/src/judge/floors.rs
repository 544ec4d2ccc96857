use tidemark_stats::Persistence;

use crate::error::Error;
use crate::matched;
use crate::observe::Observations;
use crate::vocabulary::Vocabulary;

/// How far answers to one query are apart inside a window anyway.
#[derive(Clone, Copy)]
pub(super) struct Floors {
    pub(super) reference: Option<f64>,
    pub(super) current: Option<f64>,
}

/// A floor that rose by more than what matters in practice is a finding of its own.
const RISEN_FLOOR: f64 = 0.02;

impl Floors {
    pub(super) fn measure(
        before: &Observations,
        after: &Observations,
        vocabulary: &Vocabulary,
        p: Persistence,
        notes: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let floors = Self {
            reference: matched::noise_floor(before, vocabulary, p)?,
            current: matched::noise_floor(after, vocabulary, p)?,
        };
        match floors {
            Self { reference: None, current: Some(_) } => notes.push(
                "no query repeats in the reference: its noise floor was taken from the current window".to_owned(),
            ),
            Self { reference: None, current: None } => {
                notes.push("no query repeats in either window: the noise floor was assumed to be 0".to_owned());
            }
            Self { reference: Some(before), current: Some(after) } if after > before + RISEN_FLOOR => notes.push(format!(
                "the noise floor rose from {before:.3} to {after:.3}: the same query is answered differently inside the \
                 current window (replicas that disagree, or a partial rollout)"
            )),
            Self { .. } => {}
        }
        Ok(floors)
    }

    /// The floor of queries that the reference asked only once.
    pub(super) fn pooled(self) -> f64 {
        self.reference.or(self.current).unwrap_or(0.0)
    }
}
