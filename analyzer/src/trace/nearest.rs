//! The questions that are nearest to one that was never asked before, and what they were answered.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatch;
use futures::TryStreamExt;
use serde::Serialize;
use tidemark_lake::{Filter, Lake, Scan, Table};
use tidemark_schema::columns::Columns;
use tidemark_schema::{Fingerprint, Query, RetrievalEvent, SimHash, Stored, Timestamp};

use super::retrievals_where;
use crate::error::Error;
use crate::outcome::signature;
use crate::signatures::Signatures;

/// How many similar questions are shown.
const SHOWN: usize = 5;
/// Of so many the answers are read: some were answered by another stage or to another tenant.
const READ: usize = 64;
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

/// The questions nearest to one, nearest first, of those that filters let through and whose answers are `comparable`.
pub(super) async fn nearest(
    lake: &Lake,
    query: &Query,
    filters: Vec<Filter>,
    comparable: impl Fn(&Stored<RetrievalEvent>) -> bool,
) -> Result<Vec<Similar>, Error> {
    let wanted =
        Signatures { embedding: query.embedding.as_deref().map(signature), text: query.simhash.map(|hash| hash.0) };
    let near = near(lake, wanted, filters.clone()).await?;
    if near.is_empty() {
        return Ok(Vec::new());
    }
    let mut filters = filters;
    filters.push(Filter::Fingerprints(near.keys().cloned().collect()));
    let mut found: Vec<Similar> = Vec::new();
    for row in retrievals_where(lake, filters).await? {
        let Some(differing_bits) = near.get(&row.event.query.fingerprint).copied().filter(|_| comparable(&row)) else {
            continue;
        };
        found.push(Similar { differing_bits, row });
    }
    // The newest answer of each.
    found.sort_by_key(|similar| {
        let event = &similar.row.event;
        (similar.differing_bits, std::cmp::Reverse((event.occurred_at, event.attempt, event.event_id)))
    });
    let mut seen = BTreeSet::new();
    found.retain(|similar| seen.insert(similar.row.event.query.fingerprint.clone()));
    found.truncate(SHOWN);
    Ok(found)
}

/// The fingerprints of the nearest questions, and in how many bits each differs: by the embedding or, where none is near by
/// it, by the text.
async fn near(lake: &Lake, wanted: Signatures, filters: Vec<Filter>) -> Result<BTreeMap<Fingerprint, u32>, Error> {
    let columns = ["query_fingerprint", "query_simhash", "query_embedding"];
    let scan = Scan { table: Table::Retrievals, filters, columns: columns.to_vec(), version: None };
    let mut rows = lake.scan(scan).await?;
    let mut found: [BTreeSet<(u32, Fingerprint)>; 2] = Default::default();
    while let Some(batch) = rows.try_next().await? {
        for (fingerprint, hashes) in hashes(&batch)? {
            let pairs = [(wanted.embedding, hashes.embedding), (wanted.text, hashes.text)];
            for (nearest, pair) in found.iter_mut().zip(pairs) {
                let (Some(wanted), Some(hash)) = pair else { continue };
                let differing = (wanted ^ hash).count_ones();
                if differing <= NEAR {
                    nearest.insert((differing, fingerprint.clone()));
                    if nearest.len() > READ {
                        nearest.pop_last();
                    }
                }
            }
        }
    }
    let [by_embedding, by_text] = found;
    let nearest = if by_embedding.is_empty() { by_text } else { by_embedding };
    let mut bits = BTreeMap::new();
    for (differing, fingerprint) in nearest {
        bits.entry(fingerprint).or_insert(differing);
    }
    Ok(bits)
}

/// The fingerprint and the hashes of each row.
fn hashes(batch: &RecordBatch) -> Result<Vec<(Fingerprint, Signatures)>, Error> {
    let columns = Columns::of(batch);
    let of = |row: usize| {
        let hashes = Signatures {
            embedding: columns.vector("query_embedding", row)?.as_deref().map(signature),
            text: columns.maybe::<SimHash>("query_simhash", row)?.map(|hash| hash.0),
        };
        Ok((columns.parsed("query_fingerprint", row)?, hashes))
    };
    (0..batch.num_rows()).map(of).collect()
}
