//! How good the answers are where people judged it.

use std::collections::BTreeMap;

use tidemark_corpus::Judgements;
use tidemark_schema::DocumentId;
use tidemark_stats::{ndcg_at, paired_randomisation_test, recall_at, reciprocal_rank};

use crate::answer::Answer;
use crate::compare::Options;
use crate::error::Error;
use crate::judge::Windows;
use crate::matched::matched;
use crate::report::{MeasureReport, RelevanceReport};
use crate::vocabulary::Vocabulary;

/// The depth of nDCG and recall: what a prompt has room for.
const DEPTH: usize = 10;
/// From this grade on a document is relevant, where grades do not count.
const RELEVANT: u32 = 1;

/// A measure of one answer, given the grades of its documents, best first, and those of all that were judged.
type Measure = fn(&[u32], &[u32]) -> Result<f64, Error>;

const MEASURES: [(&str, Measure); 3] = [
    ("ndcg_at_10", ndcg),
    ("recall_at_10", recall),
    ("reciprocal_rank", |grades, _all| Ok(reciprocal_rank(&relevant(grades)))),
];

/// The measures over the queries that both windows asked and for which a relevant document is known; none if there are no
/// such queries.
pub(crate) fn relevance(
    windows: &Windows,
    judgements: &Judgements,
    options: &Options,
) -> Result<Option<RelevanceReport>, Error> {
    let vocabulary = &windows.vocabulary;
    let mut queries = 0;
    let mut values: [[Vec<f64>; 2]; 3] = Default::default();
    for query in matched(&windows.before, &windows.after, vocabulary) {
        let judged = judgements.of(vocabulary.fingerprints.text(query.fingerprint));
        let Some(judged) = judged.filter(|judged| judged.values().any(|grade| *grade >= RELEVANT)) else { continue };
        queries += 1;
        let answers = query.answers(vocabulary)?;
        for (measure, (_, of)) in values.iter_mut().zip(MEASURES) {
            for (side, answers) in measure.iter_mut().zip([&answers.reference, &answers.current]) {
                side.push(mean(answers, judged, vocabulary, of)?);
            }
        }
    }
    if queries == 0 {
        return Ok(None);
    }
    let measures = values.iter().zip(MEASURES).map(|([reference, current], (name, _))| {
        let test = paired_randomisation_test(reference, current, options.permutations, options.seed)?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        Ok(MeasureReport { name, reference: mean(reference), current: mean(current), p_value: test.p_value })
    });
    Ok(Some(RelevanceReport { queries, measures: measures.collect::<Result<_, Error>>()? }))
}

/// The mean over the answers of one query in one window.
fn mean(
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
