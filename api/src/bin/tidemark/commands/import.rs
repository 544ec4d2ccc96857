//! `tidemark import`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use tidemark_api::import::{Options, Source, Summary, import};
use tidemark_api::wire::Store;
use tidemark_collector::decode::Limits;
use tidemark_collector::policy::Policy;

use super::{count, create, now, policy, print};
use crate::arguments::{Import, Place};
use crate::failure::Failure;
use crate::progress;

pub(crate) async fn run(place: &Place, arguments: &Import) -> Result<ExitCode, Failure> {
    let store = create(place).await?;
    let policy = Arc::new(policy::chosen(&arguments.policy)?);
    let mut refused = 0;
    for file in &arguments.files {
        let (summary, seconds) = one(&store, file, policy.clone()).await?;
        print(&describe(file, &summary, seconds))?;
        refused += summary.refused;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Imports one file with a progress bar; says what it did and how many seconds it took.
pub(crate) async fn one(store: &Store, file: &Path, policy: Arc<Policy>) -> Result<(Summary, f64), Failure> {
    let started = Instant::now();
    let source = if file == Path::new("-") { Source::StandardInput } else { Source::File(file.to_owned()) };
    let total = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    let name = file.file_name().map_or_else(|| "standard input".to_owned(), |name| name.to_string_lossy().into_owned());
    let bar = progress::bytes(&name, total);
    let keys = store.keys.load_or_create().await?;
    let options = Options { now: now(), policy, keys, limits: Limits::default() };
    let summary = import(store, &source, &options, |progress| {
        bar.set_position(progress.bytes);
        bar.set_message(format!("{} events", count(progress.events)));
    })
    .await;
    bar.finish_and_clear();
    Ok((summary?, started.elapsed().as_secs_f64()))
}

fn describe(file: &Path, summary: &Summary, seconds: f64) -> String {
    let mut text = format!(
        "{}: {} retrievals, {} outputs imported in {seconds:.1} s",
        file.display(),
        count(summary.retrievals),
        count(summary.outputs)
    );
    if summary.duplicates > 0 {
        text.push_str(&format!("; {} stored already", count(summary.duplicates)));
    }
    if summary.truncated_results > 0 {
        text.push_str(&format!("; {} results cut off", count(summary.truncated_results)));
    }
    for (mark, events) in &summary.marks {
        text.push_str(&format!("; {} events {mark}", count(*events)));
    }
    if summary.refused > 0 {
        text.push_str(&format!("; {} refused:", count(summary.refused)));
    }
    text.push('\n');
    for refusal in &summary.refusals {
        text.push_str(&format!("  {refusal}\n"));
    }
    let unnamed = summary.refused - summary.refusals.len();
    if unnamed > 0 {
        text.push_str(&format!("  … and {} more\n", count(unnamed)));
    }
    text
}
