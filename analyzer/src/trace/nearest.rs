//! The questions that are nearest to one that was never asked before, and what they were answered.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use serde::Serialize;
use tidemark_lake::{Filter, Lake, Scan, Table};
use tidemark_schema::columns::Columns;
use tidemark_schema::{Fingerprint, Label, OperationId, RetrievalEvent, SimHash, Stored, Timestamp};

use super::retrievals_where;
use crate::error::Error;
use crate::outcome::signature;
use crate::signatures::Signatures;
use crate::stage::Stage;

/// How many similar questions are shown.
const SHOWN: usize = 5;
/// Questions whose hashes differ in more of the 64 bits are not similar: an angle of 34 degrees between embeddings.
const NEAR: u32 = 12;

/// A question like the one that is looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimilarQuery {
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its text, if it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// In how many of 64 bits its hash differs: of the embedding, else of features of the text.
    pub differing_bits: u32,
    /// The trace of its newest answer.
    pub trace_id: Option<String>,
    /// When that was.
    pub occurred_at: Timestamp,
}

/// A question that was asked before, with its newest answer.
pub(super) struct Similar {
    pub(super) differing_bits: u32,
    pub(super) row: Stored<RetrievalEvent>,
}

impl Similar {
    pub(super) fn report(&self) -> SimilarQuery {
        let event = &self.row.event;
        SimilarQuery {
            fingerprint: event.query.fingerprint.to_string(),
            query: event.query.text.clone(),
            differing_bits: self.differing_bits,
            trace_id: event.trace_id.as_ref().map(ToString::to_string),
            occurred_at: event.occurred_at,
        }
    }
}

/// Who asked, who answered, and within which limits: only what agrees in all of them is compared.
#[derive(Debug, PartialEq)]
pub(super) struct Like {
    tenant: Option<String>,
    stage: Stage,
    scope: Vec<Label>,
    filter: Option<String>,
}

impl Like {
    pub(super) fn of(event: &RetrievalEvent) -> Self {
        Self {
            tenant: super::tenant(event).map(str::to_owned),
            stage: super::stage(event),
            scope: event.requested.scope.clone(),
            filter: event.requested.filter.as_ref().map(ToString::to_string),
        }
    }

    /// Of a row that holds no more than [`COLUMNS`].
    fn at(columns: &Columns<'_>, row: usize) -> Result<Self, Error> {
        let label = |name: &str| Ok::<_, Error>(columns.text(name, row)?.map(Into::into));
        let segment = columns.text_map("segment", row)?;
        Ok(Self {
            tenant: super::tenant_of(&segment).map(str::to_owned),
            stage: Stage {
                retriever: label("retriever_name")?,
                kind: label("retriever_kind")?,
                score_kind: columns.maybe("score_kind", row)?.unwrap_or_default(),
            },
            scope: columns.parsed_list("requested_scope", row)?,
            filter: columns.text("requested_filter", row)?.map(str::to_owned),
        })
    }
}

/// What is read of every row, besides the embedding where it is needed.
const COLUMNS: [&str; 10] = [
    "occurred_at",
    "operation_id",
    "segment",
    "retriever_name",
    "retriever_kind",
    "score_kind",
    "query_fingerprint",
    "query_simhash",
    "requested_scope",
    "requested_filter",
];

/// A question that is near, by its newest answer.
struct Near {
    differing_bits: u32,
    occurred_at: Timestamp,
    operation: OperationId,
}

/// The questions nearest to the one of an event, nearest first, of those that filters let through and that are like it.
pub(super) async fn nearest(
    lake: &Lake,
    current: &RetrievalEvent,
    filters: Vec<Filter>,
) -> Result<Vec<Similar>, Error> {
    let wanted = Signatures {
        embedding: current.query.embedding.as_deref().map(signature),
        text: current.query.simhash.map(|hash| hash.0),
    };
    let like = Like::of(current);
    let mut found = Vec::new();
    for near in near(lake, (current, &like), wanted, filters).await? {
        let next = Timestamp::from_micros(near.occurred_at.micros() + 1).unwrap_or(near.occurred_at);
        let there = Filter::Between(near.occurred_at, next);
        let filters = vec![Filter::Corpus(current.corpus.clone()), there, Filter::Operation(near.operation)];
        let mut rows = retrievals_where(lake, filters).await?;
        rows.retain(|row| Like::of(&row.event) == like);
        rows.sort_by_key(|row| (row.event.attempt, row.event.event_id));
        found.extend(rows.pop().map(|row| Similar { differing_bits: near.differing_bits, row }));
    }
    Ok(found)
}

/// The nearest questions: by the embedding or, where none is near by it, by the text.
async fn near(
    lake: &Lake,
    (current, like): (&RetrievalEvent, &Like),
    wanted: Signatures,
    filters: Vec<Filter>,
) -> Result<Vec<Near>, Error> {
    if wanted.best().is_none() {
        return Ok(Vec::new());
    }
    let mut columns = COLUMNS.to_vec();
    columns.extend(wanted.embedding.map(|_| "query_embedding"));
    let mut rows = lake.scan(Scan { table: Table::Retrievals, filters, columns, version: None }).await?;
    let mut found: [BTreeMap<Fingerprint, Near>; 2] = Default::default();
    while let Some(batch) = rows.try_next().await? {
        let columns = Columns::of(&batch);
        for row in 0..batch.num_rows() {
            let embedding = match wanted.embedding {
                Some(_) => columns.vector("query_embedding", row)?.as_deref().map(signature),
                None => None,
            };
            let text = columns.maybe::<SimHash>("query_simhash", row)?.map(|hash| hash.0);
            for (nearest, pair) in found.iter_mut().zip([(wanted.embedding, embedding), (wanted.text, text)]) {
                let (Some(wanted), Some(hash)) = pair else { continue };
                let differing_bits = (wanted ^ hash).count_ones();
                if differing_bits > NEAR || Like::at(&columns, row)? != *like {
                    continue;
                }
                let operation: OperationId = columns.parsed("operation_id", row)?;
                if operation != current.operation_id {
                    let occurred_at = columns.time("occurred_at", row)?;
                    keep(
                        nearest,
                        columns.parsed("query_fingerprint", row)?,
                        Near { differing_bits, occurred_at, operation },
                    );
                }
            }
        }
    }
    let [by_embedding, by_text] = found;
    let nearest = if by_embedding.is_empty() { by_text } else { by_embedding };
    let mut nearest: Vec<(Fingerprint, Near)> = nearest.into_iter().collect();
    nearest.sort_by(|(a, x), (b, y)| rank(x).cmp(&rank(y)).then(a.cmp(b)));
    Ok(nearest.into_iter().map(|(_, near)| near).collect())
}

/// The nearest first, and of equals the newest.
fn rank(near: &Near) -> (u32, std::cmp::Reverse<Timestamp>) {
    (near.differing_bits, std::cmp::Reverse(near.occurred_at))
}

/// Keeps the newest answer of each question, and no more questions than are shown.
fn keep(nearest: &mut BTreeMap<Fingerprint, Near>, fingerprint: Fingerprint, near: Near) {
    match nearest.get_mut(&fingerprint) {
        Some(known) if (known.occurred_at, &known.operation) < (near.occurred_at, &near.operation) => *known = near,
        Some(_) => {}
        None => {
            nearest.insert(fingerprint, near);
            if nearest.len() > SHOWN {
                let farthest = nearest.iter().max_by(|(a, x), (b, y)| rank(x).cmp(&rank(y)).then(a.cmp(b)));
                let farthest = farthest.map(|(fingerprint, _)| fingerprint.clone());
                if let Some(farthest) = farthest {
                    nearest.remove(&farthest);
                }
            }
        }
    }
}
