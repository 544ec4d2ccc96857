//! How a report came to its verdicts, number by number.
//!
//! What passes and what fails is decided here again, from the numbers in the report and nothing else: a verdict that its
//! own numbers do not bear shows as what it is.

mod segments;
mod steps;

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{Affects, CauseReport};

use crate::comparison::{NO_CAUSE, because, cause_groups, declared, finding, subtitle, title};
use crate::document::{Block, Document, Layout, Section, Table, Text, Tone, name, own};
use crate::number::{UNKNOWN, interval, level, number, percent, probability, size};
use crate::wording::{short_word, tone, word};

use steps::{Chain, Effect};

/// The way to every verdict of a comparison, as a document.
pub fn explanation(report: &Report) -> Document {
    let mut sections = vec![Section::unheaded(Block::Paragraph(own(RULE).toned(Tone::Quiet)))];
    sections.extend(steps::chains(report).iter().map(|chain| section(report, chain)));
    sections.extend(causes(report));
    sections.extend(segments::section(report));
    sections.push(integrity(report));
    Document { title: title(report), subtitle: Some(subtitle(report)), sections }
}

/// What has to come together for a verdict of `drift`.
const RULE: &str = "A verdict is DRIFT if all three pass: enough was seen, the interval of the effect lies beyond what \
                    matters, and the test says that chance does not explain it.";

fn section(report: &Report, chain: &Chain) -> Section {
    let row = |name: &str, passes: Option<bool>, says: Text| [own(name), outcome(passes), says];
    let mut rows = vec![row("seen", Some(chain.enough), own(&chain.seen))];
    rows.extend(chain.remarks.iter().map(|(name, says)| row(name, None, own(says))));
    for effect in &chain.effects {
        rows.push(row("effect", Some(effect.passes()), effect_words(effect, report.retrieval.confidence)));
    }
    if chain.effects.is_empty() {
        rows.push(row("effect", Some(false), own("nothing was measured")));
    }
    rows.push(row("p-value", None, own(p_value_words(chain))));
    rows.push(row("test", Some(chain.test_passes()), own(test_words(chain, report))));
    if let Some(goes_with) = report.outputs.because.filter(|_| chain.name == "outputs") {
        rows.push(row("goes with", None, own(because(goes_with))));
    }
    rows.push(conclusion(chain));
    let columns = [("", Layout::Left), ("", Layout::Left), ("", Layout::Left)];
    Section::headed(chain.question, vec![Block::Table(Table::new(columns, rows))])
}

/// Whether a number passes, where that is asked.
fn outcome(passes: Option<bool>) -> Text {
    match passes {
        Some(true) => own("passes").toned(Tone::Strong),
        Some(false) => own("fails"),
        None => own(""),
    }
}

/// `0.281 [0.262, 0.301] at 95 % lies above 0.020`
fn effect_words(effect: &Effect, confidence: f64) -> Text {
    let what = effect.what.clone().map_or_else(Text::default, |what| what + own(": "));
    let shown = interval(Some(effect.estimate), effect.interval);
    what + own(match effect.interval {
        None => format!("{shown}, without an interval"),
        Some(_) => format!("{shown} at {} {}", level(confidence), effect.lies()),
    })
}

fn p_value_words(chain: &Chain) -> String {
    chain.p_value.map_or_else(|| UNKNOWN.to_owned(), |p_value| format!("{}, {}", probability(p_value), chain.test))
}

/// `0.0015 after Holm over 4 tests, below 0.050`
fn test_words(chain: &Chain, report: &Report) -> String {
    let multiplicity = &report.multiplicity;
    let Some(adjusted) = chain.adjusted else {
        let tested = chain.p_value.is_some();
        let missing = "not among the tests that were corrected for being several";
        return if tested { missing } else { "nothing was tested" }.to_owned();
    };
    let method = if multiplicity.method == "holm" { "Holm" } else { "correction" };
    let tests = match multiplicity.tests.len() {
        1 => "1 test".to_owned(),
        n => format!("{} tests", size(n)),
    };
    let bar = if chain.test_passes() { "below" } else { "not below" };
    format!("{} after {method} over {tests}, {bar} {}", number(adjusted), number(multiplicity.alpha))
}

/// The verdict and what it rests on.
fn conclusion(chain: &Chain) -> [Text; 3] {
    let why = match (chain.enough, chain.effect_passes(), chain.test_passes()) {
        (false, ..) => "too little was seen to judge".to_owned(),
        (true, true, true) => "enough was seen, the effect matters, and chance does not explain it".to_owned(),
        (true, true, false) => "the effect would matter, but chance may explain it".to_owned(),
        (true, false, _) if chain.effects.iter().any(Effect::is_undecided) => match &chain.needed {
            Some(needed) => format!("the interval reaches across what matters; {needed} would decide"),
            None => "the interval reaches across what matters".to_owned(),
        },
        (true, false, _) => "the effect does not exceed what matters".to_owned(),
    };
    let verdict = own(short_word(chain.verdict));
    if chain.follows() {
        [own("verdict"), verdict.toned(tone(chain.verdict)), own(why)]
    } else {
        let denied = format!("{} DOES NOT FOLLOW from these numbers: {why}", word(chain.verdict));
        [own("verdict"), verdict.toned(Tone::Bad), own(denied)]
    }
}

fn causes(report: &Report) -> Option<Section> {
    let groups = cause_groups(report);
    let mut blocks = Vec::new();
    if report.causes.iter().any(|cause| cause.affects == Affects::Ranking) {
        blocks.push(Block::Paragraph(own(CHARGES)));
    }
    blocks.push(Block::Paragraph(own("Shares are of the change in what they affect, and add up to 100 % there.")));
    let mut rows = Vec::new();
    for (heading, causes) in &groups {
        rows.extend(causes.iter().map(|cause| {
            let (affects, cause_name) = (cause.affects.as_str(), cause.cause.as_str());
            [own(affects), name(cause_name), own(percent(cause.share)), own(declared(cause))]
        }));
        if causes.is_empty() {
            blocks.push(Block::Paragraph(own(format!("{heading}: {NO_CAUSE}"))));
        } else if causes.len() > 1 || !adds_up(causes) {
            let remark = if adds_up(causes) { "" } else { "DOES NOT ADD UP to 100 %" };
            rows.push([own(""), own("together"), own(percent(total(causes))), own(remark).toned(Tone::Bad)]);
        }
    }
    let columns = [("affects", Layout::Left), ("cause", Layout::Left), ("share", Layout::Right), ("", Layout::Left)];
    blocks.extend((!rows.is_empty()).then(|| Block::Table(Table::new(columns, rows))));
    (!groups.is_empty()).then(|| Section::headed("Causes: how shares were made", blocks))
}

/// How rankings are charged to causes.
const CHARGES: &str = "Each document that left or sank carries a charge, to its own cause or to the causes of those that \
                       pushed it down. What the same account charges inside the reference is noise and is subtracted; the \
                       rest is 100 % of the change in rankings.";

fn total(causes: &[&CauseReport]) -> f64 {
    causes.iter().map(|cause| cause.share).sum()
}

/// Up to what rounding in the last digit shown makes.
fn adds_up(causes: &[&CauseReport]) -> bool {
    (total(causes) - 1.0).abs() < 0.000_5
}

fn integrity(report: &Report) -> Section {
    let nothing = if report.integrity.is_empty() { "No finding. " } else { "" };
    let says = format!("{nothing}Nothing is tested here: one contradiction is a finding.");
    let mut blocks = vec![Block::Paragraph(own(says))];
    if !report.integrity.is_empty() {
        let columns = [("finding", Layout::Left), ("count", Layout::Left)];
        blocks.push(Block::Table(Table::new(columns, report.integrity.iter().map(finding))));
    }
    Section::headed("Integrity: does anything contradict what was declared?", blocks)
}
