//! `tidemark erase`

use std::process::ExitCode;
use std::sync::Arc;

use tidemark_api::erasure::{Owned, erase, owned};
use tidemark_api::wire::LakeSink;
use tidemark_collector::{Collector, Settings};
use tidemark_schema::{Label, SystemClock};

use super::{count, now, open, print, print_json};
use crate::arguments::{Erase, Format, Place};
use crate::failure::Failure;

pub(crate) async fn run(place: &Place, arguments: &Erase) -> Result<ExitCode, Failure> {
    let principal: Label = arguments
        .principal
        .parse()
        .map_err(|error| Failure::usage(format!("the principal {:?} {error}", arguments.principal)))?;
    let store = open(place).await?;
    if !arguments.yes {
        let Owned { named, nameless } = owned(&store, &principal).await?;
        let beside = match nameless {
            0 => String::new(),
            nameless => format!(", and {} that name nobody but are of its operations,", count(nameless)),
        };
        let would = "would be erased for good; add --yes to do it";
        print(&format!("{} events of {principal}{beside} {would}\n", count(named)))?;
        return Ok(ExitCode::SUCCESS);
    }
    // The log first: what it still holds must not come back, and a running server keeps it locked.
    let settings = Settings::in_directory(store.log_directory());
    let sink = Arc::new(LakeSink(store.lake.clone()));
    let collector = Collector::start(settings, sink, Arc::new(SystemClock)).await?;
    collector.forget_flushed().await?;
    let keys = store.keys.load_or_create().await?;
    let erased = erase(&store, &keys.current, &principal, "erase", now()).await;
    collector.shutdown().await?;
    let erasure = erased?;
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
