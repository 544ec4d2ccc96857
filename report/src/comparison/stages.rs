//! The stages of the pipelines.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{Judgement, StageReport};

use crate::document::{Block, Layout, Section, Table, name, own};
use crate::number::{interval, known, level, size};
use crate::wording::verdict;

/// Each stage alone; nothing where there is only one.
pub(super) fn section(report: &Report) -> Option<Section> {
    if report.stages.len() < 2 {
        return None;
    }
    let drifting = report.stages.iter().filter(|stage| stage.verdict == Judgement::Drift).count();
    let heading = format!("Stages: {} of {} drift", size(drifting), size(report.stages.len()));
    let change = format!("excess change, {} interval", level(report.retrieval.confidence));
    let columns = [
        ("stage", Layout::Elided),
        ("verdict", Layout::Left),
        ("queries", Layout::Right),
        (change.as_str(), Layout::Left),
        ("floor", Layout::Right),
        ("", Layout::Left),
    ];
    let rows = report.stages.iter().map(|stage| {
        [
            name(stage.stage.as_str()),
            verdict(stage.verdict),
            own(size(stage.matched_queries)),
            own(interval(stage.excess_change, stage.interval)),
            own(known(stage.noise_floor)),
            own(remark(stage)),
        ]
    });
    Some(Section::headed(heading, vec![Block::Table(Table::new(columns, rows))]))
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
