//! `tidemark doctor`

use std::collections::BTreeMap;
use std::process::ExitCode;

use futures::TryStreamExt;
use serde::Serialize;
use tidemark_api::wire::Store;
use tidemark_lake::{Scan, Table};
use tidemark_schema::columns::Columns;
use tidemark_schema::{CorpusName, CorpusVersion, ErrorKind, Timestamp};

use super::{count, now, open, print, print_json, table};
use crate::arguments::{Doctor, Format, Place};
use crate::failure::Failure;

/// What is in a store, and what about it deserves attention.
#[derive(Debug, Serialize)]
struct Findings {
    store: String,
    log: String,
    tables: Vec<TableFindings>,
    corpora: Vec<CorpusFindings>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct TableFindings {
    table: &'static str,
    version: u64,
    events: u64,
}

#[derive(Debug, Serialize)]
struct CorpusFindings {
    corpus: String,
    version: Option<String>,
    registered: bool,
    events: u64,
    from: Timestamp,
    to: Timestamp,
}

pub(crate) async fn run(place: &Place, arguments: &Doctor) -> Result<ExitCode, Failure> {
    let store = open(place).await?;
    let findings = examine(&store).await?;
    match arguments.format {
        Format::Json => print_json(&findings)?,
        Format::Text => print(&text(&findings))?,
    }
    Ok(if findings.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine(store: &Store) -> Result<Findings, Failure> {
    let mut tables = Vec::new();
    let mut corpora = BTreeMap::new();
    for table in Table::ALL {
        let version = store.lake.version(table).await?;
        let columns = match table {
            Table::Retrievals => vec!["occurred_at", "corpus", "corpus_version"],
            Table::Outputs => vec!["occurred_at"],
        };
        let mut events = 0;
        let mut rows = store.lake.scan(Scan { table, filters: Vec::new(), columns, version: None }).await?;
        while let Some(batch) = rows.try_next().await? {
            events += batch.num_rows() as u64;
            if table == Table::Retrievals {
                tally(&Columns::of(&batch), batch.num_rows(), &mut corpora).map_err(Failure::of)?;
            }
        }
        tables.push(TableFindings { table: table.name(), version, events });
    }
    let mut findings = Findings {
        store: store.lake.location().to_string(),
        log: store.log_directory().display().to_string(),
        tables,
        corpora: Vec::new(),
        problems: Vec::new(),
    };
    for ((corpus, version), (events, from, to)) in corpora {
        let registered = registered(store, &corpus, version.as_ref(), &mut findings.problems).await?;
        if to > now().plus_seconds(3_600) {
            findings
                .problems
                .push(format!("{corpus} has events of {to}, which lies in the future; check the sender's clock"));
        }
        findings.corpora.push(CorpusFindings {
            corpus: corpus.to_string(),
            version: version.map(|version| version.to_string()),
            registered,
            events,
            from,
            to,
        });
    }
    Ok(findings)
}

type Tally = BTreeMap<(CorpusName, Option<CorpusVersion>), (u64, Timestamp, Timestamp)>;

fn tally(rows: &Columns<'_>, count: usize, tally: &mut Tally) -> Result<(), tidemark_schema::columns::ColumnError> {
    for row in 0..count {
        let time = rows.time("occurred_at", row)?;
        let key = (rows.parsed("corpus", row)?, rows.maybe("corpus_version", row)?);
        let (events, from, to) = tally.entry(key).or_insert((0, time, time));
        *events += 1;
        *from = (*from).min(time);
        *to = (*to).max(time);
    }
    Ok(())
}

/// Whether the version has a manifest; if not, or if that is damaged, a problem says what to do.
async fn registered(
    store: &Store,
    corpus: &CorpusName,
    version: Option<&CorpusVersion>,
    problems: &mut Vec<String>,
) -> Result<bool, Failure> {
    let Some(version) = version else {
        problems.push(format!("events of {corpus} declare no corpus_version: send it with each retrieval"));
        return Ok(false);
    };
    match store.registry.manifest(corpus, version).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            problems.push(format!(
                "{corpus} {version} has no manifest: `tidemark corpus register {corpus} {version} MANIFEST`"
            ));
            Ok(false)
        }
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            problems.push(format!("the manifest of {corpus} {version} is damaged ({error}): register it again"));
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

fn text(findings: &Findings) -> String {
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
