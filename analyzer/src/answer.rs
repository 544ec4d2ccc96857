//! What a query was answered: documents best first, how they were, and their scores.

use std::borrow::Cow;

use tidemark_stats::{Persistence, Ranking, closest_orders, rbo, truncated_distance};

use crate::error::Error;
use crate::intern::DocumentNumber;
use crate::vocabulary::Vocabulary;

/// One answer, ready to be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The documents, with groups of equal scores.
    pub ranking: Ranking<DocumentNumber>,
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
/// is below what the comparison takes for the representation of one number (2e-6). Whether it ties with the score of the
/// place before is kept beside it, because that is a question of all its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The number of a state, and [`TIED`].
    state: u32,
    score: u32,
}

/// The bit that says that a place ties with the one before. No window comes near so many states.
const TIED: u32 = 1 << 31;
/// How no score is written: no finite number has these bits.
const NO_SCORE: u32 = u32::MAX;

impl Place {
    /// Puts the places of an answer into a list in place of what it held, given states and scores as they were sent.
    pub(crate) fn list(answer: impl Iterator<Item = (u32, Option<f64>)>, places: &mut Vec<Self>) {
        let mut before = None;
        let place = |(state, score): (u32, Option<f64>)| {
            let ties = std::mem::replace(&mut before, score) == score && score.is_some();
            let place = Self::new(state, score);
            if ties { Self { state: place.state | TIED, ..place } } else { place }
        };
        places.clear();
        places.extend(answer.map(place));
    }

    pub(crate) fn new(state: u32, score: Option<f64>) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "24 bits are kept on purpose")]
        let score = score.map(|score| score as f32).filter(|score| score.is_finite());
        Self { state: state & !TIED, score: score.map_or(NO_SCORE, f32::to_bits) }
    }

    /// The state of the document.
    pub fn state(self) -> u32 {
        self.state & !TIED
    }

    fn is_tied(self) -> bool {
        self.state & TIED != 0
    }

    /// Its score.
    pub fn score(self) -> Option<f64> {
        (self.score != NO_SCORE).then(|| f64::from(f32::from_bits(self.score)))
    }

    pub(crate) fn with_state(self, state: u32) -> Self {
        Self { state: state | (self.state & TIED), ..self }
    }
}

impl Answer {
    fn reordered(&self, order: &[usize]) -> Self {
        let states = order.iter().filter_map(|i| self.states.get(*i).copied()).collect();
        let scores = order.iter().filter_map(|i| self.scores.get(*i).copied()).collect();
        Self { ranking: self.ranking.reordered(order), states, scores, context: self.context }
    }

    /// The answer that a window kept.
    pub fn of(places: &[Place], context: u32, vocabulary: &Vocabulary) -> Result<Self, Error> {
        let states: Vec<u32> = places.iter().map(|place| place.state()).collect();
        let scores: Vec<Option<f64>> = places.iter().map(|place| place.score()).collect();
        let documents = states.iter().map(|state| vocabulary.state_of(*state).document).collect();
        if !places.iter().any(|place| place.is_tied()) {
            return Ok(Self { ranking: Ranking::new(documents)?, states, scores, context });
        }
        // One number for each group of places that tie.
        let groups = places.iter().scan(0.0, |group, place| {
            *group += if place.is_tied() { 0.0 } else { 1.0 };
            Some(Some(*group))
        });
        let ranking = Ranking::with_scores(documents, &groups.collect::<Vec<_>>())?;
        Ok(Self { ranking, states, scores, context })
    }
}

/// Two answers in the closest of the orders that their ties allow, without ties; as they are where nothing ties.
pub(crate) fn aligned<'a>(a: &'a Answer, b: &'a Answer) -> (Cow<'a, Answer>, Cow<'a, Answer>) {
    match closest_orders(&a.ranking, &b.ranking) {
        None => (Cow::Borrowed(a), Cow::Borrowed(b)),
        Some((order_a, order_b)) => (Cow::Owned(a.reordered(&order_a)), Cow::Owned(b.reordered(&order_b))),
    }
}

/// Extrapolated rank-biased overlap, with ties as groups (RBO^b); 1 for answers of which one is an order that the other's ties
/// allow.
pub(crate) fn overlap(a: &Answer, b: &Answer, p: Persistence) -> f64 {
    let (first, second) = aligned(a, b);
    if first.ranking == second.ranking { 1.0 } else { rbo(&a.ranking, &b.ranking, p) }
}

/// How far two answers are apart: the truncated, normalised distance of the closest orders that their ties allow.
pub(crate) fn distance(a: &Answer, b: &Answer, p: Persistence) -> f64 {
    match closest_orders(&a.ranking, &b.ranking) {
        None => truncated_distance(&a.ranking, &b.ranking, p),
        Some((order_a, order_b)) => {
            truncated_distance(&a.ranking.reordered(&order_a), &b.ranking.reordered(&order_b), p)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scores: &[Option<f64>], tied: &[bool]) {
        let mut places = Vec::new();
        Place::list((0..).zip(scores.iter().copied()), &mut places);
        assert_eq!(places.iter().map(|place| place.is_tied()).collect::<Vec<_>>(), tied);
        assert!((0..).zip(&places).all(|(state, place)| place.state() == state));
        assert!(places.iter().all(|place| place.with_state(7).is_tied() == place.is_tied()));
    }

    #[test]
    fn ties_are_those_of_the_scores_as_they_were_sent() {
        // The same number with the 24 bits that are kept.
        check(&[Some(16_777_217.0), Some(16_777_216.0)], &[false, false]);
        check(&[Some(0.9), Some(0.5), Some(0.5), None, None, Some(0.5)], &[false, false, true, false, false, false]);
        // No number with so few bits.
        check(&[Some(1e300), Some(1e300), Some(1e299)], &[false, true, false]);
    }
}
