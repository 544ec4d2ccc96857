//! `tidemark export`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use tidemark_api::export::{Error, Format, export};
use tidemark_lake::{Filter, Table};
use tidemark_schema::Timestamp;

use super::{corpus_name, count, open};
use crate::arguments::{Export, ExportFormat, ExportKind, Place};
use crate::failure::Failure;
use crate::progress;

pub(crate) async fn run(place: &Place, arguments: &Export) -> Result<ExitCode, Failure> {
    let (table, filters) = selection(arguments)?;
    let format = match arguments.format {
        ExportFormat::Ndjson => Format::Ndjson,
        ExportFormat::Parquet => Format::Parquet,
    };
    let store = open(place).await?;
    let Some(path) = &arguments.output else {
        let output = BufWriter::new(std::io::stdout());
        return match export(&store, table, filters, format, output).await {
            Err(Error::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            result => Ok(result.map(|_| ExitCode::SUCCESS)?),
        };
    };
    // Under another name until it is complete, so that nobody takes half a file for a whole one.
    let mut unfinished = path.clone().into_os_string();
    unfinished.push(".unfinished");
    let unfinished = Path::new(&unfinished);
    let spinner = progress::spinner("exporting");
    let file = File::create(unfinished)?;
    let result = export(&store, table, filters, format, BufWriter::new(&file)).await;
    spinner.finish_and_clear();
    let events = match result {
        Ok(events) => events,
        Err(error) => {
            std::fs::remove_file(unfinished)?;
            return Err(error.into());
        }
    };
    file.sync_all()?;
    std::fs::rename(unfinished, path)?;
    writeln!(std::io::stderr(), "{} {} written to {}", count(events), table.name(), path.display())?;
    Ok(ExitCode::SUCCESS)
}

fn selection(arguments: &Export) -> Result<(Table, Vec<Filter>), Failure> {
    let table = match arguments.kind {
        ExportKind::Retrievals => Table::Retrievals,
        ExportKind::Outputs => Table::Outputs,
    };
    let mut filters = Vec::new();
    if let Some(corpus) = &arguments.corpus {
        if table == Table::Outputs {
            let hint = "leave --corpus out: an output belongs to an operation, which may have asked several corpora";
            return Err(Failure::usage("outputs belong to no corpus").hint(hint));
        }
        filters.push(Filter::Corpus(corpus_name(corpus)?));
    }
    if arguments.from.is_some() || arguments.to.is_some() {
        let instant = |text: &Option<String>, open: Timestamp| match text.as_deref() {
            None => Ok(open),
            Some(date) if date.len() == 10 => Timestamp::from_date(date),
            Some(time) => time.parse(),
        };
        let from = instant(&arguments.from, Timestamp::MIN).map_err(Failure::usage)?;
        let to = instant(&arguments.to, Timestamp::MAX).map_err(Failure::usage)?;
        filters.push(Filter::Between(from, to));
    }
    Ok((table, filters))
}
