//! `tidemark demo`: the main job, end to end, on the bundled recording.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use tidemark_analyzer::Report;
use tidemark_api::demo;
use tidemark_api::operations::import::Options;
use tidemark_corpus::NewVersion;
use tidemark_report::{Style, comparison, markdown, text, trace};

use super::{
    Session, compare, corpus, corpus_name, corpus_version, count, import, now, print, print_as_it_is, shell_word, style,
};
use crate::arguments::{Demo, StoreArguments};
use crate::failure::Failure;

/// Where the demo's store is made when no place is named.
const DIRECTORY: &str = "tidemark-demo";
/// Marks a directory that a demo made and may therefore be made anew.
const MARKER: &str = ".made-by-tidemark-demo";

pub(crate) async fn run(store: &StoreArguments, _: &Demo) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let data = store.data.clone().unwrap_or_else(|| DIRECTORY.to_owned());
    let directory = PathBuf::from(&data);
    make_anew(&directory, &data)?;
    let store = StoreArguments { data: Some(data.clone()), state: None, keys: None, tenant: store.tenant.clone() };
    let session = Session::of(&store, "demo")?;
    session.operations.create_store(&session.caller).await?;
    std::fs::write(directory.join(MARKER), "")?;
    let recording = directory.join("recording");
    demo::unpack(&recording)?;

    print(
        "Three weeks of real retrieval: 225 queries, and paraphrases of them, over the Cranfield collection.\n\
         Did retrieval change, and why? The events know; nobody has told us.\n\n",
    )?;
    import_events(&session, &recording).await?;
    register_versions(&session, &recording).await?;

    let [first, second, third] = demo::WEEKS;
    let declared = compare::between(&session, demo::CORPUS, [first, second]).await?;
    present(&directory, "week-1-to-2", "Week 1 against week 2", &declared)?;
    let silent = compare::between(&session, demo::CORPUS, [second, third]).await?;
    present(&directory, "week-2-to-3", "Week 2 against week 3", &silent)?;
    one_trace(&session, &silent).await?;
    print(&closing(&shell_word(&data), &directory, &[("week 1 to 2", &declared), ("week 2 to 3", &silent)], started))?;
    Ok(ExitCode::SUCCESS)
}

/// Removes what an earlier demo made, and nothing else.
fn make_anew(directory: &Path, data: &str) -> Result<(), Failure> {
    if data.contains("://") {
        return Err(Failure::usage("the demo needs a local directory").hint("leave --data out, or name a directory"));
    }
    let occupied = match std::fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error.into()),
    };
    if !occupied {
        return Ok(());
    }
    if directory.join(MARKER).try_exists()? {
        return Ok(std::fs::remove_dir_all(directory)?);
    }
    let reason = format!("{data} is not empty and was not made by a demo");
    Err(Failure::of(reason).hint("name another directory with --data; the demo makes its store anew each time"))
}

fn heading(text: &str) -> Result<(), Failure> {
    let rule = "─".repeat(100_usize.saturating_sub(text.chars().count() + 4));
    let line = match style() {
        Style::Plain => format!("── {text} {rule}\n"),
        Style::Coloured => format!("── \u{1b}[1m{text}\u{1b}[0m {rule}\n"),
    };
    print_as_it_is(&line)
}

async fn import_events(session: &Session, recording: &Path) -> Result<(), Failure> {
    heading("Import")?;
    for file in ["retrievals.ndjson.gz", "outputs.ndjson.gz"] {
        let (summary, seconds) = import::one(session, &recording.join(file), &Options::default()).await?;
        let events = summary.retrievals + summary.outputs;
        print(&format!("{file:<22} {:>6} events in {seconds:.1} s\n", count(events)))?;
    }
    print("\n")
}

async fn register_versions(session: &Session, recording: &Path) -> Result<(), Failure> {
    heading("What the corpus held")?;
    for (version, parent) in [("v1", None), ("v2", Some("v1"))] {
        let manifest = corpus::read_manifest(&recording.join(format!("manifest-{version}.ndjson.gz")))?;
        let new = NewVersion {
            parent: parent.map(corpus_version).transpose()?,
            ..NewVersion::named(corpus_name(demo::CORPUS)?, corpus_version(version)?, now())
        };
        let registered = corpus::register_in(session, new, manifest).await?;
        print(&format!("{} {version}: {} documents\n", demo::CORPUS, count(registered.record.entries)))?;
    }
    let (corpus, before, after) = (corpus_name(demo::CORPUS)?, corpus_version("v1")?, corpus_version("v2")?);
    let diff = session.operations.diff_versions(&session.caller, &corpus, [&before, &after]).await?.summary(0);
    print(&format!(
        "v1 → v2: {} added, {} removed, {} modified, {} unchanged\n\n",
        count(diff.added),
        count(diff.removed),
        count(diff.modified),
        count(diff.unchanged)
    ))
}

/// Prints a report, and leaves it as a file for programs and one for people.
fn present(directory: &Path, name: &str, title: &str, report: &Report) -> Result<(), Failure> {
    heading(title)?;
    print_as_it_is(&text(&comparison(report), style()))?;
    print("\n")?;
    let reports = directory.join("reports");
    std::fs::create_dir_all(&reports)?;
    let json = serde_json::to_string_pretty(report).map_err(Failure::of)?;
    std::fs::write(reports.join(format!("{name}.json")), json)?;
    std::fs::write(reports.join(format!("{name}.md")), markdown(&comparison(report)))?;
    Ok(())
}

async fn one_trace(session: &Session, report: &Report) -> Result<(), Failure> {
    let traces = report.queries.first().map(|query| (query.current_trace.as_deref(), query.reference_trace.as_deref()));
    let Some((Some(current), Some(reference))) = traces else { return Ok(()) };
    heading("The query that changed most, document by document")?;
    let parse = |text: &str| text.parse().map_err(|error| Failure::of(format!("the trace {text:?} {error}")));
    let (current, reference) = (parse(current)?, parse(reference)?);
    let diff = session.operations.diff(&session.caller, current, Some(reference), None).await?;
    print_as_it_is(&text(&trace(&diff), style()))?;
    print("\n")
}

fn closing(data: &str, directory: &Path, reports: &[(&str, &Report)], started: Instant) -> String {
    let mut text = String::from("In short\n");
    for (weeks, report) in reports {
        let causes: Vec<String> = report
            .causes
            .iter()
            .filter(|cause| cause.share >= 0.1)
            .map(|cause| format!("{} {:.0} % of {}", cause.cause.as_str(), cause.share * 100.0, cause.affects.as_str()))
            .collect();
        let declared = if report.causes.first().is_some_and(|cause| cause.declared) { "DECLARED" } else { "SILENT" };
        text.push_str(&format!(
            "  {weeks}: {}, {declared}: {}\n",
            report.retrieval.verdict.as_str(),
            causes.join(", ")
        ));
    }
    let trace = reports.last().and_then(|(_, report)| report.queries.first()).and_then(|q| q.current_trace.clone());
    text.push_str(&format!(
        "\nDone in {:.1} s. The store is in {data}: Parquet files with a Delta log, readable by DuckDB, Polars and Spark.\n\
         The reports are in {}.\n\nNext, type\n  \
         tidemark --data {data} compare --corpus {} --reference {} --current {} --format json\n  \
         tidemark --data {data} corpus diff {} v1 v2\n  \
         tidemark --data {data} diff {}\n  \
         tidemark --data {data} doctor\n  \
         tidemark --data store serve                      # and send events of your own\n",
        started.elapsed().as_secs_f64(),
        directory.join("reports").display(),
        demo::CORPUS,
        demo::WEEKS[1],
        demo::WEEKS[2],
        demo::CORPUS,
        trace.as_deref().unwrap_or("TRACE"),
    ));
    if std::env::var_os("CARGO").is_some() {
        text.push_str("(`tidemark` is target/debug/tidemark, or `cargo run --`)\n");
    }
    text
}
