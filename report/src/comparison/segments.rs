//! Which parts of the traffic changed.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{Judgement, SegmentReport};

use crate::document::{Block, Fact, Layout, Section, Table, Text, name, own};
use crate::number::{interval, level, percent, size};
use crate::wording::{matters_above, names, p_value, sentence, verdict};

/// Segments that are shown at most.
const ROWS_MAX: usize = 10;

/// How many segments drift.
pub(super) fn drifting(report: &Report) -> impl Iterator<Item = &SegmentReport> {
    report.segments.iter().filter(|segment| segment.verdict == Judgement::Drift)
}

/// What names a segment: `locale=de`.
pub(crate) fn pairs(segment: &SegmentReport) -> impl Iterator<Item = Text> {
    segment.segment.iter().map(|(key, value)| name(format!("{key}={value}")))
}

/// Said in the first line if the verdict on all traffic does not say it.
pub(super) fn clause(report: &Report) -> Option<String> {
    let drifting = drifting(report).count();
    let is_news = drifting > 0 && report.retrieval.verdict != Judgement::Drift;
    is_news.then(|| {
        let segments = if tested(report) == 1 { "segment" } else { "segments" };
        format!("different context in {} {segments}", of_tested(report))
    })
}

fn tested(report: &Report) -> usize {
    report.multiplicity.segments_tested.max(drifting(report).count())
}

/// `2 of 14`.
fn of_tested(report: &Report) -> String {
    format!("{} of {}", size(drifting(report).count()), size(tested(report)))
}

fn rate(report: &Report) -> String {
    format!("false discovery rate {}", level(report.multiplicity.segment_false_discovery_rate))
}

/// Why there is no verdict on any segment, if there are segments.
pub(crate) fn not_judged(report: &Report) -> Option<String> {
    let seen = report.segments.len();
    let what = if seen == 1 { "1 segment has".to_owned() } else { format!("{} segments have", size(seen)) };
    (tested(report) == 0 && seen > 0).then(|| format!("{what} too few queries that both windows ask"))
}

/// How many of those that were tested drift.
pub(super) fn short(report: &Report) -> Option<Fact> {
    (tested(report) > 0).then(|| Fact::new("segments", format!("{} drift", of_tested(report)), rate(report)))
}

/// The segments, those that drift first.
pub(super) fn section(report: &Report) -> Option<Section> {
    let drifting = drifting(report).count();
    if drifting == 0 {
        let tested = |fact: Fact| ("Segments: STABLE", sentence(&format!("{} ({})", fact.value, fact.meaning)));
        let untested = || not_judged(report).map(|why| ("Segments: NOT JUDGED", sentence(&why)));
        let (heading, line) = short(report).map(tested).or_else(untested)?;
        return Some(Section::headed(heading, vec![Block::Paragraph(own(line))]));
    }
    let heading = format!("Segments: {} drift ({})", of_tested(report), rate(report));
    let change = format!("excess change, {} interval", level(report.retrieval.confidence));
    let columns = [
        ("segment", Layout::Elided),
        ("verdict", Layout::Left),
        ("queries", Layout::Right),
        ("of traffic", Layout::Right),
        (change.as_str(), Layout::Left),
        ("q-value", Layout::Right),
    ];
    let rows = report.segments.iter().take(ROWS_MAX).map(|segment| {
        [
            names(pairs(segment)),
            verdict(segment.verdict),
            own(size(segment.matched_queries)),
            own(percent(segment.traffic_share)),
            own(interval(segment.excess_change, segment.interval)),
            own(p_value(segment.q_value)),
        ]
    });
    let mut legend = format!("Excess change {}.", matters_above(report.retrieval.threshold));
    if let Some(more) = report.segments.len().checked_sub(ROWS_MAX).filter(|more| *more > 0) {
        let hidden = drifting.saturating_sub(ROWS_MAX);
        let of_which =
            if hidden > 0 { format!("{} of them drift", size(hidden)) } else { "none of them drifts".to_owned() };
        legend = format!("{legend} {} more not shown, {of_which}.", size(more));
    }
    let blocks = vec![Block::Table(Table::new(columns, rows)), Block::Paragraph(own(legend))];
    Some(Section::headed(heading, blocks))
}
