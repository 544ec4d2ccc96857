//! Retrievals as a run of TREC: `query Q0 document rank score tag`.

use std::collections::BTreeMap;
use std::io::Write;

use futures::TryStreamExt;
use tidemark_lake::RowStream;
use tidemark_schema::columns::retrievals;
use tidemark_schema::{Fingerprint, Label, RetrievalEvent};

use super::Error;

/// The tag of a retriever without a name.
const UNNAMED: &str = "tidemark";

/// Why a retrieval cannot be a part of a run.
#[derive(Debug, thiserror::Error)]
pub enum Unsuited {
    /// A document has no score.
    #[error("the retrieval {0} has a document without a score, and a run needs one for each")]
    NoScore(tidemark_schema::EventId),
    /// White space ends a field.
    #[error("the retrieval {event} has {text:?} as {what}, and no field of a run can hold white space")]
    WhiteSpace {
        /// Which retrieval.
        event: tidemark_schema::EventId,
        /// What it is.
        what: &'static str,
        /// The text.
        text: String,
    },
}

/// Writes the newest retrieval of each query by each retriever; says how many are written.
pub(super) async fn write(mut rows: RowStream, mut output: impl Write) -> Result<u64, Error> {
    let mut newest: BTreeMap<(Option<Label>, Fingerprint), RetrievalEvent> = BTreeMap::new();
    while let Some(batch) = rows.try_next().await? {
        for row in retrievals::decode(&batch)? {
            let event = row.event;
            let key = (event.retriever.name.clone(), event.query.fingerprint.clone());
            let newer =
                |known: &RetrievalEvent| (known.occurred_at, known.event_id) < (event.occurred_at, event.event_id);
            if newest.get(&key).is_none_or(newer) {
                newest.insert(key, event);
            }
        }
    }
    let count = newest.len() as u64;
    for ((tag, query), event) in newest {
        let word = |what: &'static str, text: &str| {
            if text.contains(char::is_whitespace) {
                Err(Unsuited::WhiteSpace { event: event.event_id, what, text: text.to_owned() })
            } else {
                Ok(())
            }
        };
        let tag = tag.as_ref().map_or(UNNAMED, Label::as_str);
        word("the name of its retriever", tag)?;
        word("the fingerprint of its query", query.as_str())?;
        for (place, document) in event.results.iter().enumerate() {
            word("the id of a document", document.doc_id.as_str())?;
            let score = document.score.ok_or(Unsuited::NoScore(event.event_id))?.get();
            writeln!(output, "{query} Q0 {} {} {score} {tag}", document.doc_id, place + 1)?;
        }
    }
    output.flush()?;
    Ok(count)
}
