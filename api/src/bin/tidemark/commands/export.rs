//! `tidemark export`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use tidemark_api::operations;
use tidemark_api::operations::export::{Error, Exported, Format, Scores, Selection};
use tidemark_schema::Timestamp;

use super::{Session, corpus_name, count, visible_lines};
use crate::arguments::{Export, ExportFormat, ExportKind, RunScores, StoreArguments};
use crate::failure::Failure;
use crate::progress;

pub(crate) async fn run(store: &StoreArguments, arguments: &Export) -> Result<ExitCode, Failure> {
    let selection = selection(arguments)?;
    let format = match arguments.format {
        ExportFormat::Ndjson => Format::Ndjson,
        ExportFormat::Parquet => Format::Parquet,
        ExportFormat::Arrow => Format::Arrow,
        ExportFormat::Trec => Format::Trec(arguments.scores.map(|scores| match scores {
            RunScores::Given => Scores::Given,
            RunScores::Rank => Scores::Rank,
        })),
    };
    if arguments.scores.is_some() && arguments.format != ExportFormat::Trec {
        return Err(Failure::usage("--scores says how a run of TREC is written").hint("add --format trec"));
    }
    let session = Session::of(store, "export")?;
    let Some(path) = &arguments.output else {
        let output = BufWriter::new(std::io::stdout());
        return match session.operations.export(&session.caller, &selection, format, output).await {
            Err(operations::Error::Export(Error::Write(error))) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                Ok(ExitCode::SUCCESS)
            }
            result => {
                tell(&result?)?;
                Ok(ExitCode::SUCCESS)
            }
        };
    };
    let spinner = progress::spinner("exporting");
    let result = to_file(&session, &selection, format, path).await;
    spinner.finish_and_clear();
    let exported = result?;
    tell(&exported)?;
    let written = format!("{} {} written to {}", count(exported.events), selection.name(), path.display());
    writeln!(std::io::stderr(), "{}", visible_lines(&written))?;
    Ok(ExitCode::SUCCESS)
}

/// Says what a run has in place of the scores that were given.
fn tell(exported: &Exported) -> Result<(), Failure> {
    let mut stderr = std::io::stderr();
    if exported.negated > 0 {
        writeln!(
            stderr,
            "{} retrievals have distances; they are written negated, so that the best is highest",
            count(exported.negated)
        )?;
    }
    if exported.unscored > 0 {
        writeln!(stderr, "{} retrievals lack scores; theirs are made from the ranks", count(exported.unscored))?;
    }
    Ok(())
}

/// Writes under another name until the file is complete, so that nobody takes half of one for a whole one.
async fn to_file(session: &Session, selection: &Selection, format: Format, path: &Path) -> Result<Exported, Failure> {
    let hint = "name a file in a directory that exists and can be written";
    if path.is_dir() {
        return Err(Failure::of(format!("{} is a directory", path.display())).hint(hint));
    }
    let mut unfinished = path.to_owned().into_os_string();
    unfinished.push(".unfinished");
    let unfinished = Path::new(&unfinished);
    let failed =
        |error: std::io::Error| Failure::of(format!("{} cannot be written: {error}", path.display())).hint(hint);
    let file = File::create(unfinished).map_err(failed)?;
    let exported = session
        .operations
        .export(&session.caller, selection, format, BufWriter::new(&file))
        .await
        .map_err(Failure::from);
    let finished = exported.and_then(|exported| {
        file.sync_all().and_then(|()| std::fs::rename(unfinished, path)).map_err(failed)?;
        Ok(exported)
    });
    if finished.is_err() && std::fs::remove_file(unfinished).is_err() {
        return finished.map_err(|failure| failure.hint(format!("{} may be left behind", unfinished.display())));
    }
    finished
}

fn selection(arguments: &Export) -> Result<Selection, Failure> {
    let between = between(arguments)?;
    let corpus = arguments.corpus.as_deref().map(corpus_name).transpose()?;
    let corpus_version = arguments.corpus_version.as_deref().map(str::parse).transpose();
    let corpus_version = corpus_version.map_err(|error| Failure::usage(format!("--corpus-version {error}")))?;
    match arguments.kind {
        ExportKind::Retrievals => Ok(Selection::Retrievals { corpus, corpus_version, between }),
        ExportKind::Outputs if corpus.is_none() && corpus_version.is_none() => Ok(Selection::Outputs { between }),
        ExportKind::Outputs => {
            let hint = "leave --corpus and --corpus-version out: an output belongs to an operation, which may have asked \
                        several corpora";
            Err(Failure::usage("outputs belong to no corpus").hint(hint))
        }
    }
}

fn between(arguments: &Export) -> Result<Option<(Timestamp, Timestamp)>, Failure> {
    if arguments.from.is_none() && arguments.to.is_none() {
        return Ok(None);
    }
    let instant = |text: &Option<String>, open: Timestamp| match text.as_deref() {
        None => Ok(open),
        Some(date) if date.len() == 10 => Timestamp::from_date(date),
        Some(time) => time.parse(),
    };
    let from = instant(&arguments.from, Timestamp::MIN).map_err(Failure::usage)?;
    let to = instant(&arguments.to, Timestamp::MAX).map_err(Failure::usage)?;
    if from >= to {
        return Err(Failure::usage(format!("--to {to} is not after --from {from}")));
    }
    Ok(Some((from, to)))
}
