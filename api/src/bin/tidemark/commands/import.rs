//! `tidemark import`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use tidemark_api::operations::import::{Form, Options, Source, Summary, text};
use tidemark_collector::decode::trec::Run;
use tidemark_corpus::Qrels;

use tidemark_schema::Timestamp;

use super::{Session, corpus_name, count, policy, print};
use crate::arguments::{Import, ImportFormat, StoreArguments};
use crate::failure::Failure;
use crate::progress;

pub(crate) async fn run(store: &StoreArguments, arguments: &Import) -> Result<ExitCode, Failure> {
    let session = Session::of(store, "import")?.under(Arc::new(policy::chosen(&arguments.policy)?));
    session.operations.create_store(&session.caller).await?;
    if arguments.format == Some(ImportFormat::Qrels) {
        return judgements(&session, arguments).await;
    }
    let options = Options { form: arguments.format.and_then(form), run: run_of(arguments)?, ..Options::default() };
    let mut refused = 0;
    for file in &arguments.files {
        let (summary, seconds) = one(&session, file, &options).await?;
        print(&describe(file, &summary, seconds))?;
        refused += summary.refused;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Qrels belong to a corpus and are not events.
async fn judgements(session: &Session, arguments: &Import) -> Result<ExitCode, Failure> {
    let Some(corpus) = &arguments.corpus else {
        return Err(Failure::usage("judgements do not say of which corpus they are").hint("add --corpus NAME"));
    };
    let [file] = arguments.files.as_slice() else {
        let hint = "join the files: cat a.qrels b.qrels | tidemark import --format qrels … -";
        return Err(Failure::usage("judgements replace those that were there, so one file holds all").hint(hint));
    };
    let judgements = Qrels::read_trec(text(&source(file))?).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Failure::of(format!("{} is no file of judgements: {error}{cause}", file.display()))
            .hint("a line is `query iteration document grade`; nothing was changed")
    })?;
    session.operations.put_qrels(&session.caller, &corpus_name(corpus)?, &judgements).await?;
    let (count_of, queries) = (count(judgements.len()), count(judgements.queries()));
    print(&format!("{}: {count_of} judgements of {queries} queries\n", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn source(file: &Path) -> Source {
    if file == Path::new("-") { Source::StandardInput } else { Source::File(file.to_owned()) }
}

/// Qrels have a way of their own.
fn form(format: ImportFormat) -> Option<Form> {
    match format {
        ImportFormat::Json => Some(Form::Json),
        ImportFormat::Parquet => Some(Form::Parquet),
        ImportFormat::Arrow => Some(Form::Arrow),
        ImportFormat::Trec => Some(Form::Trec),
        ImportFormat::Qrels => None,
    }
}

/// What a run of TREC is of; the arguments come together or not at all.
fn run_of(arguments: &Import) -> Result<Option<Run>, Failure> {
    let (Some(corpus), Some(at)) = (&arguments.corpus, &arguments.at) else { return Ok(None) };
    let at = if at.len() == 10 { Timestamp::from_date(at) } else { at.parse() };
    let at = at.map_err(|error| Failure::usage(format!("--at {error}")))?;
    let version = arguments.corpus_version.as_deref().map(str::parse).transpose();
    let version = version.map_err(|error| Failure::usage(format!("--corpus-version {error}")))?;
    Ok(Some(Run { corpus: corpus_name(corpus)?, version, at }))
}

/// Imports one file with a progress bar; says what it did and how many seconds it took.
pub(super) async fn one(session: &Session, file: &Path, options: &Options) -> Result<(Summary, f64), Failure> {
    let started = Instant::now();
    let source = source(file);
    let total = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    let name = file.file_name().map_or_else(|| "standard input".to_owned(), |name| name.to_string_lossy().into_owned());
    let bar = progress::bytes(&name, total);
    let summary = session.operations.import(&session.caller, &source, options, |progress| {
        bar.set_position(progress.bytes);
        bar.set_message(format!("{} events", count(progress.events)));
    });
    let summary = summary.await;
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
    if summary.ignored_columns > 0 {
        text.push_str(&format!("; {} columns of pandas passed over", count(summary.ignored_columns)));
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
    if summary.texts_dropped > 0 {
        text.push_str(&format!("  {} texts were not kept (--text none)\n", count(summary.texts_dropped)));
    }
    text
}
