//! `tidemark storage`

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tidemark_api::operations::maintenance::Summary;
use tidemark_api::operations::storage::{Storage as Report, size};

use super::{Session, count, policy, print, print_json, table};
use crate::arguments::{Format, Storage, StoreArguments};
use crate::failure::Failure;
use crate::progress;

pub(crate) async fn run(store: &StoreArguments, arguments: &Storage) -> Result<ExitCode, Failure> {
    let policy = Arc::new(policy::load(arguments.policy.as_deref())?);
    let Session { operations, caller } = Session::of(store, "storage --maintain")?.under(policy);
    let mut done = None;
    if arguments.maintain {
        let spinner = progress::spinner("dropping, merging, sweeping");
        let maintained = operations.maintain(&caller, &|| true).await;
        spinner.finish_and_clear();
        done = Some(maintained?);
    }
    let report = operations.storage(&caller).await?;
    match arguments.format {
        Format::Json => print_json(&json!({ "storage": report, "maintained": done }))?,
        Format::Text => {
            print(&text(&report))?;
            if let Some(done) = &done {
                print(&maintained(done))?;
            }
        }
    }
    let failed = done.is_some_and(|done| done.over_budget || !done.failures.is_empty());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn text(report: &Report) -> String {
    let budget = report.budget_bytes.map_or_else(String::new, |budget| format!(" of {}", size(budget)));
    let free =
        report.free_bytes.map_or_else(String::new, |free| format!("; {} free on the disk of the log", size(free)));
    let mut text = format!("{} takes {}{budget}{free}\n\n", report.store, size(report.total_bytes));
    let mut rows = vec![["", "size", "files", "events"].map(str::to_owned).to_vec()];
    let mut row = |name: String, bytes: u64, files: Option<u64>, events: Option<u64>| {
        let number = |value: Option<u64>| value.map_or_else(String::new, count);
        rows.push(vec![name, size(bytes), number(files), number(events)]);
    };
    for usage in &report.tables {
        row(usage.table.to_owned(), usage.bytes, Some(usage.files), Some(usage.rows));
        row("  removed, not swept yet".to_owned(), usage.removed_bytes, Some(usage.removed_files), None);
        row("  log of the table".to_owned(), usage.log_bytes, None, None);
        row("  chain of evidence".to_owned(), usage.evidence_bytes, None, None);
    }
    row("manifests".to_owned(), report.manifest_bytes, None, None);
    row("write-ahead log".to_owned(), report.log_bytes, None, None);
    row("audit log".to_owned(), report.audit_bytes, None, None);
    text.push_str(&table(&rows));
    if !report.corpora.is_empty() {
        let heading = ["corpus", "size", "events", "files", "first day", "last day", "kept"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        rows.extend(report.corpora.iter().map(|corpus| {
            let days = corpus.days_kept.map(|days| format!("{days} days"));
            let bytes = corpus.bytes_kept.map(size);
            let kept = [days, bytes].into_iter().flatten().collect::<Vec<_>>().join(", ");
            vec![
                corpus.corpus.clone(),
                size(corpus.bytes),
                count(corpus.rows),
                count(corpus.files),
                corpus.from.clone(),
                corpus.to.clone(),
                if kept.is_empty() { "all".to_owned() } else { kept },
            ]
        }));
        text.push('\n');
        text.push_str(&table(&rows));
    }
    text.push_str("\nwhen it fills\n");
    text.extend(report.when_full.iter().map(|words| format!("  {words}\n")));
    text.push_str("\nwhat can be freed\n");
    if report.advice.is_empty() {
        text.push_str("  nothing besides events that are kept\n");
    }
    text.extend(report.advice.iter().map(|words| format!("  {words}\n")));
    text
}

fn maintained(done: &Summary) -> String {
    let mut text = format!(
        "\nlooked after: {} partitions dropped ({} events), {} merged ({} copies gone), {} files deleted ({} freed)\n",
        count(done.dropped_partitions),
        count(done.dropped_rows),
        count(done.compacted_partitions),
        count(done.duplicates),
        count(done.swept_files),
        size(done.freed_bytes)
    );
    if done.over_budget {
        text.push_str(
            "! the store takes more than its budget, and nothing more can be dropped: raise retention.bytes\n",
        );
    }
    text.extend(done.failures.iter().map(|failure| format!("! {failure}\n")));
    text
}
