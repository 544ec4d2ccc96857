//! How far answers of the reference are apart by how far their questions are.

use rayon::prelude::*;
use tidemark_stats::Variogram;

use super::groups::{GROUP, Groups, Question};
use super::{Compared, Key};
use crate::answer::{Answer, distance};
use crate::error::Error;
use crate::intern::{DocumentNumber, FastMap, FastSet};
use crate::observe::{Observed, Unit, UnitSample};
use crate::signatures::Hash;

/// Hashes that differ in half of their bits or more have nothing to do with each other.
const STRANGERS: u32 = 32;
/// From so many questions of the reference, and so many others at each distance from each, the variogram is learnt.
const LEARNT_FROM: usize = 2_000;
const OTHERS: usize = 2;
/// With fewer pairs nothing is learnt.
const PAIRS_MIN: usize = 30;

/// Distances of questions in bits, each with that of their answers; and the distance of two answers to one question.
type Pairs = (Vec<(u32, f64)>, Option<f64>);

/// What was learnt in the reference.
pub(super) struct Learnt {
    pub(super) variogram: Variogram,
    /// How far answers to the same question are apart, where any repeats.
    pub(super) repeats: Option<f64>,
}

/// Learns how far answers to different questions are apart, and those to the same.
pub(super) fn learn(compared: &Compared<'_>, questions: &[Question], hash: Hash) -> Result<Option<Learnt>, Error> {
    let chosen: FastSet<Key> = questions.iter().map(|question| question.key).collect();
    let asked: Vec<(Unit, u64, &[Observed])> = compared
        .judged(0)
        .into_iter()
        .filter(|(unit, _)| chosen.contains(&compared.key(unit)))
        .filter_map(|(unit, sample)| Some((unit, hash(sample.signatures)?, sample.sample.as_slice())))
        .collect();
    let gap = compared.gap();
    let is_apart = |a: &Observed, b: &Observed| (a.occurred_at - b.occurred_at).abs() >= gap;
    let step = asked.len().div_ceil(LEARNT_FROM).max(1);
    let anchors: Vec<usize> = (0..asked.len()).step_by(step).collect();
    let found: Vec<Pairs> = anchors
        .into_par_iter()
        .map(|at| {
            let Some((unit, hash, [first, rest @ ..])) = asked.get(at) else { return Ok(Default::default()) };
            let answer = answer(first, compared)?;
            let mut counts = [0; STRANGERS as usize + 1];
            let mut pairs = Vec::new();
            // Those after it, and then from the beginning.
            for (other, theirs, sample) in asked.iter().cycle().skip(at + 1).take(asked.len() - 1) {
                let apart = (hash ^ theirs).count_ones().min(STRANGERS);
                let Some(count) = counts.get_mut(apart as usize).filter(|count| **count < OTHERS) else { continue };
                let alike = (other.stage, other.limits) == (unit.stage, unit.limits) && other.query != unit.query;
                if let Some(observed) = sample.first().filter(|observed| alike && is_apart(first, observed)) {
                    *count += 1;
                    pairs.push((apart, distance(&answer, &self::answer(observed, compared)?, compared.p)));
                }
            }
            let again = rest
                .iter()
                .find(|again| is_apart(first, again))
                .map(|again| Ok::<_, Error>(distance(&answer, &self::answer(again, compared)?, compared.p)));
            Ok::<_, Error>((pairs, again.transpose()?))
        })
        .collect::<Result<_, Error>>()?;
    let again: Vec<f64> = found.iter().filter_map(|(_, again)| *again).collect();
    let pairs: Vec<(u32, f64)> = found.into_iter().flat_map(|(pairs, _)| pairs).collect();
    if pairs.len() < PAIRS_MIN {
        return Ok(None);
    }
    let repeats = if again.len() < PAIRS_MIN { None } else { crate::scores::mean(&again) };
    Ok(Some(Learnt { variogram: Variogram::fit(pairs, STRANGERS)?, repeats }))
}

fn answer(observed: &Observed, compared: &Compared<'_>) -> Result<Answer, Error> {
    Answer::of(&observed.places, observed.context, compared.vocabulary)
}

/// Groups questions by the document that their answers begin with, and learns how far such answers to questions that are no
/// neighbours are apart. Under whatever is asked, answers that begin alike are as alike as they were.
pub(super) fn alike(
    compared: &Compared<'_>,
    questions: &[Question],
    (hash, radius): (Hash, u32),
) -> Result<Option<(Learnt, Groups)>, Error> {
    type First = (u32, Option<u32>, DocumentNumber);
    let place: FastMap<Key, usize> = questions.iter().enumerate().map(|(at, question)| (question.key, at)).collect();
    let mut groups: FastMap<First, Vec<usize>> = FastMap::default();
    let mut answers: FastMap<First, Vec<(u64, &Observed)>> = FastMap::default();
    for window in [0, 1] {
        for (unit, UnitSample { signatures, sample, .. }) in compared.judged(window) {
            let key = compared.key(&unit);
            let (Some(at), Some(observed), Some(hash)) = (place.get(&key), sample.first(), hash(*signatures)) else {
                continue;
            };
            let Some(first) = observed.places.first() else { continue };
            let first = (unit.stage, key.1, compared.vocabulary.state_of(first.state()).document);
            groups.entry(first).or_default().push(*at);
            if window == 0 {
                answers.entry(first).or_default().push((hash, observed));
            }
        }
    }
    let mut apart = Vec::new();
    for answers in answers.values() {
        let answers = answers.get(..GROUP).unwrap_or(answers);
        for (i, (hash, a)) in answers.iter().enumerate() {
            for (_, b) in answers.iter().skip(i + 1).filter(|(other, _)| (hash ^ other).count_ones() > radius) {
                apart.push((0, distance(&answer(a, compared)?, &answer(b, compared)?, compared.p)));
            }
        }
    }
    if apart.len() < PAIRS_MIN {
        return Ok(None);
    }
    // Neither the order of a hash table nor that of the rows may reach a sum of floating-point numbers.
    apart.sort_by(|a: &(u32, f64), b| a.1.total_cmp(&b.1));
    let mut members: Vec<Vec<usize>> = groups.into_values().collect();
    for group in &mut members {
        group.sort_unstable();
        group.dedup();
    }
    members.sort_unstable();
    let groups = Groups::new(members, questions, radius);
    Ok(Some((Learnt { variogram: Variogram::fit(apart, 0)?, repeats: None }, groups)))
}
