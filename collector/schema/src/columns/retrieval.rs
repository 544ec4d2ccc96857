use std::borrow::Borrow;
use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use serde_json::Value;

use super::layout::{
    EVENT_DATE, Layout, counts, dates, event_ids, lists, maps, numbers, struct_lists, texts, times, vectors,
};
use super::read::{ColumnError, Columns};
use crate::event::{Query, Requested, RetrievalEvent, RetrievedDocument, Retriever, Stored};
use crate::ids::{Fingerprint, Label};
use crate::number::Finite;
use crate::simhash::SimHash;

/// The schema of the table of retrievals.
pub fn schema() -> Result<SchemaRef, ArrowError> {
    Ok(rows_of(&[])?.schema())
}

/// Events as rows, in their order.
pub fn encode<E: Borrow<RetrievalEvent>>(rows: &[Stored<E>]) -> Result<RecordBatch, ArrowError> {
    let borrowed = rows.iter().map(|Stored { received_at, ingest, event }| Stored {
        received_at: *received_at,
        ingest: *ingest,
        event: event.borrow(),
    });
    rows_of(&borrowed.collect::<Vec<_>>())
}

fn rows_of(rows: &[Stored<&RetrievalEvent>]) -> Result<RecordBatch, ArrowError> {
    let events = || rows.iter().map(|row| row.event);
    let mut table = Layout::default();
    table.add("event_id", event_ids(events().map(|e| &e.event_id)));
    table.add("occurred_at", times(events().map(|e| Some(e.occurred_at))));
    table.add("received_at", times(rows.iter().map(|row| Some(row.received_at))));
    table.text("ingest", rows.iter().map(|row| Some(row.ingest.as_str())));
    table.text("operation_id", events().map(|e| Some(e.operation_id.as_str())));
    table.add("attempt", counts(events().map(|e| Some(e.attempt))));
    table.text("trace_id", events().map(|e| e.trace_id.as_ref().map(super::super::ids::TraceId::as_str)));
    table.text("span_id", events().map(|e| e.span_id.as_ref().map(super::super::ids::SpanId::as_str)));
    table.text("principal", events().map(|e| label(e.principal.as_ref())));
    table.text("service", events().map(|e| label(e.service.as_ref())));
    table.text("environment", events().map(|e| label(e.environment.as_ref())));
    table.add(
        "segment",
        maps(
            events().map(|e| e.segment.len()),
            texts(events().flat_map(|e| e.segment.keys()).map(|key| Some(key.as_str()))),
            texts(events().flat_map(|e| e.segment.values()).map(|value| Some(value.as_str()))),
        )?,
    );
    table.text(
        "corpus_version",
        events().map(|e| e.corpus_version.as_ref().map(super::super::ids::CorpusVersion::as_str)),
    );
    table.text("retriever_name", events().map(|e| label(e.retriever.name.as_ref())));
    table.text("retriever_kind", events().map(|e| label(e.retriever.kind.as_ref())));
    table.text("retriever_version", events().map(|e| label(e.retriever.version.as_ref())));
    table.text("score_kind", events().map(|e| Some(e.retriever.score_kind.as_str())));
    table.text("index_id", events().map(|e| label(e.retriever.index.as_ref())));
    table.text("embedder", events().map(|e| label(e.retriever.embedder.as_ref())));
    let params: Vec<_> = events().map(|e| json(&e.retriever.params)).collect();
    table.text("retriever_params", params.iter().map(Option::as_deref));
    table.text("model", events().map(|e| label(e.model.as_ref())));
    table.text("prompt_version", events().map(|e| label(e.prompt_version.as_ref())));
    table.text("policy_version", events().map(|e| label(e.policy_version.as_ref())));
    table.text("query_fingerprint", events().map(|e| Some(e.query.fingerprint.as_str())));
    table.text("query_text", events().map(|e| e.query.text.as_deref()));
    let simhashes: Vec<_> = events().map(|e| e.query.simhash.map(|hash| hash.to_string())).collect();
    table.text("query_simhash", simhashes.iter().map(Option::as_deref));
    table.add("query_embedding", vectors(events().map(|e| e.query.embedding.as_deref())));
    table.add("requested_top_k", counts(events().map(|e| e.requested.top_k)));
    table.add("requested_context_tokens", counts(events().map(|e| held(e.requested.max_context_tokens))));
    table.add("requested_age_s", counts(events().map(|e| held(e.requested.max_age_s))));
    let scopes = texts(events().flat_map(|e| &e.requested.scope).map(|scope| Some(scope.as_str())));
    table.add("requested_scope", lists(events().map(|e| e.requested.scope.len()), scopes)?);
    table.text("requested_filter", events().map(|e| e.requested.filter.as_deref()));
    table.add("results", struct_lists(events().map(|e| e.results.len()), documents(rows))?);
    table.add("results_total", counts(events().map(|e| e.results_total)));
    table.add("latency_ms", numbers(events().map(|e| e.latency_ms.map(Finite::get))));
    table.add("cost_usd", numbers(events().map(|e| e.cost_usd.map(Finite::get))));
    let attributes: Vec<_> = events().map(|e| json(&e.attributes)).collect();
    table.text("attributes", attributes.iter().map(Option::as_deref));
    table.text("corpus", events().map(|e| Some(e.corpus.as_str())));
    table.add(EVENT_DATE, dates(events().map(|e| e.occurred_at)));
    let marks = texts(events().flat_map(|e| &e.marks).map(|mark| Some(mark.as_str())));
    table.add("marks", lists(events().map(|e| e.marks.len()), marks)?);
    table.text(
        "query_fingerprint_previous",
        events().map(|e| e.query.previous_fingerprint.as_ref().map(Fingerprint::as_str)),
    );
    table.finish()
}

/// The documents of all rows, laid end to end; the rank is the place in the row, counted from 1.
fn documents(rows: &[Stored<&RetrievalEvent>]) -> Layout {
    let documents = || rows.iter().flat_map(|row| &row.event.results);
    let ranks = rows.iter().flat_map(|row| 1..=u32::try_from(row.event.results.len()).unwrap_or(u32::MAX));
    let mut table = Layout::default();
    table.text("doc_id", documents().map(|d| Some(d.doc_id.as_str())));
    table.add("rank", counts(ranks.map(Some)));
    table.add("score", numbers(documents().map(|d| d.score.map(Finite::get))));
    table
        .text("content_hash", documents().map(|d| d.content_hash.as_ref().map(super::super::ids::ContentHash::as_str)));
    table.add("tokens", counts(documents().map(|d| d.tokens)));
    table.add("updated_at", times(documents().map(|d| d.updated_at)));
    table.text("scope", documents().map(|d| label(d.scope.as_ref())));
    table
}

fn label(label: Option<&Label>) -> Option<&str> {
    label.map(Label::as_str)
}

fn json(map: &BTreeMap<String, Value>) -> Option<String> {
    if map.is_empty() { None } else { serde_json::to_string(map).ok() }
}

fn held(count: Option<u64>) -> Option<u32> {
    count.map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

/// Rows as events again. The batch must hold every column of [`schema`].
pub fn decode(batch: &RecordBatch) -> Result<Vec<Stored<RetrievalEvent>>, ColumnError> {
    let rows = Columns::of(batch);
    let results = rows.list("results")?;
    let document = Columns::of_elements(results, "results")?;
    (0..batch.num_rows())
        .map(|row| {
            Ok(Stored {
                received_at: rows.time("received_at", row)?,
                ingest: rows.parsed("ingest", row)?,
                event: RetrievalEvent {
                    event_id: rows.event_id("event_id", row)?,
                    occurred_at: rows.time("occurred_at", row)?,
                    operation_id: rows.parsed("operation_id", row)?,
                    attempt: rows.count("attempt", row)?.unwrap_or(1),
                    trace_id: rows.maybe("trace_id", row)?,
                    span_id: rows.maybe("span_id", row)?,
                    principal: rows.maybe("principal", row)?,
                    service: rows.maybe("service", row)?,
                    environment: rows.maybe("environment", row)?,
                    segment: rows.text_map("segment", row)?,
                    corpus: rows.parsed("corpus", row)?,
                    corpus_version: rows.maybe("corpus_version", row)?,
                    retriever: Retriever {
                        name: rows.maybe("retriever_name", row)?,
                        kind: rows.maybe("retriever_kind", row)?,
                        version: rows.maybe("retriever_version", row)?,
                        score_kind: rows.maybe("score_kind", row)?.unwrap_or_default(),
                        index: rows.maybe("index_id", row)?,
                        embedder: rows.maybe("embedder", row)?,
                        params: rows.json("retriever_params", row)?,
                    },
                    query: Query {
                        text: rows.text("query_text", row)?.map(str::to_owned),
                        fingerprint: rows.parsed("query_fingerprint", row)?,
                        previous_fingerprint: rows.maybe("query_fingerprint_previous", row)?,
                        simhash: rows.maybe::<SimHash>("query_simhash", row)?,
                        embedding: rows.vector("query_embedding", row)?,
                    },
                    requested: Requested {
                        top_k: rows.count("requested_top_k", row)?,
                        max_context_tokens: rows.count("requested_context_tokens", row)?.map(u64::from),
                        max_age_s: rows.count("requested_age_s", row)?.map(u64::from),
                        scope: rows.parsed_list("requested_scope", row)?,
                        filter: rows.text("requested_filter", row)?.map(str::to_owned),
                    },
                    results: Columns::range(results, row)
                        .map(|i| {
                            Ok(RetrievedDocument {
                                doc_id: document.parsed("doc_id", i)?,
                                score: document.number("score", i)?,
                                content_hash: document.maybe("content_hash", i)?,
                                tokens: document.count("tokens", i)?,
                                updated_at: document.maybe_time("updated_at", i)?,
                                scope: document.maybe("scope", i)?,
                            })
                        })
                        .collect::<Result<_, ColumnError>>()?,
                    results_total: rows.count("results_total", row)?,
                    model: rows.maybe("model", row)?,
                    prompt_version: rows.maybe("prompt_version", row)?,
                    policy_version: rows.maybe("policy_version", row)?,
                    latency_ms: rows.number("latency_ms", row)?,
                    cost_usd: rows.number("cost_usd", row)?,
                    attributes: rows.json("attributes", row)?,
                    marks: rows.parsed_list("marks", row)?.into_iter().collect(),
                },
            })
        })
        .collect()
}
