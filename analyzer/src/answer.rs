//! What a query was answered: documents best first, how they were, and their scores.

use tidemark_stats::Ranking;

use crate::error::Error;
use crate::vocabulary::Vocabulary;

/// One answer, ready to be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The documents, with groups of equal scores.
    pub ranking: Ranking<u32>,
    /// The state of each document.
    pub states: Vec<u32>,
    /// The score of each document, where the retriever gave one.
    pub scores: Vec<Option<f64>>,
    /// How it was retrieved.
    pub context: u32,
}

/// One place of an answer as a window keeps it: 8 bytes, because a window keeps up to a million answers.
///
/// A score is kept with the 24 bits of a 32-bit float. That is what embedding models compute with, and its rounding (6e-8)
/// is below what the comparison takes for the representation of one number (2e-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    state: u32,
    score: u32,
}

/// How no score is written: no finite number has these bits.
const NO_SCORE: u32 = u32::MAX;

impl Place {
    pub(crate) fn new(state: u32, score: Option<f64>) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "24 bits are kept on purpose")]
        let score = score.map(|score| score as f32).filter(|score| score.is_finite());
        Self { state, score: score.map_or(NO_SCORE, f32::to_bits) }
    }

    /// The state of the document.
    pub fn state(self) -> u32 {
        self.state
    }

    /// Its score.
    pub fn score(self) -> Option<f64> {
        (self.score != NO_SCORE).then(|| f64::from(f32::from_bits(self.score)))
    }

    pub(crate) fn with_state(self, state: u32) -> Self {
        Self { state, ..self }
    }
}

impl Answer {
    /// The answer that a window kept.
    pub fn of(places: &[Place], context: u32, vocabulary: &Vocabulary) -> Result<Self, Error> {
        let states: Vec<u32> = places.iter().map(|place| place.state()).collect();
        let scores: Vec<Option<f64>> = places.iter().map(|place| place.score()).collect();
        let documents = states.iter().map(|state| vocabulary.state_of(*state).document).collect();
        Ok(Self { ranking: Ranking::with_scores(documents, &scores)?, states, scores, context })
    }
}
