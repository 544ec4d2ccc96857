//! `tidemark erase`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use tidemark_api::erasure::erase;
use tidemark_api::wire::{LakeSink, Store};
use tidemark_collector::{Collector, Settings};
use tidemark_lake::{Filter, Scan, Table};
use tidemark_schema::{Label, SystemClock};

use super::{count, now, open, print, print_json};
use crate::arguments::{Erase, Format, Place};
use crate::failure::Failure;

/// Nothing can be erased before the log was read and its newest events were looked up in the tables.
const START_WAIT: Duration = Duration::from_mins(10);

pub(crate) async fn run(place: &Place, arguments: &Erase) -> Result<ExitCode, Failure> {
    let principal: Label = arguments
        .principal
        .parse()
        .map_err(|error| Failure::usage(format!("the principal {:?} {error}", arguments.principal)))?;
    let store = open(place).await?;
    if !arguments.yes {
        let events = events_of(&store, &principal).await?;
        print(&format!("{} events of {principal} would be erased for good; add --yes to do it\n", count(events)))?;
        return Ok(ExitCode::SUCCESS);
    }
    // The log first: what it still holds must not come back, and a running server keeps it locked.
    let settings = Settings { start_wait: START_WAIT, ..Settings::in_directory(store.log_directory()) };
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

async fn events_of(store: &Store, principal: &Label) -> Result<u64, Failure> {
    let mut events = 0;
    for table in Table::ALL {
        let filters = vec![Filter::Principal(principal.clone())];
        let mut rows = store.lake.scan(Scan { table, filters, columns: vec!["event_id"], version: None }).await?;
        while let Some(batch) = rows.try_next().await? {
            events += batch.num_rows() as u64;
        }
    }
    Ok(events)
}
