//! How segments came to their verdicts.

use crate::report::{Judgement, Report, SegmentReport};

use super::super::number::{UNKNOWN, interval, level, number, probability, size};
use super::super::page::{Page, Role, Span};
use super::super::section::Value;
use super::super::table::{Column, Table};
use super::super::text::role;
use super::super::words::{self, segments};
use super::steps::Effect;

/// Segments that are shown at most.
const ROWS_MAX: usize = 10;

pub(super) fn write(page: &mut Page, report: &Report) {
    if report.segments.is_empty() {
        return;
    }
    page.heading("Segments: which parts of the traffic got other context?");
    if let Some(why) = segments::not_judged(report) {
        page.paragraph(2, &Span::plain(&words::sentence(&why)));
        return;
    }
    let steps: Vec<Steps<'_>> = report.segments.iter().map(|segment| Steps::of(report, segment)).collect();
    let rate = report.multiplicity.segment_false_discovery_rate;
    let surviving = steps.iter().filter(|steps| steps.survives == Some(true)).count();
    let said = format!(
        "{} parts of the traffic were tested; pairs of keys are listed only where they add something. A q-value is a p-value \
         after Benjamini–Hochberg; {} below the false discovery rate of {}. A segment drifts if its interval lies above {} \
         besides.",
        size(report.multiplicity.segments_tested),
        if surviving == 1 { "1 is".to_owned() } else { format!("{} are", size(surviving)) },
        level(rate),
        number(report.retrieval.threshold)
    );
    page.paragraph(2, &Span::plain(&said));
    write_table(page, &steps);
    // All of them are looked at, not only those that are shown.
    let denied: Vec<String> =
        steps.iter().filter(|steps| !steps.follows()).map(|steps| segments::pairs(steps.segment).join(", ")).collect();
    if !denied.is_empty() {
        let verdict = if denied.len() == 1 { "a verdict DOES" } else { "verdicts DO" };
        let denied = denied.join("; ");
        let says = words::sentence(&format!("{verdict} NOT FOLLOW from these numbers: {denied}"));
        page.paragraph(2, &Span::new(Role::Bad, &says));
    }
}

fn write_table(page: &mut Page, steps: &[Steps<'_>]) {
    let outcome =
        |passes: Option<bool>| Span::plain(passes.map_or(UNKNOWN, |passes| if passes { "passes" } else { "fails" }));
    let mut table = Table::new(&[
        Column::Elided,
        Column::Right,
        Column::Left,
        Column::Left,
        Column::Right,
        Column::Right,
        Column::Left,
        Column::Left,
    ]);
    table.headings(&["segment", "queries", "excess change", "effect", "p-value", "q-value", "test", "verdict"]);
    for Steps { segment, effect, survives } in steps.iter().take(ROWS_MAX) {
        table.row([
            Span::plain(&Value::Names(segments::pairs(segment)).joined()),
            Span::plain(&size(segment.matched_queries)),
            Span::plain(&interval(segment.excess_change, segment.interval)),
            outcome(*effect),
            Span::plain(&segment.p_value.map_or_else(|| UNKNOWN.to_owned(), probability)),
            Span::plain(&segment.q_value.map_or_else(|| UNKNOWN.to_owned(), probability)),
            outcome(*survives),
            Span::new(role(segment.verdict), &Value::Verdict(segment.verdict).joined()),
        ]);
    }
    page.gap();
    table.write(page);
    if let Some(more) = steps.len().checked_sub(ROWS_MAX).filter(|more| *more > 0) {
        page.paragraph(2, &Span::new(Role::Quiet, &format!("{} more not shown", size(more))));
    }
}

/// A segment, and which of its numbers pass.
struct Steps<'a> {
    segment: &'a SegmentReport,
    effect: Option<bool>,
    survives: Option<bool>,
}

impl<'a> Steps<'a> {
    fn of(report: &Report, segment: &'a SegmentReport) -> Self {
        let effect = segment.excess_change.map(|estimate| Effect {
            what: None,
            estimate,
            interval: segment.interval,
            threshold: report.retrieval.threshold,
            is_two_sided: false,
        });
        let rate = report.multiplicity.segment_false_discovery_rate;
        Self {
            segment,
            effect: effect.as_ref().map(Effect::passes),
            survives: segment.q_value.map(|q_value| q_value < rate),
        }
    }

    /// Whether the numbers bear the verdict.
    fn follows(&self) -> bool {
        let drifts = self.effect == Some(true) && self.survives == Some(true);
        drifts == (self.segment.verdict == Judgement::Drift)
    }
}
