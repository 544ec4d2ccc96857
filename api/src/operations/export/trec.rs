//! Retrievals as a run of TREC: `query Q0 document rank score tag`.

use std::collections::BTreeMap;
use std::io::Write;

use futures::TryStreamExt;
use tidemark_lake::RowStream;
use tidemark_schema::columns::{ColumnError, Columns};
use tidemark_schema::{
    CorpusName, CorpusVersion, DocumentId, EventId, Fingerprint, Finite, Label, ScoreKind, Timestamp,
};

use super::{Error, Exported};

/// The tag of a retriever without a name.
const UNNAMED: &str = "tidemark";

/// What a run is made of.
pub(super) const COLUMNS: [&str; 8] = [
    "event_id",
    "occurred_at",
    "corpus",
    "corpus_version",
    "retriever_name",
    "score_kind",
    "query_fingerprint",
    "results",
];

/// Which scores a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scores {
    /// Those of the retriever.
    Given,
    /// The number of documents for the first, down to 1 for the last.
    Rank,
}

/// Why retrievals cannot be a run. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Unsuited {
    /// A run does not say of which corpus it is.
    #[error("there are retrievals of the corpora {0} and {1}, and a run is of one")]
    Corpora(CorpusName, CorpusName),
    /// A run does not say of which version it is.
    #[error("the query {query} was asked of {of} and of {and_of}, and a run is of one version")]
    Versions {
        /// The fingerprint of the query.
        query: Fingerprint,
        /// A version.
        of: String,
        /// Another.
        and_of: String,
    },
    /// A document has no score.
    #[error("the retrieval {event} of the query {query} has a document without a score")]
    NoScore {
        /// Which retrieval.
        event: EventId,
        /// The fingerprint of its query.
        query: Fingerprint,
    },
    /// Whoever reads the run would sort it otherwise.
    #[error(
        "the scores of the retrieval {event} of the query {query} do not descend with the ranks, and a run is sorted by score"
    )]
    Order {
        /// Which retrieval.
        event: EventId,
        /// The fingerprint of its query.
        query: Fingerprint,
    },
    /// White space ends a field.
    #[error("the retrieval {event} has {text:?} as {what}, and no field of a run can hold white space")]
    WhiteSpace {
        /// Which retrieval.
        event: EventId,
        /// What it is.
        what: &'static str,
        /// The text.
        text: String,
    },
}

impl Unsuited {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Corpora(..) => "add --corpus NAME",
            Self::Versions { .. } => "add --corpus-version VERSION, or --from and --to for a window with one version",
            Self::NoScore { .. } | Self::Order { .. } => "add --scores rank to have scores that follow the ranks",
            Self::WhiteSpace { .. } => "export NDJSON or Parquet, which hold everything",
        }
    }

    /// Whether the command names too little, as against events that no run can hold.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::WhiteSpace { .. })
    }
}

/// One answer to a query, without what a run does not say.
struct Answer {
    event: EventId,
    at: Timestamp,
    version: Option<CorpusVersion>,
    kind: ScoreKind,
    documents: Vec<(DocumentId, Option<f64>)>,
}

/// The retriever and the query.
type Key = (Option<Label>, Fingerprint);

/// Writes the newest retrieval of each query by each retriever. All of it is looked at before any of it is written.
pub(super) async fn write(
    mut rows: RowStream,
    asked: Option<Scores>,
    mut output: impl Write,
) -> Result<Exported, Error> {
    let mut newest = BTreeMap::new();
    let mut corpus = None;
    while let Some(batch) = rows.try_next().await? {
        gather(&Columns::of(&batch), batch.num_rows(), &mut newest, &mut corpus)?;
    }
    let mut exported = Exported { events: newest.len() as u64, ..Exported::default() };
    for ((tag, query), answer) in &mut newest {
        answer.check_words(tag.as_ref(), query)?;
        answer.settle_scores(query, asked, &mut exported)?;
    }
    for ((tag, query), answer) in newest {
        let tag = tag.as_ref().map_or(UNNAMED, Label::as_str);
        for (rank, (document, score)) in (1..).zip(&answer.documents) {
            writeln!(output, "{query} Q0 {document} {rank} {} {tag}", score.unwrap_or_default())?;
        }
    }
    output.flush()?;
    Ok(exported)
}

fn gather(
    rows: &Columns<'_>,
    count: usize,
    newest: &mut BTreeMap<Key, Answer>,
    corpus: &mut Option<CorpusName>,
) -> Result<(), Error> {
    let results = rows.list("results")?;
    let document = Columns::of_elements(results, "results")?;
    for row in 0..count {
        let asked: CorpusName = rows.parsed("corpus", row)?;
        match corpus {
            Some(known) if *known != asked => return Err(Unsuited::Corpora(known.clone(), asked).into()),
            _ => *corpus = Some(asked),
        }
        let key = (rows.maybe("retriever_name", row)?, rows.parsed("query_fingerprint", row)?);
        let (event, at) = (rows.event_id("event_id", row)?, rows.time("occurred_at", row)?);
        let version: Option<CorpusVersion> = rows.maybe("corpus_version", row)?;
        if let Some(known) = newest.get(&key) {
            if known.version != version {
                return Err(Unsuited::Versions {
                    query: key.1,
                    of: named(known.version.as_ref()),
                    and_of: named(version.as_ref()),
                }
                .into());
            }
            if (known.at, known.event) > (at, event) {
                continue;
            }
        }
        let documents = Columns::range(results, row)
            .map(|i| Ok((document.parsed("doc_id", i)?, document.number("score", i)?.map(Finite::get))))
            .collect::<Result<_, ColumnError>>()?;
        let kind = rows.maybe("score_kind", row)?.unwrap_or_default();
        newest.insert(key, Answer { event, at, version, kind, documents });
    }
    Ok(())
}

fn named(version: Option<&CorpusVersion>) -> String {
    version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"))
}

impl Answer {
    fn check_words(&self, tag: Option<&Label>, query: &Fingerprint) -> Result<(), Unsuited> {
        let word = |what: &'static str, text: &str| {
            if text.contains(|letter: char| letter.is_ascii_whitespace()) {
                Err(Unsuited::WhiteSpace { event: self.event, what, text: text.to_owned() })
            } else {
                Ok(())
            }
        };
        word("the name of its retriever", tag.map_or(UNNAMED, Label::as_str))?;
        word("the fingerprint of its query", query.as_str())?;
        self.documents.iter().try_for_each(|(id, _)| word("the id of a document", id.as_str()))
    }

    /// Gives each document the score that is written.
    fn settle_scores(
        &mut self,
        query: &Fingerprint,
        asked: Option<Scores>,
        exported: &mut Exported,
    ) -> Result<(), Unsuited> {
        let unscored = self.documents.iter().any(|(_, score)| score.is_none());
        if unscored && asked == Some(Scores::Given) {
            return Err(Unsuited::NoScore { event: self.event, query: query.clone() });
        }
        if unscored || asked == Some(Scores::Rank) {
            exported.unscored += u64::from(unscored);
            for (place, (_, score)) in self.documents.iter_mut().rev().enumerate() {
                *score = Some((place + 1) as f64);
            }
            return Ok(());
        }
        if self.kind == ScoreKind::Distance {
            exported.negated += u64::from(!self.documents.is_empty());
            for (_, score) in &mut self.documents {
                // Not -0.0 for the document that is the query itself.
                *score = score.map(|distance| 0.0 - distance);
            }
        }
        if self.documents.is_sorted_by(|(_, better), (_, worse)| better >= worse) {
            Ok(())
        } else {
            Err(Unsuited::Order { event: self.event, query: query.clone() })
        }
    }
}
