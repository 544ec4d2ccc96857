//! How segments came to their verdicts.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{Judgement, SegmentReport};

use super::outcome;
use super::steps::Effect;
use crate::comparison::{pairs, segments_not_judged};
use crate::document::{Block, Layout, Section, Table, Text, Tone, join, own};
use crate::number::{UNKNOWN, interval, level, number, size};
use crate::wording::{names, p_value, sentence, short_word, tone};

/// Segments that are shown at most.
const ROWS_MAX: usize = 10;

pub(super) fn section(report: &Report) -> Option<Section> {
    if report.segments.is_empty() {
        return None;
    }
    let heading = "Segments: which parts of the traffic got other context?";
    if let Some(why) = segments_not_judged(report) {
        return Some(Section::headed(heading, vec![Block::Paragraph(own(sentence(&why)))]));
    }
    let steps: Vec<Steps<'_>> = report.segments.iter().map(|segment| Steps::of(report, segment)).collect();
    let surviving = steps.iter().filter(|steps| steps.survives == Some(true)).count();
    let said = format!(
        "{} parts of the traffic were tested; pairs of keys are listed only where they add something. A q-value is a p-value \
         after Benjamini–Hochberg; {} below the false discovery rate of {}. A segment drifts if its interval lies above {} \
         besides.",
        size(report.multiplicity.segments_tested),
        if surviving == 1 { "1 is".to_owned() } else { format!("{} are", size(surviving)) },
        level(report.multiplicity.segment_false_discovery_rate),
        number(report.retrieval.threshold)
    );
    let mut blocks = vec![Block::Paragraph(own(said)), Block::Table(table(&steps))];
    if let Some(more) = steps.len().checked_sub(ROWS_MAX).filter(|more| *more > 0) {
        blocks.push(Block::Paragraph(own(format!("{} more not shown", size(more))).toned(Tone::Quiet)));
    }
    blocks.extend(denied(&steps).map(Block::Paragraph));
    Some(Section::headed(heading, blocks))
}

fn table(steps: &[Steps<'_>]) -> Table {
    let columns = [
        ("segment", Layout::Elided),
        ("queries", Layout::Right),
        ("excess change", Layout::Left),
        ("effect", Layout::Left),
        ("p-value", Layout::Right),
        ("q-value", Layout::Right),
        ("test", Layout::Left),
        ("verdict", Layout::Left),
    ];
    let passes = |passes: Option<bool>| if passes.is_some() { outcome(passes) } else { own(UNKNOWN) };
    let rows = steps.iter().take(ROWS_MAX).map(|Steps { segment, effect, survives }| {
        [
            names(pairs(segment)),
            own(size(segment.matched_queries)),
            own(interval(segment.excess_change, segment.interval)),
            passes(*effect),
            own(p_value(segment.p_value)),
            own(p_value(segment.q_value)),
            passes(*survives),
            own(short_word(segment.verdict)).toned(tone(segment.verdict)),
        ]
    });
    Table::new(columns, rows)
}

/// The verdicts that the numbers do not bear. All of them are looked at, not only those that are shown.
fn denied(steps: &[Steps<'_>]) -> Option<Text> {
    let denied: Vec<Text> =
        steps.iter().filter(|steps| !steps.follows()).map(|steps| names(pairs(steps.segment))).collect();
    let verdicts = if denied.len() == 1 { "A verdict DOES" } else { "Verdicts DO" };
    let says = own(format!("{verdicts} NOT FOLLOW from these numbers: ")).toned(Tone::Bad);
    (!denied.is_empty()).then(|| says + join(denied, "; ") + own("."))
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
