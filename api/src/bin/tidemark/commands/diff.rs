//! `tidemark diff`

use std::process::ExitCode;

use tidemark_analyzer::Selector;
use tidemark_schema::TraceId;

use super::{Session, print_as_it_is, print_json, style};
use crate::arguments::{Diff, Format, StoreArguments};
use crate::failure::Failure;

pub(crate) async fn run(store: &StoreArguments, arguments: &Diff) -> Result<ExitCode, Failure> {
    let trace = trace_id(&arguments.trace)?;
    let other = arguments.other.as_deref().map(trace_id).transpose()?;
    let reference = arguments.reference.as_deref().map(str::parse::<Selector>).transpose()?;
    let Session { operations, caller } = Session::of(store, "diff")?;
    let diff = operations.diff(&caller, trace, other, reference).await?;
    match arguments.format {
        Format::Text => print_as_it_is(&tidemark_report::text(&tidemark_report::trace(&diff), style()))?,
        Format::Json => print_json(&diff)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn trace_id(text: &str) -> Result<TraceId, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("the trace {text:?} {error}")))
}
