//! `tidemark doctor`

use std::process::ExitCode;

use tidemark_api::operations::Examination;

use super::{Session, count, print, print_json, table};
use crate::arguments::{Doctor, Format, StoreArguments};
use crate::failure::Failure;

pub(crate) async fn run(store: &StoreArguments, arguments: &Doctor) -> Result<ExitCode, Failure> {
    let Session { operations, caller } = Session::of(store, "doctor")?;
    let findings = operations.examine(&caller).await?;
    match arguments.format {
        Format::Json => print_json(&findings)?,
        Format::Text => print(&text(&findings))?,
    }
    Ok(if findings.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(findings: &Examination) -> String {
    let mut text = format!("store  {}\nlog    {}\n\n", findings.store, findings.log);
    let mut rows = vec![vec!["table".to_owned(), "version".to_owned(), "events".to_owned()]];
    rows.extend(findings.tables.iter().map(|t| vec![t.table.to_owned(), t.version.to_string(), count(t.events)]));
    text.push_str(&table(&rows));
    if !findings.corpora.is_empty() {
        let heading = ["corpus", "version", "manifest", "events", "first", "last"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        rows.extend(findings.corpora.iter().map(|c| {
            vec![
                c.corpus.clone(),
                c.version.clone().unwrap_or_else(|| "-".to_owned()),
                if c.registered { "registered" } else { "missing" }.to_owned(),
                count(c.events),
                c.from.to_string(),
                c.to.to_string(),
            ]
        }));
        text.push('\n');
        text.push_str(&table(&rows));
    }
    text.push('\n');
    if findings.problems.is_empty() {
        text.push_str("nothing needs attention\n");
    }
    for problem in &findings.problems {
        text.push_str(&format!("! {problem}\n"));
    }
    text
}
