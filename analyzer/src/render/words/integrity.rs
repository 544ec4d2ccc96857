//! What contradicts what was declared.

use crate::report::{IntegrityReport, Report};

use super::super::number::{count, size};

/// What stands over the findings.
pub(in super::super) const HEADING: &str = "Integrity";

/// Examples that are shown of each finding.
pub(in super::super) const EXAMPLES_MAX: usize = 3;

/// `1 integrity finding`, `2 integrity findings`; none if there are none.
pub(in super::super) fn clause(report: &Report) -> Option<String> {
    match report.integrity.len() {
        0 => None,
        1 => Some("1 integrity finding".to_owned()),
        n => Some(format!("{} integrity findings", size(n))),
    }
}

/// Whether the current window holds more of it than the reference did.
pub(in super::super) fn is_new(finding: &IntegrityReport) -> bool {
    finding.count > finding.reference_count
}

/// `3 documents`, `1 output`.
pub(in super::super) fn counted(n: u64, unit: &str) -> String {
    let unit = if n == 1 { unit.strip_suffix('s').unwrap_or(unit) } else { unit };
    format!("{} {unit}", count(n))
}

/// How many were found, and how many there were before.
pub(in super::super) fn tally(finding: &IntegrityReport) -> String {
    let found = counted(finding.count, finding.unit);
    match finding.reference_count {
        0 => format!("{found}, none in the reference"),
        before => format!("{found}, {} in the reference", count(before)),
    }
}
