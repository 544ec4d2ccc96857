//! `tidemark erase`

use std::process::ExitCode;

use tidemark_schema::Label;

use super::{Session, count, print, print_json};
use crate::arguments::{Erase, Format, StoreArguments};
use crate::failure::Failure;

pub(crate) async fn run(store: &StoreArguments, arguments: &Erase) -> Result<ExitCode, Failure> {
    let principal: Label = arguments
        .principal
        .parse()
        .map_err(|error| Failure::usage(format!("the principal {:?} {error}", arguments.principal)))?;
    let Session { operations, caller } = Session::of(store, "erase")?;
    if !arguments.yes {
        let events = operations.count_events(&caller, &principal).await?;
        print(&format!("{} events of {principal} would be erased for good; add --yes to do it\n", count(events)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let erasure = operations.erase(&caller, &principal).await?;
    match arguments.format {
        Format::Json => print_json(&erasure)?,
        Format::Text => {
            let files: u64 = erasure.tables.iter().map(|table| table.erased.files).sum();
            let swept: u64 = erasure.tables.iter().map(|table| table.erased.swept_files).sum();
            print(&format!(
                "{} events erased from {} files; {} files of earlier versions deleted\ntombstone {}\n",
                count(erasure.rows),
                count(files),
                count(swept),
                erasure.tombstone
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
