//! The stages of the pipelines.

use crate::report::{Judgement, Report, StageReport};

use super::super::number::{interval, known, level, size};
use super::super::section::{Block, Grid, Section, Value};
use super::super::table::Column;

/// Each stage alone; nothing where there is only one.
pub(in super::super) fn section(report: &Report) -> Option<Section> {
    if report.stages.len() < 2 {
        return None;
    }
    let drifting = report.stages.iter().filter(|stage| stage.verdict == Judgement::Drift).count();
    let heading = format!("Stages: {} of {} drift", size(drifting), size(report.stages.len()));
    let change = format!("excess change, {} interval", level(report.retrieval.confidence));
    let columns = [
        ("stage", Column::Elided),
        ("verdict", Column::Left),
        ("queries", Column::Right),
        (change.as_str(), Column::Left),
        ("floor", Column::Right),
        ("", Column::Left),
    ];
    let rows = report.stages.iter().map(|stage| {
        [
            Value::name(stage.stage.as_str()),
            Value::Verdict(stage.verdict),
            Value::own(size(stage.matched_queries)),
            Value::own(interval(stage.excess_change, stage.interval)),
            Value::own(known(stage.noise_floor)),
            Value::own(remark(stage)),
        ]
    });
    Some(Section { heading, blocks: vec![Block::Grid(Grid::new(columns, rows.collect()))] })
}

fn remark(stage: &StageReport) -> &'static str {
    match (stage.recorded_in_reference, stage.recorded_in_current) {
        _ if stage.replaced_by.is_some() => "was replaced",
        (true, false) => "reference only",
        (false, true) => "current only",
        _ if stage.first_to_change => "changed first",
        _ if stage.last => "seen by the model",
        _ => "",
    }
}
