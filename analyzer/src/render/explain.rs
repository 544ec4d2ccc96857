//! How a report came to its verdicts, number by number, for a terminal.
//!
//! What passes and what fails is decided here again, from the numbers in the report and nothing else: a verdict that its
//! own numbers do not bear shows as what it is.

mod segments;
mod steps;

use crate::report::{Affects, CauseReport, Report};

use super::Style;
use super::number::{UNKNOWN, interval, level, number, percent, probability, size};
use super::page::{Page, Role, Span};
use super::section::short_word;
use super::table::{Column, Table};
use super::text::{role, write_head};
use super::words::{self, integrity, outputs};

use steps::{Chain, Effect};

/// The way to every verdict of the report as text of at most 100 columns.
pub fn explain(report: &Report, style: Style) -> String {
    let mut page = Page::new(style);
    write_head(&mut page, report);
    page.gap();
    page.paragraph(0, &Span::new(Role::Quiet, RULE));
    for chain in steps::chains(report) {
        write_chain(&mut page, report, &chain);
    }
    write_causes(&mut page, report);
    segments::write(&mut page, report);
    write_integrity(&mut page, report);
    page.finish()
}

/// What has to come together for a verdict of `drift`.
const RULE: &str = "A verdict is DRIFT if all three pass: enough was seen, the interval of the effect lies beyond what \
                    matters, and the test says that chance does not explain it.";

fn write_chain(page: &mut Page, report: &Report, chain: &Chain) {
    page.heading(chain.question);
    let mut table = Table::new(&[Column::Left, Column::Left, Column::Left]);
    let mut row = |name: &str, passes: Option<bool>, says: &str| {
        let outcome = match passes {
            Some(true) => Span::new(Role::Heading, "passes"),
            Some(false) => Span::plain("fails"),
            None => Span::plain(""),
        };
        table.row([Span::plain(name), outcome, Span::plain(says)]);
    };
    row("seen", Some(chain.enough), &chain.seen);
    for (name, says) in &chain.remarks {
        row(name, None, says);
    }
    for effect in &chain.effects {
        row("effect", Some(effect.passes()), &effect_words(effect, report.retrieval.confidence));
    }
    if chain.effects.is_empty() {
        row("effect", Some(false), "nothing was measured");
    }
    row("p-value", None, &p_value_words(chain));
    row("test", Some(chain.test_passes()), &test_words(chain, report));
    if let Some(because) = report.outputs.because.filter(|_| chain.name == "outputs") {
        row("goes with", None, outputs::because(because));
    }
    let (verdict, why) = conclusion(chain);
    table.row([Span::plain("verdict"), verdict, Span::plain(&why)]);
    table.write(page);
}

/// `0.281 [0.262, 0.301] at 95 % lies above 0.020`
fn effect_words(effect: &Effect, confidence: f64) -> String {
    let what = effect.what.as_ref().map_or_else(String::new, |what| format!("{what}: "));
    let Some([low, high]) = effect.interval else {
        return format!("{what}{}, without an interval", number(effect.estimate));
    };
    let shown = interval(Some(effect.estimate), Some([low, high]));
    format!("{what}{shown} at {} {}", level(confidence), effect.lies())
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
fn conclusion(chain: &Chain) -> (Span, String) {
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
    if chain.follows() {
        (Span::new(role(chain.verdict), short_word(chain.verdict)), why)
    } else {
        let word = words::word(chain.verdict);
        let denied = format!("{word} DOES NOT FOLLOW from these numbers: {why}");
        (Span::new(Role::Bad, short_word(chain.verdict)), denied)
    }
}

fn write_causes(page: &mut Page, report: &Report) {
    let groups = words::causes(report);
    if groups.is_empty() {
        return;
    }
    page.heading("Causes: how shares were made");
    if report.causes.iter().any(|cause| cause.affects == Affects::Ranking) {
        page.paragraph(2, &Span::plain(CHARGES));
    }
    page.paragraph(2, &Span::plain("Shares are of the change in what they affect, and add up to 100 % there."));
    let mut table = Table::new(&[Column::Left, Column::Left, Column::Right, Column::Left]);
    table.headings(&["affects", "cause", "share", ""]);
    for (heading, causes) in groups {
        for cause in &causes {
            table.row([
                Span::plain(cause.affects.as_str()),
                Span::plain(cause.cause.as_str()),
                Span::plain(&percent(cause.share)),
                Span::plain(words::declared(cause)),
            ]);
        }
        if causes.is_empty() {
            page.paragraph(2, &Span::plain(&format!("{heading}: {}", words::NO_CAUSE)));
        } else if causes.len() > 1 || !adds_up(&causes) {
            let remark = if adds_up(&causes) { "" } else { "DOES NOT ADD UP to 100 %" };
            let sum = percent(total(&causes));
            table.row([Span::plain(""), Span::plain("together"), Span::plain(&sum), Span::new(Role::Bad, remark)]);
        }
    }
    if !report.causes.is_empty() {
        table.write(page);
    }
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

fn write_integrity(page: &mut Page, report: &Report) {
    page.heading("Integrity: does anything contradict what was declared?");
    if report.integrity.is_empty() {
        page.paragraph(2, &Span::plain("No finding. Nothing is tested here: one contradiction is a finding."));
        return;
    }
    page.paragraph(2, &Span::plain("Nothing is tested here: one contradiction is a finding."));
    let mut table = Table::new(&[Column::Left, Column::Left]);
    for finding in &report.integrity {
        let role = if integrity::is_new(finding) { Role::Bad } else { Role::Unsure };
        table.row([Span::new(role, finding.kind.as_str()), Span::plain(&integrity::tally(finding))]);
    }
    table.write(page);
}
