//! Whether the answers changed, and what with.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{Because, Factors, Grounding, Judgement, OutputMeasure, OutputReport};

use crate::document::{Block, Fact, Layout, Section, Table, name, own};
use crate::number::{UNKNOWN, count, estimate, fixed, interval, level, number, percent, probability, size};
use crate::wording::{queries, sentence, state, verdict};

/// Said in the first line.
pub(super) fn clause(report: &Report) -> Option<&'static str> {
    (report.outputs.verdict == Judgement::Drift).then_some(match report.outputs.because {
        Some(Because::Retrieval) => "outputs changed (with the context)",
        Some(Because::Model) => "outputs changed (with the model)",
        Some(Because::Prompt) => "outputs changed (with the prompt)",
        Some(Because::Several) => "outputs changed (with several things at once)",
        Some(Because::Unknown) => "outputs changed (with nothing that was seen)",
        None => "outputs changed",
    })
}

/// What the change goes with: never more than the data bear.
pub(crate) fn because(because: Because) -> &'static str {
    match because {
        Because::Retrieval => {
            "consistent with retrieval: outputs change more often where the context differs, model and prompt being the same"
        }
        Because::Model => "consistent with the model: outputs changed where another model answered",
        Because::Prompt => "consistent with the prompt: outputs changed where another prompt was used",
        Because::Several => {
            "consistent with more than one of context, model and prompt, which changed together; not enough evidence to \
             tell them apart"
        }
        Because::Unknown => "not enough evidence that the change goes with context, model or prompt",
    }
}

/// The number that carries a stable verdict.
pub(super) fn short(report: &Report) -> Option<Fact> {
    let outputs = &report.outputs;
    let base = outputs.base_rate.map_or_else(|| UNKNOWN.to_owned(), percent);
    let meaning = format!("of {}; base rate {base}", queries(outputs.matched_queries));
    let changed = outputs.changed.map_or_else(|| UNKNOWN.to_owned(), |changed| format!("{} changed", percent(changed)));
    (outputs.verdict == Judgement::Stable).then(|| Fact::new("outputs", changed, meaning))
}

/// Why there is no verdict.
pub(super) fn not_judged(outputs: &OutputReport) -> Option<String> {
    if outputs.verdict != Judgement::InsufficientEvidence {
        return None;
    }
    let seen = match outputs.matched_queries {
        0 => return Some("no query has an output in both windows".to_owned()),
        1 => "1 query has an output in both windows".to_owned(),
        n => format!("{} have an output in both windows", queries(n)),
    };
    Some(match outputs.queries_needed {
        Some(needed) => format!("{seen}, a verdict needs {}", size(needed)),
        None => seen,
    })
}

/// The outputs: all about them where they drifted, and the least where they did not.
pub(super) fn section(report: &Report) -> Section {
    let outputs = &report.outputs;
    let asked = match outputs.verdict {
        Judgement::Drift => format!(" ({})", queries(outputs.matched_queries)),
        _ => String::new(),
    };
    let heading = format!("Outputs: {}{asked}", state(outputs.verdict, outputs.changed.is_some()));
    let mut blocks = Vec::new();
    if let Some(fact) = short(report) {
        blocks.push(Block::Paragraph(own(format!("{}, {}.", fact.value, fact.meaning))));
        return Section::headed(heading, blocks);
    }
    if let Some(why) = not_judged(outputs) {
        blocks.push(Block::Paragraph(own(sentence(&why))));
    }
    if outputs.verdict == Judgement::Drift {
        blocks.extend(outputs.because.map(|why| Block::Paragraph(own(sentence(because(why))))));
    }
    if outputs.changed.is_some() {
        blocks.push(Block::Facts(facts(report)));
    }
    if outputs.verdict == Judgement::Drift {
        blocks.extend((!outputs.what_changed.is_empty()).then(|| Block::Table(what_changed(outputs))));
    }
    blocks.extend((!outputs.measures.is_empty()).then(|| Block::Table(measures(report))));
    Section::headed(heading, blocks)
}

fn facts(report: &Report) -> Vec<Fact> {
    let outputs = &report.outputs;
    let confidence = report.retrieval.confidence;
    let share = |share: Option<f64>| share.map_or_else(|| UNKNOWN.to_owned(), percent);
    let difference = points(outputs.risk_difference, outputs.interval, confidence);
    let beyond = "share of the exposed rate beyond the base rate";
    let mut facts = vec![
        Fact::new("changed", share(outputs.changed), "of queries have another output"),
        Fact::new("base rate", share(outputs.base_rate), "with the same context, model and prompt"),
    ];
    // Without a query for which only the context differs there is nothing to set against the base rate.
    if outputs.exposed_rate.is_some() {
        facts.extend([
            Fact::new("exposed rate", share(outputs.exposed_rate), "where only the context differs"),
            Fact::new("risk difference", difference, "exposed minus base rate, 0 = no association"),
            Fact::new("attributable", share(outputs.attributable_fraction), beyond),
        ]);
    }
    if let Some(stratified) = outputs.stratified {
        let strata = match stratified.strata {
            1 => "within 1 stratum".to_owned(),
            n => format!("within {} strata", size(n)),
        };
        let difference = points(Some(stratified.risk_difference), Some(stratified.interval), confidence);
        facts.insert(
            facts.len().min(4),
            Fact::new("stratified", difference, format!("same, {strata} (model, prompt, segment)")),
        );
    }
    if let Some(dose) = outputs.dose_response {
        let value = format!("{} Spearman", number(dose.spearman));
        let meaning = format!("context and output change together; p {}", probability(dose.spearman_p_value));
        facts.push(Fact::new("dose response", value, meaning));
    }
    facts.extend(citations(&outputs.grounding));
    facts
}

fn citations(grounding: &Grounding) -> Option<Fact> {
    let not_retrieved = format!("{} not retrieved", count(grounding.not_retrieved));
    let meaning = match grounding.cited_share {
        Some(share) => format!("{not_retrieved}; {} of retrieved cited", percent(share)),
        None => not_retrieved,
    };
    (grounding.citations > 0).then(|| Fact::new("citations", count(grounding.citations), meaning))
}

/// A difference of shares: `27.0 points [22.0, 32.0] at 95 %`.
fn points(value: Option<f64>, interval: Option<[f64; 2]>, confidence: f64) -> String {
    match (value, interval) {
        (Some(value), Some([low, high])) => {
            let [value, low, high] = [value, low, high].map(|share| fixed(share * 100.0, 1));
            format!("{value} points [{low}, {high}] at {}", level(confidence))
        }
        (Some(value), None) => format!("{} points", fixed(value * 100.0, 1)),
        (None, _) => estimate(None, None, confidence),
    }
}

/// How many outputs changed together with what.
fn what_changed(outputs: &OutputReport) -> Table {
    let columns = [
        ("what differs", Layout::Left),
        ("queries", Layout::Right),
        ("output changed", Layout::Right),
        ("share", Layout::Right),
    ];
    let rows = outputs.what_changed.iter().filter(|row| row.queries > 0).map(|row| {
        [
            own(factors(row.factors)),
            own(size(row.queries)),
            own(size(row.changed)),
            own(percent(row.changed as f64 / row.queries as f64)),
        ]
    });
    Table::new(columns, rows)
}

fn factors(factors: Factors) -> &'static str {
    match factors {
        Factors::Retrieval => "only the context",
        Factors::Model => "only the model",
        Factors::Prompt => "only the prompt",
        Factors::Several => "several of these",
        Factors::None => "none of these",
    }
}

/// Each way in which outputs can change.
fn measures(report: &Report) -> Table {
    let effect = format!("effect, {} interval", level(report.retrieval.confidence));
    let columns = [
        ("measure", Layout::Elided),
        ("verdict", Layout::Left),
        ("reference", Layout::Right),
        ("current", Layout::Right),
        (effect.as_str(), Layout::Left),
        ("matters above", Layout::Right),
        ("p-value", Layout::Right),
    ];
    let rows = report.outputs.measures.iter().map(|measure| {
        [
            name(&measure.measure),
            verdict(measure.verdict),
            own(fixed(measure.reference, 3)),
            own(fixed(measure.current, 3)),
            own(interval(Some(measure.effect), Some(measure.interval))),
            own(number(measure.threshold)),
            own(probability(measure.p_value)),
        ]
    });
    Table::new(columns, rows)
}

/// Whether a change of this measure counts in both directions; distances from the reference only grow.
pub(crate) fn is_two_sided(measure: &OutputMeasure) -> bool {
    !matches!(measure.measure.as_str(), "hash" | "embedding" | "citations")
}
