//! What a user of the service would notice, in plain words, before any coefficient: answers that are empty, shorter, made of
//! other documents, in another order, slower or costlier. Over the questions that both windows asked, with the weights of
//! the reference; only what is beyond noise.

use rayon::prelude::*;
use tidemark_stats::{Resampling, jaccard};

use crate::answer::{Answer, aligned};
use crate::compare::Options;
use crate::effect::interval;
use crate::error::Error;
use crate::matched::{Answers, mean_between, mean_within};
use crate::observe::Observed;
use crate::report::{SymptomKind, SymptomReport};
use crate::units::{Matched, MatchedUnit, weight_at};
use crate::vocabulary::Vocabulary;

/// An effect up to this share is not worth a line.
const NOTICEABLE: f64 = 0.005;
/// A change of length, duration or cost up to this part of it is not.
const NOTICEABLE_PART: f64 = 0.02;
/// Durations vary with load.
const SLOWER_PART: f64 = 0.2;

/// One value of a unit in each window.
#[derive(Debug, Clone, Copy)]
struct Both {
    before: f64,
    now: f64,
}

/// What is looked at of one unit.
#[derive(Debug, Clone, Copy)]
struct Looked {
    /// The share of empty answers.
    empty: Both,
    /// Documents of the answers that are not empty.
    length: Option<Both>,
    /// The share of documents of the shorter answer that the other one lacks: of repeats, and between the windows.
    documents: Option<Both>,
    /// The share of pairs of common documents that stand in another order.
    order: Option<Both>,
    latency: Option<Both>,
    cost: Option<Both>,
}

/// The symptoms, largest first.
pub(crate) fn symptoms(
    units: &[usize],
    matched: &Matched<'_>,
    (vocabulary, floors_known): (&Vocabulary, bool),
    options: &Options,
) -> Result<Vec<SymptomReport>, Error> {
    let looked: Vec<(usize, Looked)> = units
        .par_iter()
        .filter_map(|unit| Some((*unit, matched.units.get(*unit)?)))
        .map(|(at, unit)| Ok((at, look(unit, &unit.answers(vocabulary)?, floors_known))))
        .collect::<Result<_, Error>>()?;
    // Six things are looked at: together they are falsely seen in about one stable report of twenty.
    let confidence = 1.0 - (1.0 - options.confidence) / 6.0;
    let resampling = Resampling { confidence, ..options.resampling() };
    let measure = |of: fn(&Looked) -> Option<Both>| -> Result<Option<Found>, Error> {
        let known: Vec<(usize, Both)> = looked.iter().filter_map(|(unit, one)| Some((*unit, of(one)?))).collect();
        let units: Vec<usize> = known.iter().map(|(unit, _)| *unit).collect();
        let weights = matched.weights(&units);
        let differences: Vec<f64> = known.iter().map(|(_, both)| both.now - both.before).collect();
        if known.len() < options.queries_min.min(10) {
            return Ok(None);
        }
        let mean = |of: fn(&Both) -> f64| {
            let weight = |at: usize| weight_at(weights.as_deref(), at);
            let total: f64 = (0..known.len()).map(weight).sum();
            known.iter().enumerate().map(|(at, (_, both))| weight(at) * of(both)).sum::<f64>() / total
        };
        let (before, now) = (mean(|both| both.before), mean(|both| both.now));
        let found = interval(&differences, weights.as_deref(), 0.0, resampling)?;
        Ok(found.map(|found| Found { before, now, low: found.low, high: found.high }))
    };
    let mut found: Vec<(f64, SymptomReport)> = Vec::new();
    let empty = measure(|one| Some(one.empty))?;
    if let Some(empty) = empty.filter(|found| found.is_beyond(NOTICEABLE)) {
        found.push((empty.difference().abs(), empty.report(SymptomKind::EmptyAnswers, empty_text(&empty))));
    }
    let length = measure(|one| one.length)?;
    let usual = length.as_ref().map_or(0.0, |length| length.now);
    if let Some(length) = length.filter(|found| found.is_beyond(NOTICEABLE_PART * found.before)) {
        let shorter = length.now < length.before;
        let kind = if shorter { SymptomKind::ShorterAnswers } else { SymptomKind::LongerAnswers };
        let text = format!("answers hold {} documents in place of {}", plain(length.now), plain(length.before));
        found.push((length.difference().abs() / length.before.max(1.0), length.report(kind, text)));
    }
    let documents = measure(|one| one.documents)?;
    let differ = documents.filter(|found| found.is_beyond(NOTICEABLE) && found.difference() > 0.0);
    if let Some(documents) = differ {
        let text = format!(
            "{} of {} documents differ{}",
            plain(documents.now * usual),
            plain(usual),
            by_chance(documents.before * usual, matched.extrapolation.is_some())
        );
        found.push((documents.difference(), documents.report(SymptomKind::DocumentsDiffer, text)));
    }
    let order = measure(|one| one.order)?;
    if let Some(order) = order.filter(|found| found.is_beyond(NOTICEABLE) && found.difference() > 0.0) {
        let share = percent(order.now);
        let text = if differ.is_some() {
            format!("of the documents that stayed, {share} of the pairs stand in another order")
        } else {
            format!("same documents, other order: {share} of the pairs stand the other way round")
        };
        // A place less is less of a change than a document less.
        found.push((order.difference() / 2.0, order.report(SymptomKind::OrderDiffers, text)));
    }
    let latency = measure(|one| one.latency)?;
    if let Some(latency) = latency.filter(|found| found.low > SLOWER_PART * found.before) {
        let text = format!("retrieval takes {} ms in place of {} ms", plain(latency.now), plain(latency.before));
        found.push((0.0, latency.report(SymptomKind::Slower, text)));
    }
    let cost = measure(|one| one.cost)?;
    if let Some(cost) = cost.filter(|found| found.low > NOTICEABLE_PART * found.before) {
        let text = format!("a retrieval costs {:.6} USD in place of {:.6} USD", cost.now, cost.before);
        found.push((0.0, cost.report(SymptomKind::Costlier, text)));
    }
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    Ok(found.into_iter().map(|(_, symptom)| symptom).collect())
}

/// A mean in both windows, and the interval of the difference over units.
#[derive(Debug, Clone, Copy)]
struct Found {
    before: f64,
    now: f64,
    low: f64,
    high: f64,
}

impl Found {
    fn difference(&self) -> f64 {
        self.now - self.before
    }

    /// Whether the interval excludes 0, and the difference exceeds what is noticeable.
    fn is_beyond(&self, noticeable: f64) -> bool {
        (self.low > 0.0 || self.high < 0.0) && self.difference().abs() > noticeable
    }

    fn report(&self, kind: SymptomKind, text: String) -> SymptomReport {
        SymptomReport { kind, reference: self.before, current: self.now, interval: [self.low, self.high], text }
    }
}

fn empty_text(empty: &Found) -> String {
    if empty.now > 0.995 {
        return format!("every answer is empty ({} before)", percent(empty.before));
    }
    format!("{} of answers are empty ({} before)", percent(empty.now), percent(empty.before))
}

fn by_chance(apart: f64, are_neighbours: bool) -> String {
    let between = if are_neighbours { "similar queries" } else { "repeats" };
    if apart >= 0.05 { format!(" ({} between {between})", plain(apart)) } else { String::new() }
}

/// `21 %`, `0.4 %`.
fn percent(share: f64) -> String {
    let share = share * 100.0;
    if share > 0.0 && share < 9.95 { format!("{share:.1} %") } else { format!("{share:.0} %") }
}

/// `8`, `7.6`.
fn plain(value: f64) -> String {
    if (value - value.round()).abs() < 0.05 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn look(unit: &MatchedUnit<'_>, answers: &Answers, floors_known: bool) -> Looked {
    let both =
        |of: &dyn Fn(&[&Observed]) -> Option<f64>| Some(Both { before: of(&unit.reference)?, now: of(&unit.current)? });
    let share_empty = |sample: &[&Observed]| {
        let empty = sample.iter().filter(|observed| observed.places.is_empty()).count();
        Some(empty as f64 / sample.len().max(1) as f64)
    };
    let length = |sample: &[&Observed]| {
        let full: Vec<f64> =
            sample.iter().map(|observed| observed.places.len() as f64).filter(|length| *length > 0.0).collect();
        crate::scores::mean(&full)
    };
    let of_numbers = |number: fn(&Observed) -> f32| {
        move |sample: &[&Observed]| {
            let known: Vec<f64> =
                sample.iter().map(|observed| f64::from(number(observed))).filter(|value| value.is_finite()).collect();
            crate::scores::mean(&known)
        }
    };
    let full = |answers: &[(Answer, f64)]| -> Vec<(Answer, f64)> {
        answers.iter().filter(|(answer, _)| !answer.ranking.is_empty()).cloned().collect()
    };
    let (reference, current) = (full(&answers.reference), full(&answers.current));
    let compared = |of: fn(&Answer, &Answer) -> f64| {
        let now = (!reference.is_empty() && !current.is_empty()).then(|| mean_between(&reference, &current, of))?;
        // Where nothing repeats what repeats differ by is unknown, and all of it is said.
        let before = mean_within(&reference, of).or_else(|| (!floors_known).then_some(0.0))?;
        Some(Both { before, now })
    };
    Looked {
        empty: both(&share_empty).unwrap_or(Both { before: 0.0, now: 0.0 }),
        length: both(&length),
        documents: compared(lacking),
        order: compared(turned_pairs),
        latency: both(&of_numbers(|observed| observed.latency_ms)),
        cost: both(&of_numbers(|observed| observed.cost_usd)),
    }
}

/// The share of the shorter answer's documents that the longer one lacks.
fn lacking(a: &Answer, b: &Answer) -> f64 {
    let (m, n) = (a.ranking.len() as f64, b.ranking.len() as f64);
    let jaccard = jaccard(&a.ranking, &b.ranking);
    // |a & b| from the similarity: jaccard = common / (m + n - common).
    let common = jaccard * (m + n) / (1.0 + jaccard);
    1.0 - common / m.min(n).max(1.0)
}

/// The share of the pairs of common documents that stand in another order, ties aside.
fn turned_pairs(a: &Answer, b: &Answer) -> f64 {
    let (a, b) = aligned(a, b);
    let places: Vec<usize> = a
        .ranking
        .items()
        .iter()
        .filter_map(|document| b.ranking.items().iter().position(|other| other == document))
        .collect();
    let (mut turned, mut pairs) = (0.0, 0.0);
    for (i, first) in places.iter().enumerate() {
        for second in places.iter().skip(i + 1) {
            pairs += 1.0;
            turned += f64::from(u8::from(first > second));
        }
    }
    if pairs > 0.0 { turned / pairs } else { 0.0 }
}
