//! Better or worse: a change is not yet a harm. For the questions whose answers changed, whatever is known of quality is
//! compared: judged documents, what people said, evaluations, refusals, citations.

use std::collections::{BTreeMap, BTreeSet};

use tidemark_corpus::Qrels;
use tidemark_schema::DocumentId;
use tidemark_stats::{ndcg_at, paired_randomisation_test, recall_at, reciprocal_rank};

use crate::answer::Answer;
use crate::compare::Options;
use crate::effect::interval;
use crate::error::Error;
use crate::matched::UnitChange;
use crate::observe::Observed;
use crate::outcome::Outcome;
use crate::report::{MeasureReport, QualityMeasure, QualityReport, QualityVerdict, RelevanceReport};
use crate::scores::{mean, standard_deviation};
use crate::units::{Matched, MatchedUnit, weight_at};
use crate::vocabulary::Vocabulary;

/// The depth of nDCG and recall: what a prompt has room for.
const DEPTH: usize = 10;
/// From this grade on a document is relevant, where grades do not count.
const RELEVANT: u32 = 1;
/// With fewer questions a measure decides nothing.
const QUESTIONS_MIN: usize = 10;
/// An interval within this many standard deviations of the reference says "the same" (a small effect, Cohen 1988).
const SAME: f64 = 0.2;
/// Words in the names of evaluations of which less is better.
const LESS_IS_BETTER: [&str; 9] =
    ["toxicity", "hallucination", "error", "latency", "cost", "perplexity", "bias", "harm", "distance"];

/// A measure of one answer, given the grades of its documents, best first, and those of all that were judged.
type Measure = fn(&[u32], &[u32]) -> Result<f64, Error>;

const MEASURES: [(&str, Measure); 3] = [
    ("ndcg_at_10", ndcg),
    ("recall_at_10", recall),
    ("reciprocal_rank", |grades, _all| Ok(reciprocal_rank(&relevant(grades)))),
];

/// One value of a unit in each window.
type Both = (usize, f64, f64);

/// Quality of the questions that changed; and, where documents were judged, relevance over all questions.
pub(crate) fn quality(
    units: &[usize],
    matched: &Matched<'_>,
    changes: &[UnitChange],
    qrels: Option<&Qrels>,
    (vocabulary, options): (&Vocabulary, &Options),
) -> Result<(QualityReport, Option<RelevanceReport>), Error> {
    let changed: Vec<usize> = units
        .iter()
        .copied()
        .filter(|unit| {
            changes.get(*unit).is_some_and(|change| change.distance > change.within_reference.unwrap_or(0.0) + 1e-9)
        })
        .collect();
    let is_changed: BTreeSet<usize> = changed.iter().copied().collect();
    let mut found: Vec<(String, bool, Vec<Both>)> = Vec::new();
    let mut relevance = None;
    if let Some(qrels) = qrels {
        let graded = graded(units, matched, qrels, vocabulary)?;
        relevance = relevance_report(&graded, options)?;
        let ndcg = graded[0].iter().filter(|(unit, _, _)| is_changed.contains(unit)).copied().collect();
        found.push((MEASURES[0].0.to_owned(), true, ndcg));
    }
    let of: Vec<(usize, &MatchedUnit<'_>)> =
        changed.iter().filter_map(|at| Some((*at, matched.units.get(*at)?))).collect();
    found.push(("feedback".to_owned(), true, values(&of, |outcome, _| outcome.feedback.map(f64::from))));
    for name in evaluations(&of, vocabulary) {
        let label = vocabulary.outputs.text(name).to_owned();
        let lower = label.to_lowercase();
        let higher_is_better = !LESS_IS_BETTER.iter().any(|word| lower.contains(word));
        let score = |outcome: &Outcome, _: &Observed| {
            let at = outcome.scores.binary_search_by_key(&name, |(other, _)| *other).ok()?;
            outcome.scores.get(at).map(|(_, score)| f64::from(*score))
        };
        found.push((format!("score:{label}"), higher_is_better, values(&of, score)));
    }
    let refused = |outcome: &Outcome, _: &Observed| outcome.refusal.map(|refusal| f64::from(u8::from(refusal)));
    found.push(("refusal".to_owned(), false, values(&of, refused)));
    let cites = |current: bool| {
        let mut outcomes =
            of.iter().flat_map(|(_, unit)| unit.sample(current)).filter_map(|observed| observed.outcome.as_ref());
        outcomes.any(|outcome| !outcome.citations.is_empty())
    };
    if cites(false) && cites(true) {
        found.push((
            "cited".to_owned(),
            true,
            values(&of, |outcome, observed| Some(cited(outcome, observed, vocabulary))),
        ));
    }
    // What never varies (nobody refused before, nobody refuses now) tells nothing.
    let varies = |values: &[Both]| {
        let mut all = values.iter().flat_map(|(_, before, now)| [*before, *now]);
        let first = all.next();
        all.any(|value| Some(value) != first)
    };
    found.retain(|(_, _, values)| values.len() > 1 && varies(values));
    // Several things are looked at, and any of them may decide.
    let confidence = 1.0 - (1.0 - options.confidence) / found.len().max(1) as f64;
    let options = &Options { confidence, ..*options };
    let mut report = QualityReport { queries: changed.len(), ..QualityReport::default() };
    for (measure, higher_is_better, values) in found {
        let Some((measure, says)) = measured(measure, higher_is_better, &values, matched, options)? else { continue };
        let decides = match (report.verdict, says) {
            (QualityVerdict::Improved | QualityVerdict::Worse, _) => false,
            (_, QualityVerdict::Improved | QualityVerdict::Worse) => true,
            (QualityVerdict::Same, _) => false,
            (_, QualityVerdict::Same) => true,
            (verdict, _) => verdict == QualityVerdict::Unknown,
        };
        if decides {
            report.verdict = says;
            report.decided_by = Some(measure.measure.clone());
        }
        report.measures.push(measure);
    }
    Ok((report, relevance))
}

/// The means of a value over the operations of each unit in both windows, where both know it.
fn values(units: &[(usize, &MatchedUnit<'_>)], value: impl Fn(&Outcome, &Observed) -> Option<f64>) -> Vec<Both> {
    let of = |sample: &[&Observed]| {
        let known: Vec<f64> =
            sample.iter().filter_map(|observed| value(observed.outcome.as_deref()?, observed)).collect();
        mean(&known)
    };
    units.iter().filter_map(|(at, unit)| Some((*at, of(&unit.reference)?, of(&unit.current)?))).collect()
}

/// How many of the retrieved documents the output cites.
fn cited(outcome: &Outcome, observed: &Observed, vocabulary: &Vocabulary) -> f64 {
    let document = |place: &crate::answer::Place| vocabulary.state_of(place.state()).document;
    let cited = observed.places.iter().filter(|place| outcome.citations.binary_search(&document(place)).is_ok());
    cited.count() as f64
}

/// The evaluations that both windows carry, most frequent first.
fn evaluations(units: &[(usize, &MatchedUnit<'_>)], vocabulary: &Vocabulary) -> Vec<u32> {
    let mut counted: BTreeMap<u32, usize> = BTreeMap::new();
    for observed in units.iter().flat_map(|(_, unit)| &unit.current) {
        for (name, _) in observed.outcome.iter().flat_map(|outcome| outcome.scores.iter()) {
            *counted.entry(*name).or_default() += 1;
        }
    }
    let mut most: Vec<(u32, usize)> = counted.into_iter().collect();
    most.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), vocabulary.outputs.text(*name)));
    most.into_iter().map(|(name, _)| name).take(10).collect()
}

fn measured(
    measure: String,
    higher_is_better: bool,
    values: &[Both],
    matched: &Matched<'_>,
    options: &Options,
) -> Result<Option<(QualityMeasure, QualityVerdict)>, Error> {
    let differences: Vec<f64> = values.iter().map(|(_, before, now)| now - before).collect();
    let units: Vec<usize> = values.iter().map(|(unit, _, _)| *unit).collect();
    let Some(found) = interval(&differences, matched.weights(&units).as_deref(), 0.0, options.resampling())? else {
        return Ok(None);
    };
    let weights = matched.weights(&units);
    let average = |of: fn(&Both) -> f64| {
        let weight = |at: usize| weight_at(weights.as_deref(), at);
        let total: f64 = (0..values.len()).map(weight).sum();
        values.iter().enumerate().map(|(at, both)| weight(at) * of(both)).sum::<f64>() / total
    };
    let spread = standard_deviation(&values.iter().map(|(_, before, _)| *before).collect::<Vec<_>>());
    let (rose, fell) = (found.low > 0.0, found.high < 0.0);
    let says = if values.len() < QUESTIONS_MIN {
        QualityVerdict::InsufficientEvidence
    } else if rose || fell {
        if rose == higher_is_better { QualityVerdict::Improved } else { QualityVerdict::Worse }
    } else if found.low >= -SAME * spread && found.high <= SAME * spread {
        QualityVerdict::Same
    } else {
        QualityVerdict::InsufficientEvidence
    };
    let measure = QualityMeasure {
        measure,
        queries: values.len(),
        reference: average(|both| both.1),
        current: average(|both| both.2),
        difference: found.estimate,
        interval: [found.low, found.high],
        higher_is_better,
    };
    Ok(Some((measure, says)))
}

/// Each measure of relevance for the units of which a relevant document is known.
fn graded(
    units: &[usize],
    matched: &Matched<'_>,
    qrels: &Qrels,
    vocabulary: &Vocabulary,
) -> Result<[Vec<Both>; 3], Error> {
    let mut values: [Vec<Both>; 3] = Default::default();
    for at in units {
        let Some(unit) = matched.units.get(*at) else { continue };
        let judged = qrels.of(vocabulary.queries.text(unit.query));
        let Some(judged) = judged.filter(|judged| judged.values().any(|grade| *grade >= RELEVANT)) else { continue };
        let answers = unit.answers(vocabulary)?;
        for (values, (_, of)) in values.iter_mut().zip(MEASURES) {
            let before = graded_mean(&answers.reference, judged, vocabulary, of)?;
            values.push((*at, before, graded_mean(&answers.current, judged, vocabulary, of)?));
        }
    }
    Ok(values)
}

fn relevance_report(graded: &[Vec<Both>; 3], options: &Options) -> Result<Option<RelevanceReport>, Error> {
    let queries = graded[0].len();
    if queries == 0 {
        return Ok(None);
    }
    let measures = graded.iter().zip(MEASURES).map(|(values, (name, _))| {
        let (reference, current): (Vec<f64>, Vec<f64>) = values.iter().map(|(_, before, now)| (*before, *now)).unzip();
        let test = paired_randomisation_test(&reference, &current, options.permutations, options.seed)?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        Ok(MeasureReport { name, reference: mean(&reference), current: mean(&current), p_value: test.p_value })
    });
    Ok(Some(RelevanceReport { queries, measures: measures.collect::<Result<_, Error>>()? }))
}

/// The mean over the answers of one unit in one window.
fn graded_mean(
    answers: &[(Answer, f64)],
    judged: &BTreeMap<DocumentId, u32>,
    vocabulary: &Vocabulary,
    of: Measure,
) -> Result<f64, Error> {
    let all: Vec<u32> = judged.values().copied().collect();
    let (mut sum, mut weight) = (0.0, 0.0);
    for (answer, times) in answers {
        let grade = |state: &u32| {
            let id = vocabulary.documents.text(vocabulary.state_of(*state).document);
            id.parse::<DocumentId>().ok().and_then(|id| judged.get(&id).copied()).unwrap_or_default()
        };
        let grades: Vec<u32> = answer.states.iter().map(grade).collect();
        sum += times * of(&grades, &all)?;
        weight += times;
    }
    Ok(sum / weight)
}

fn ndcg(grades: &[u32], all: &[u32]) -> Result<f64, Error> {
    let gains = |grades: &[u32]| grades.iter().copied().map(f64::from).collect::<Vec<f64>>();
    Ok(ndcg_at(&gains(grades), &gains(all), DEPTH)?)
}

fn recall(grades: &[u32], all: &[u32]) -> Result<f64, Error> {
    let total = all.iter().filter(|grade| **grade >= RELEVANT).count();
    Ok(recall_at(&relevant(grades), total, DEPTH)?)
}

fn relevant(grades: &[u32]) -> Vec<bool> {
    grades.iter().map(|grade| *grade >= RELEVANT).collect()
}
