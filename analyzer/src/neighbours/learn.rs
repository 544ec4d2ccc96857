//! How far answers of the reference are apart by how far their questions are.

use rayon::prelude::*;
use tidemark_stats::Variogram;

use super::groups::{GROUP, Groups, Question};
use super::{Compared, Key};
use crate::answer::{Answer, distance};
use crate::error::Error;
use crate::intern::{DocumentNumber, FastMap};
use crate::observe::{Observed, Unit, UnitSample};

/// Hashes that differ in half of their bits or more have nothing to do with each other.
const STRANGERS: u32 = 32;
/// From so many questions of the reference, and so many others at each distance from each, the variogram is learnt.
const LEARNT_FROM: usize = 2_000;
const OTHERS: usize = 2;
/// With fewer pairs of questions, fewer questions that repeat, or fewer groups of answers that begin alike, nothing is learnt.
const PAIRS_MIN: usize = 30;
const REPEATS_MIN: usize = 10;
const GROUPS_MIN: usize = 5;

/// What was learnt in the reference.
pub(super) struct Learnt {
    pub(super) variogram: Variogram,
    /// How far answers to the same question are apart, where any repeats.
    pub(super) repeats: Option<f64>,
}

/// What a unit of the reference was asked and answered.
type Asked<'a> = (Unit, u64, &'a [Observed]);

/// Learns how far answers to different questions are apart, and those to the same.
pub(super) fn learn(compared: &Compared<'_>, questions: &[Question]) -> Result<Option<Learnt>, Error> {
    let hashes: FastMap<Key, u64> = questions.iter().map(|question| (question.key, question.hash)).collect();
    let judged = compared.judged(0);
    let asked = judged
        .iter()
        .filter_map(|(unit, sample)| Some((*unit, *hashes.get(&compared.key(unit))?, sample.sample.as_slice())));
    let asked: Vec<Asked<'_>> = asked.collect();
    let pairs: Vec<Vec<(u32, f64)>> =
        spread(asked.len()).map(|at| pairs_of(at, &asked, compared)).collect::<Result<_, Error>>()?;
    let pairs: Vec<(u32, f64)> = pairs.into_iter().flatten().collect();
    if pairs.len() < PAIRS_MIN {
        return Ok(None);
    }
    let repeated: Vec<&Asked<'_>> = asked.iter().filter(|(_, _, sample)| sample.len() > 1).collect();
    let again: Vec<Option<f64>> = spread(repeated.len())
        .map(|at| repeated.get(at).map_or(Ok(None), |(_, _, sample)| again(sample, compared)))
        .collect::<Result<_, Error>>()?;
    let again: Vec<f64> = again.into_iter().flatten().collect();
    let repeats = if again.len() < REPEATS_MIN { None } else { crate::scores::mean(&again) };
    Ok(Some(Learnt { variogram: Variogram::fit(pairs, STRANGERS)?, repeats }))
}

/// Places that are evenly spread over so many, not more than are learnt from.
fn spread(places: usize) -> impl ParallelIterator<Item = usize> {
    let step = places.div_ceil(LEARNT_FROM).max(1);
    (0..places).into_par_iter().step_by(step)
}

/// Whether two operations of the reference are of two conversations.
fn are_apart(a: &Observed, b: &Observed, compared: &Compared<'_>) -> bool {
    (a.occurred_at - b.occurred_at).abs() >= compared.gap(0)
}

/// How far the answer of one unit is from those to other questions, by how far these are.
fn pairs_of(at: usize, asked: &[Asked<'_>], compared: &Compared<'_>) -> Result<Vec<(u32, f64)>, Error> {
    let Some((unit, hash, [first, ..])) = asked.get(at) else { return Ok(Vec::new()) };
    let own = answer(first, compared)?;
    let mut counts = [0; STRANGERS as usize + 1];
    let mut pairs = Vec::new();
    // Those after it, and then from the beginning.
    let (before, after) = asked.split_at(at);
    for (other, theirs, sample) in after.iter().skip(1).chain(before) {
        let apart = (hash ^ theirs).count_ones().min(STRANGERS);
        let Some(count) = counts.get_mut(apart as usize).filter(|count| **count < OTHERS) else { continue };
        let alike = (other.stage, other.limits) == (unit.stage, unit.limits) && other.query != unit.query;
        if let Some(observed) = sample.first().filter(|observed| alike && are_apart(first, observed, compared)) {
            *count += 1;
            pairs.push((apart, distance(&own, &answer(observed, compared)?, compared.p)));
        }
    }
    Ok(pairs)
}

/// How far two answers to one question are apart.
fn again(sample: &[Observed], compared: &Compared<'_>) -> Result<Option<f64>, Error> {
    let Some((first, rest)) = sample.split_first() else { return Ok(None) };
    let Some(again) = rest.iter().find(|again| are_apart(first, again, compared)) else { return Ok(None) };
    Ok(Some(distance(&answer(first, compared)?, &answer(again, compared)?, compared.p)))
}

fn answer(observed: &Observed, compared: &Compared<'_>) -> Result<Answer, Error> {
    Answer::of(&observed.places, observed.context, compared.vocabulary)
}

/// What answers begin with: the stage, the tenant and the document.
type First = (u32, Option<u32>, DocumentNumber);

/// Groups questions by the document that their answers begin with, and learns how far such answers to questions that are no
/// neighbours are apart: on average over the questions, as groups count by how many they hold.
pub(super) fn alike(
    compared: &Compared<'_>,
    questions: &[Question],
    radius: u32,
) -> Result<Option<(Learnt, Groups)>, Error> {
    let place: FastMap<Key, usize> = questions.iter().enumerate().map(|(at, question)| (question.key, at)).collect();
    let mut is_grouped = vec![false; questions.len()];
    let mut groups: FastMap<First, Vec<usize>> = FastMap::default();
    let mut answers: FastMap<First, Vec<(u64, &Observed)>> = FastMap::default();
    for window in [0, 1] {
        for (unit, UnitSample { sample, .. }) in compared.judged(window) {
            let key = compared.key(&unit);
            let (Some(at), Some(observed)) = (place.get(&key), sample.first()) else { continue };
            let (Some(question), Some(first)) = (questions.get(*at), observed.places.first()) else { continue };
            let first = (unit.stage, key.1, compared.vocabulary.state_of(first.state()).document);
            // A question that is answered in several ways is in the first group alone.
            if is_grouped.get_mut(*at).is_some_and(|grouped| !std::mem::replace(grouped, true)) {
                groups.entry(first).or_default().push(*at);
                if window == 0 {
                    answers.entry(first).or_default().push((question.hash, observed));
                }
            }
        }
    }
    let mut apart: Vec<(f64, f64)> = answers
        .into_values()
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|answers| far(&answers, radius, compared))
        .collect::<Result<Vec<_>, Error>>()?
        .into_iter()
        .flatten()
        .collect();
    if apart.len() < GROUPS_MIN {
        return Ok(None);
    }
    // Neither the order of a hash table nor that of the rows may reach a sum of floating-point numbers.
    apart.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let weight: f64 = apart.iter().map(|(weight, _)| weight).sum();
    let mean = apart.iter().map(|(weight, apart)| weight * apart).sum::<f64>() / weight;
    let mut members: Vec<Vec<usize>> = groups.into_values().collect();
    members.sort_unstable();
    let groups = Groups::new(members, questions, radius);
    Ok(Some((Learnt { variogram: Variogram::fit([(0, mean)], 0)?, repeats: None }, groups)))
}

/// How many answers of a group are to questions that are no neighbours, and how far these are apart.
fn far(answers: &[(u64, &Observed)], radius: u32, compared: &Compared<'_>) -> Result<Option<(f64, f64)>, Error> {
    let answers = answers.get(..GROUP).unwrap_or(answers);
    let known: Vec<(u64, Answer)> = answers
        .iter()
        .map(|(hash, observed)| Ok((*hash, answer(observed, compared)?)))
        .collect::<Result<_, Error>>()?;
    let mut apart = Vec::new();
    for (i, (hash, a)) in known.iter().enumerate() {
        let strangers = known.iter().skip(i + 1).filter(|(other, _)| (hash ^ other).count_ones() > radius);
        apart.extend(strangers.map(|(_, b)| distance(a, b, compared.p)));
    }
    Ok(crate::scores::mean(&apart).map(|mean| (known.len() as f64, mean)))
}
