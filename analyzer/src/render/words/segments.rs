//! Which parts of the traffic changed.

use crate::report::{Judgement, Report, SegmentReport};

use super::super::number::{UNKNOWN, interval, level, percent, probability, size};
use super::super::section::{Block, Fact, Grid, Section, Value};
use super::super::table::Column;
use super::{matters, sentence};

/// Segments that are shown at most.
const ROWS_MAX: usize = 10;

/// How many segments drift.
pub(in super::super) fn drifting(report: &Report) -> impl Iterator<Item = &SegmentReport> {
    report.segments.iter().filter(|segment| segment.verdict == Judgement::Drift)
}

/// What names a segment: `locale=de`.
pub(in super::super) fn pairs(segment: &SegmentReport) -> Vec<String> {
    segment.segment.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// Said in the first line if the verdict on all traffic does not say it.
pub(in super::super) fn clause(report: &Report) -> Option<String> {
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
pub(in super::super) fn not_judged(report: &Report) -> Option<String> {
    let seen = report.segments.len();
    let what = if seen == 1 { "1 segment has".to_owned() } else { format!("{} segments have", size(seen)) };
    (tested(report) == 0 && seen > 0).then(|| format!("{what} too few queries that both windows ask"))
}

/// How many of those that were tested drift.
pub(in super::super) fn short(report: &Report) -> Option<Fact> {
    (tested(report) > 0).then(|| Fact::new("segments", format!("{} drift", of_tested(report)), rate(report)))
}

/// The segments, those that drift first.
pub(in super::super) fn section(report: &Report) -> Option<Section> {
    let drifting = drifting(report).count();
    if drifting == 0 {
        let tested = |fact: Fact| ("Segments: STABLE", sentence(&format!("{} ({})", fact.value, fact.meaning)));
        let untested = || not_judged(report).map(|why| ("Segments: NOT JUDGED", sentence(&why)));
        let (heading, line) = short(report).map(tested).or_else(untested)?;
        return Some(Section { heading: heading.to_owned(), blocks: vec![Block::Sentence(line)] });
    }
    let heading = format!("Segments: {} drift ({})", of_tested(report), rate(report));
    let change = format!("excess change, {} interval", level(report.retrieval.confidence));
    let columns = [
        ("segment", Column::Elided),
        ("verdict", Column::Left),
        ("queries", Column::Right),
        ("of traffic", Column::Right),
        (change.as_str(), Column::Left),
        ("q-value", Column::Right),
    ];
    let rows = report.segments.iter().take(ROWS_MAX).map(|segment| {
        [
            Value::Names(pairs(segment)),
            Value::Verdict(segment.verdict),
            Value::own(size(segment.matched_queries)),
            Value::own(percent(segment.traffic_share)),
            Value::own(interval(segment.excess_change, segment.interval)),
            Value::own(segment.q_value.map_or_else(|| UNKNOWN.to_owned(), probability)),
        ]
    });
    let mut blocks = vec![Block::Grid(Grid::new(columns, rows.collect()))];
    let mut legend = format!("Excess change {}.", matters(report));
    if let Some(more) = report.segments.len().checked_sub(ROWS_MAX).filter(|more| *more > 0) {
        let hidden = drifting.saturating_sub(ROWS_MAX);
        let of_which =
            if hidden > 0 { format!("{} of them drift", size(hidden)) } else { "none of them drifts".to_owned() };
        legend = format!("{legend} {} more not shown, {of_which}.", size(more));
    }
    blocks.push(Block::Sentence(legend));
    Some(Section { heading, blocks })
}
