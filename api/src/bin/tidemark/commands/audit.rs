//! `tidemark audit`

use std::process::ExitCode;

use tidemark_api::audit::Record;

use super::{open, print, print_json, table};
use crate::arguments::{Audit, Format, Place};
use crate::failure::Failure;

pub(crate) async fn run(place: &Place, arguments: &Audit) -> Result<ExitCode, Failure> {
    let store = open(place).await?;
    let mut contents = store.audit().read()?;
    let wanted = |record: &Record| arguments.action.as_ref().is_none_or(|action| record.action == *action);
    contents.records.retain(wanted);
    let skipped = contents.records.len().saturating_sub(arguments.last);
    contents.records.drain(..skipped);
    match arguments.format {
        Format::Json => print_json(&contents)?,
        Format::Text => {
            let mut rows = vec![["number", "at", "actor", "action", "detail"].map(str::to_owned).to_vec()];
            rows.extend(contents.records.iter().map(|record| {
                let Record { number, at, actor, action, detail, .. } = record;
                vec![number.to_string(), at.to_string(), actor.clone(), action.clone(), detail.to_string()]
            }));
            print(&table(&rows))?;
            if skipped > 0 {
                print(&format!("… and {skipped} older ones: --last {}\n", skipped + arguments.last))?;
            }
            for problem in &contents.breaks {
                print(&format!("! {problem}\n"))?;
            }
        }
    }
    Ok(if contents.breaks.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
