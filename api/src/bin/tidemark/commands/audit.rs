//! `tidemark audit`

use std::process::ExitCode;

use serde_json::json;
use tidemark_api::audit::Record;
use tidemark_api::operations::AuditPage;

use super::{Session, print, print_json, table};
use crate::arguments::{Audit, Format, StoreArguments};
use crate::failure::Failure;

pub(crate) async fn run(store: &StoreArguments, arguments: &Audit) -> Result<ExitCode, Failure> {
    let Session { operations, caller } = Session::of(store, "audit")?;
    let page = operations.newest_records(&caller, arguments.action.as_deref(), arguments.last).await?;
    let AuditPage { records, left_out, breaks, head } = page;
    match arguments.format {
        Format::Json => print_json(&json!({ "records": records, "breaks": breaks, "head": head }))?,
        Format::Text => {
            let mut rows = vec![["number", "at", "actor", "action", "detail"].map(str::to_owned).to_vec()];
            rows.extend(records.iter().map(|record| {
                let Record { number, at, actor, action, detail, .. } = record;
                vec![number.to_string(), at.to_string(), actor.clone(), action.clone(), detail.to_string()]
            }));
            print(&table(&rows))?;
            if left_out > 0 {
                print(&format!("… and {left_out} older ones: --last {}\n", left_out + arguments.last))?;
            }
            for problem in &breaks {
                print(&format!("! {problem}\n"))?;
            }
        }
    }
    Ok(if breaks.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
