//! What is in a store, and what about it deserves attention.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use serde::Serialize;
use tidemark_corpus::Registry;
use tidemark_lake::{Scan, Table};
use tidemark_schema::columns::Columns;
use tidemark_schema::{CorpusName, CorpusVersion, ErrorKind, Timestamp};

use super::{Action, Caller, Error, Operations};

/// What is in a store, and what about it deserves attention.
#[derive(Debug, Serialize)]
pub struct Examination {
    /// Where the store lies.
    pub store: String,
    /// Where the write-ahead log lies.
    pub log: String,
    /// The tables.
    pub tables: Vec<TableFindings>,
    /// The versions of the corpora that events declare.
    pub corpora: Vec<CorpusFindings>,
    /// What deserves attention, in words.
    pub problems: Vec<String>,
}

/// What a table holds.
#[derive(Debug, Serialize)]
pub struct TableFindings {
    /// Its name.
    pub table: &'static str,
    /// Its newest version.
    pub version: u64,
    /// Its events.
    pub events: u64,
}

/// The events that declare a version of a corpus.
#[derive(Debug, Serialize)]
pub struct CorpusFindings {
    /// The corpus.
    pub corpus: String,
    /// The version; none where events declare none.
    pub version: Option<String>,
    /// Whether it has a manifest.
    pub registered: bool,
    /// How many events.
    pub events: u64,
    /// The time of the first.
    pub from: Timestamp,
    /// The time of the last.
    pub to: Timestamp,
}

impl Operations {
    /// Looks at all that is stored.
    pub async fn examine(&self, caller: &Caller) -> Result<Examination, Error> {
        let store = self.store(caller, Action::ExamineStore).await?;
        let now = self.now();
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
                    tally(&Columns::of(&batch), batch.num_rows(), &mut corpora)
                        .map_err(tidemark_analyzer::Error::from)?;
                }
            }
            tables.push(TableFindings { table: table.name(), version, events });
        }
        let mut findings = Examination {
            store: store.lake.location().to_string(),
            log: self.stores.log_directory().display().to_string(),
            tables,
            corpora: Vec::new(),
            problems: Vec::new(),
        };
        for ((corpus, version), (events, from, to)) in corpora {
            let registered = registered(&store.registry, &corpus, version.as_ref(), &mut findings.problems).await?;
            if to > now.plus_seconds(3_600) {
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
    registry: &Registry,
    corpus: &CorpusName,
    version: Option<&CorpusVersion>,
    problems: &mut Vec<String>,
) -> Result<bool, Error> {
    let Some(version) = version else {
        problems.push(format!("events of {corpus} declare no corpus_version: send it with each retrieval"));
        return Ok(false);
    };
    match registry.verify(corpus, version).await {
        Ok(()) => Ok(true),
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
