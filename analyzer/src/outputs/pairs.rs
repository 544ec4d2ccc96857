//! One pair of operations for each query.

use rayon::prelude::*;
use tidemark_stats::Persistence;

use crate::answer::{Answer, distance};
use crate::error::Error;
use crate::matched::mean_within;
use crate::observe::{Observed, distinct};
use crate::outcome::{Outcome, cosine_distance};
use crate::report::Factors;
use crate::units::MatchedUnit;
use crate::vocabulary::Vocabulary;

/// Two operations of one query that both have an output.
#[expect(clippy::struct_excessive_bools, reason = "each says of one thing whether it differs")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    /// Truncated distance of the rankings.
    pub(super) distance: f64,
    /// Whether documents, their order or their contents differ.
    pub(super) other_context: bool,
    /// Whether the rankings are farther apart than the reference's answers to the query are from each other.
    pub(super) beyond_noise: bool,
    pub(super) other_model: bool,
    pub(super) other_prompt: bool,
    pub(super) changed: bool,
    /// 1 minus the cosine of the outputs where both have embeddings, else 0 or 1.
    pub(super) output_distance: f64,
    /// Of the later operation.
    pub(super) model: Option<u32>,
    pub(super) prompt: Option<u32>,
    pub(super) segment: u32,
}

impl Pair {
    pub(super) fn factors(&self) -> Factors {
        match (self.other_context, self.other_model, self.other_prompt) {
            (false, false, false) => Factors::None,
            (true, false, false) => Factors::Retrieval,
            (false, true, false) => Factors::Model,
            (false, false, true) => Factors::Prompt,
            _ => Factors::Several,
        }
    }

    fn same_model_and_prompt(&self) -> bool {
        !self.other_model && !self.other_prompt
    }
}

/// The pairs of one query: between the windows, and inside each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trials {
    pub(super) between: Option<Pair>,
    inside: [Option<Pair>; 2],
}

impl Trials {
    /// The pair with another context and the same model and prompt.
    pub(super) fn exposed(&self) -> Option<&Pair> {
        self.between.as_ref().filter(|pair| pair.other_context && pair.same_model_and_prompt())
    }

    /// A pair with the same context, model and prompt: between the windows if there is one, else inside one of them. Where
    /// every context changed, only repeats show how often an output changes by itself.
    pub(super) fn unexposed(&self) -> Option<&Pair> {
        let all = self.between.iter().chain(self.inside.iter().flatten());
        all.filter(|pair| !pair.other_context && pair.same_model_and_prompt()).take(1).next()
    }
}

/// The trials of every matched query.
pub(super) fn trials(
    queries: &[&MatchedUnit<'_>],
    vocabulary: &Vocabulary,
    p: Persistence,
) -> Result<Vec<Trials>, Error> {
    queries.par_iter().map(|query| trials_of(query, vocabulary, p)).collect()
}

fn trials_of(query: &MatchedUnit<'_>, vocabulary: &Vocabulary, p: Persistence) -> Result<Trials, Error> {
    let with_output = |sample: &[&Observed], nth: usize| -> Option<Observed> {
        sample.iter().filter(|observed| observed.outcome.is_some()).nth(nth).map(|observed| (*observed).clone())
    };
    let (before, after) = (with_output(&query.reference, 0), with_output(&query.current, 0));
    let floor = mean_within(&distinct(query.reference.iter().copied(), vocabulary)?, |a, b| distance(a, b, p));
    let pair = |a: &Option<Observed>, b: &Option<Observed>| -> Result<Option<Pair>, Error> {
        match (a, b) {
            (Some(a), Some(b)) => pair(a, b, floor.unwrap_or(0.0), vocabulary, p),
            _ => Ok(None),
        }
    };
    Ok(Trials {
        between: pair(&before, &after)?,
        inside: [pair(&before, &with_output(&query.reference, 1))?, pair(&after, &with_output(&query.current, 1))?],
    })
}

/// None if nothing tells whether the outputs differ.
fn pair(
    first: &Observed,
    second: &Observed,
    floor: f64,
    vocabulary: &Vocabulary,
    p: Persistence,
) -> Result<Option<Pair>, Error> {
    let (Some(before), Some(after)) = (&first.outcome, &second.outcome) else { return Ok(None) };
    let Some((changed, output_distance)) = change(before, after) else { return Ok(None) };
    let (x, y) = (
        Answer::of(&first.places, first.context, vocabulary)?,
        Answer::of(&second.places, second.context, vocabulary)?,
    );
    let apart = distance(&x, &y, p);
    Ok(Some(Pair {
        distance: apart,
        other_context: apart > 0.0 || other_contents(&x, &y, vocabulary),
        beyond_noise: apart > floor + 1e-9 || (floor <= 0.0 && other_contents(&x, &y, vocabulary)),
        other_model: before.model != after.model,
        other_prompt: before.prompt != after.prompt,
        changed,
        output_distance,
        model: after.model,
        prompt: after.prompt,
        segment: second.segment,
    }))
}

/// Whether an output changed, and by how much.
fn change(before: &Outcome, after: &Outcome) -> Option<(bool, f64)> {
    /// Two embeddings of one text differ by rounding; those of two texts by more.
    const SAME_TEXT: f64 = 1e-3;
    let embedded = match (&before.embedding, &after.embedding) {
        (Some(a), Some(b)) => cosine_distance(a, b),
        _ => None,
    };
    let changed = match (before.hash, after.hash) {
        (Some(a), Some(b)) => a != b,
        _ => embedded? > SAME_TEXT,
    };
    Some((changed, embedded.unwrap_or_else(|| f64::from(u8::from(changed)))))
}

/// Whether a document of both answers has another content in the second.
fn other_contents(a: &Answer, b: &Answer, vocabulary: &Vocabulary) -> bool {
    a.states.iter().any(|state| {
        let before = vocabulary.state_of(*state);
        let after = b.states.iter().map(|state| vocabulary.state_of(*state)).find(|s| s.document == before.document);
        after.is_some_and(|after| {
            before.content.zip(after.content).is_some_and(|(before, after)| vocabulary.contents_differ(before, after))
        })
    })
}
