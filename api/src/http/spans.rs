//! What became of the spans of a request, as an exporter reads it.

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use tidemark_collector::decode::Rejection;
use tidemark_collector::intake::{Answer, Answers, Outcome};

use super::problem::{OVER_QUOTA, Problem};

/// Refused spans that an answer names; the others are counted.
const NAMED: usize = 5;

/// The answer to a request of which something may have been refused.
///
/// Only an answer that refuses everything makes an exporter send it again: a success must not be repeated, whatever it says
/// of some of the spans.
pub(crate) fn answer(answers: &Answers) -> Result<ExportTraceServiceResponse, Problem> {
    let mut reasons = answers.events.iter().filter_map(|event| match &event.outcome {
        Outcome::OverQuota { reason, .. } => Some(reason),
        _ => None,
    });
    if let Some(seconds) = answers.retry_after_s() {
        let detail = reasons.next().cloned().unwrap_or_default();
        return Err(Problem::new(&OVER_QUOTA, detail).retry_after(seconds));
    }
    Ok(ExportTraceServiceResponse { partial_success: partial_success(answers) })
}

/// None when nothing was refused: exporters log whatever is said here.
fn partial_success(answers: &Answers) -> Option<ExportTracePartialSuccess> {
    let refusals: Vec<String> = answers.events.iter().filter_map(refusal).collect();
    if refusals.is_empty() {
        return None;
    }
    let mut lines: Vec<String> = refusals.iter().take(NAMED).cloned().collect();
    if refusals.len() > NAMED {
        lines.push(format!("and {} more", refusals.len() - NAMED));
    }
    let rejected_spans = i64::try_from(refusals.len()).unwrap_or(i64::MAX);
    Some(ExportTracePartialSuccess { rejected_spans, error_message: lines.join("; ") })
}

fn refusal(answer: &Answer) -> Option<String> {
    match &answer.outcome {
        Outcome::Accepted | Outcome::Duplicate => None,
        Outcome::OverQuota { reason, .. } => Some(reason.clone()),
        Outcome::Rejected(Rejection { field, reason, .. }) => {
            let field = field.as_ref().map(|field| format!("{field} ")).unwrap_or_default();
            Some(format!("span {}: {field}{reason}", answer.span.as_deref().unwrap_or_default()))
        }
    }
}
