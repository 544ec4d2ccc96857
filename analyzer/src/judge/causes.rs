//! The causes of whatever changed beyond noise, dimension by dimension.

use tidemark_stats::Persistence;

use crate::causes::{Cause, Classifier, sentence, shares};
use crate::error::Error;
use crate::matched::MatchedQuery;
use crate::observe::Observations;
use crate::report::{Affects, CauseReport, Judgement, MultiplicityReport, RetrievalReport, ScoreReport, TrafficReport};

pub(super) fn of(
    (retrieval, multiplicity): (&RetrievalReport, &MultiplicityReport),
    traffic: &TrafficReport,
    (queries, after): (&[MatchedQuery<'_>], &Observations),
    (renamed, declared): (usize, (&[String], &[String])),
    classifier: &Classifier<'_>,
    p: Persistence,
) -> Result<Vec<CauseReport>, Error> {
    let mut causes = Vec::new();
    if beyond_noise(retrieval, multiplicity) {
        let agreement = classifier.rescoring.order_agreement;
        causes.extend(shares(queries, classifier, p)?.iter().map(|share| CauseReport {
            cause: share.cause,
            affects: Affects::Ranking,
            share: share.part,
            declared: share.declared,
            evidence: sentence(share, queries.len(), declared, agreement, classifier.vocabulary),
        }));
    }
    if retrieval.scores.verdict == Judgement::Drift {
        causes.push(of_scores(&retrieval.scores, classifier, queries));
    }
    if traffic.verdict == Judgement::Drift {
        causes.push(of_traffic(traffic));
    }
    if renamed > 0 {
        causes.push(CauseReport {
            cause: Cause::IdChurn,
            affects: Affects::Identity,
            share: 1.0,
            declared: declared.0 != declared.1,
            evidence: format!(
                "{renamed} of {} queries return documents under new ids with unchanged content; rankings are compared by content",
                after.queries.len()
            ),
        });
    }
    Ok(causes)
}

/// Whether rankings changed beyond noise, be it by less than matters: whoever waits for more evidence, or wonders about a
/// small change, is helped by knowing where to look.
fn beyond_noise(retrieval: &RetrievalReport, multiplicity: &MultiplicityReport) -> bool {
    let test = multiplicity.tests.iter().find(|test| test.verdict == "retrieval");
    retrieval.matched_queries >= retrieval.queries_min
        && retrieval.excess_change.is_some_and(|excess| excess > 0.0)
        && test.is_some_and(|test| test.adjusted_p_value < multiplicity.alpha)
}

fn of_scores(scores: &ScoreReport, classifier: &Classifier<'_>, queries: &[MatchedQuery<'_>]) -> CauseReport {
    let cause = if classifier.rescoring.is_rescaling() { Cause::Scoring } else { Cause::Embedding };
    let context = |sample: &crate::observe::QuerySample| sample.sample.first().map(|observed| observed.context);
    let declares = |query: &&MatchedQuery<'_>| match (context(query.reference), context(query.current)) {
        (Some(a), Some(b)) => classifier.declares_other_search(a, b),
        _ => false,
    };
    let declared = queries.iter().filter(declares).count() * 2 > queries.len();
    let number = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.3}"));
    CauseReport {
        cause,
        affects: Affects::Scores,
        share: 1.0,
        declared,
        evidence: format!(
            "scores of unchanged documents moved by {} in {} queries: scale {}, order agreement {}; {}",
            number(scores.shift),
            scores.queries,
            number(scores.scale),
            number(scores.order_agreement),
            if declared { "a change of embedder, index or retriever was declared" } else { "nothing was declared" }
        ),
    }
}

/// Nobody declares what users will ask.
fn of_traffic(traffic: &TrafficReport) -> CauseReport {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let mut evidence = format!(
        "the windows have {} of their operations in common, by fingerprint",
        percent(traffic.fingerprint_overlap.unwrap_or(0.0))
    );
    if let Some(class) = traffic.shifted.first() {
        let named =
            class.example.as_ref().map_or_else(|| "rare queries".to_owned(), |name| format!("queries like {name}"));
        evidence.push_str(&format!(
            "; {named} went from {} to {} of the operations",
            percent(class.reference_share),
            percent(class.current_share)
        ));
    }
    if let Some(top) = traffic.marginals.iter().find(|marginal| marginal.measure == "top_score") {
        evidence.push_str(&format!(
            "; the mean top score changed by {:.4}, {:.4} of it through the mix of queries",
            top.change, top.mix
        ));
    }
    CauseReport { cause: Cause::QueryMix, affects: Affects::Traffic, share: 1.0, declared: false, evidence }
}
