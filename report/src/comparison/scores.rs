//! Scores of unchanged documents.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{Judgement, ScoreReport};

use crate::document::{Block, Fact, Section, own};
use crate::number::{estimate, known};
use crate::wording::{matters_above, p_value, queries, sentence, tested_by, with_unit, word};

pub(super) fn section(report: &Report) -> Section {
    let scores = &report.retrieval.scores;
    if let Some(why) = not_judged(report) {
        let why = vec![Block::Paragraph(own(sentence(&why)))];
        return Section::headed("Scores of unchanged documents: NOT JUDGED", why);
    }
    let heading = format!("Scores of unchanged documents: {} ({})", word(scores.verdict), queries(scores.queries));
    Section::headed(heading, vec![Block::Facts(facts(report))])
}

/// The numbers behind the verdict on scores; none if there was nothing to compare.
pub(super) fn facts(report: &Report) -> Vec<Fact> {
    let scores = &report.retrieval.scores;
    if scores.effect.is_none() {
        return Vec::new();
    }
    let kind = unit(scores);
    vec![
        Fact::new(
            "effect",
            estimate(scores.effect, scores.interval, report.retrieval.confidence),
            format!("standard deviations, 0 = same; {}", matters_above(scores.threshold)),
        ),
        Fact::new("shift", with_unit(scores.shift, kind), "current minus reference, 0 = same"),
        Fact::new("scale", known(scores.scale), "slope of current on reference, 1 = same"),
        Fact::new("order agreement", with_unit(scores.order_agreement, "tau-b"), "1 = same order, -1 = reversed"),
        Fact::new("p-value", p_value(scores.p_value), tested_by(Some("bootstrap"))),
    ]
}

/// Why there is no verdict.
pub(super) fn not_judged(report: &Report) -> Option<String> {
    let scores = &report.retrieval.scores;
    let seen = match scores.queries {
        0 => "no query".to_owned(),
        n => format!("only {}", queries(n)),
    };
    (scores.verdict == Judgement::InsufficientEvidence)
        .then(|| format!("{seen} returned an unchanged document with a comparable score in both windows"))
}

/// The unit of the scores.
pub(super) fn unit(scores: &ScoreReport) -> &'static str {
    scores.kind.map_or("score", |kind| match kind {
        tidemark_schema::ScoreKind::Other => "score",
        known => known.as_str(),
    })
}
