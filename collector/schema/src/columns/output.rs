use std::borrow::Borrow;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};

use super::layout::{EVENT_DATE, Layout, counts, dates, event_ids, lists, maps, numbers, texts, times, vectors};
use super::read::{ColumnError, Columns};
use crate::event::Stored;
use crate::ids::Label;
use crate::number::Finite;
use crate::output::{OutputBody, OutputEvent};

/// The schema of the table of outputs.
pub fn schema() -> Result<SchemaRef, ArrowError> {
    Ok(rows_of(&[])?.schema())
}

/// Events as rows, in their order.
pub fn encode<E: Borrow<OutputEvent>>(rows: &[Stored<E>]) -> Result<RecordBatch, ArrowError> {
    let borrowed = rows.iter().map(|Stored { received_at, ingest, event }| Stored {
        received_at: *received_at,
        ingest: *ingest,
        event: event.borrow(),
    });
    rows_of(&borrowed.collect::<Vec<_>>())
}

fn rows_of(rows: &[Stored<&OutputEvent>]) -> Result<RecordBatch, ArrowError> {
    let events = || rows.iter().map(|row| row.event);
    let label = |label: &'_ Option<Label>| label.as_ref().map(ToString::to_string);
    let mut table = Layout::default();
    table.add("event_id", event_ids(events().map(|e| &e.event_id)));
    table.add("occurred_at", times(events().map(|e| Some(e.occurred_at))));
    table.add("received_at", times(rows.iter().map(|row| Some(row.received_at))));
    table.text("ingest", rows.iter().map(|row| Some(row.ingest.as_str())));
    table.text("operation_id", events().map(|e| Some(e.operation_id.as_str())));
    table.add("attempt", counts(events().map(|e| Some(e.attempt))));
    table.text("trace_id", events().map(|e| e.trace_id.as_ref().map(super::super::ids::TraceId::as_str)));
    for (name, values) in [
        ("principal", events().map(|e| label(&e.principal)).collect::<Vec<_>>()),
        ("service", events().map(|e| label(&e.service)).collect()),
        ("model", events().map(|e| label(&e.model)).collect()),
        ("prompt_version", events().map(|e| label(&e.prompt_version)).collect()),
        ("policy_version", events().map(|e| label(&e.policy_version)).collect()),
    ] {
        table.text(name, values.iter().map(Option::as_deref));
    }
    table.text("output_text", events().map(|e| e.output.text.as_deref()));
    table.text("output_hash", events().map(|e| e.output.hash.as_ref().map(super::super::ids::ContentHash::as_str)));
    table.add("output_embedding", vectors(events().map(|e| e.output.embedding.as_deref())));
    table.add("output_tokens", counts(events().map(|e| e.output.tokens)));
    let citations = texts(events().flat_map(|e| &e.citations).map(|id| Some(id.as_str())));
    table.add("citations", lists(events().map(|e| e.citations.len()), citations)?);
    table.add("refusal", std::sync::Arc::new(events().map(|e| e.refusal).collect::<arrow_array::BooleanArray>()));
    table.add(
        "scores",
        maps(
            events().map(|e| e.scores.len()),
            texts(events().flat_map(|e| e.scores.keys()).map(|key| Some(key.as_str()))),
            numbers(events().flat_map(|e| e.scores.values()).map(|score| Some(score.get()))),
        )?,
    );
    table.add("feedback", numbers(events().map(|e| e.feedback.map(Finite::get))));
    table.add("latency_ms", numbers(events().map(|e| e.latency_ms.map(Finite::get))));
    table.add("cost_usd", numbers(events().map(|e| e.cost_usd.map(Finite::get))));
    table.add(EVENT_DATE, dates(events().map(|e| e.occurred_at)));
    let marks = texts(events().flat_map(|e| &e.marks).map(|mark| Some(mark.as_str())));
    table.add("marks", lists(events().map(|e| e.marks.len()), marks)?);
    table.finish()
}

/// Rows as events again. The batch must hold every column of [`schema`].
pub fn decode(batch: &RecordBatch) -> Result<Vec<Stored<OutputEvent>>, ColumnError> {
    let rows = Columns::of(batch);
    (0..batch.num_rows())
        .map(|row| {
            Ok(Stored {
                received_at: rows.time("received_at", row)?,
                ingest: rows.parsed("ingest", row)?,
                event: OutputEvent {
                    event_id: rows.event_id("event_id", row)?,
                    occurred_at: rows.time("occurred_at", row)?,
                    operation_id: rows.parsed("operation_id", row)?,
                    attempt: rows.count("attempt", row)?.unwrap_or(1),
                    trace_id: rows.maybe("trace_id", row)?,
                    principal: rows.maybe("principal", row)?,
                    service: rows.maybe("service", row)?,
                    model: rows.maybe("model", row)?,
                    prompt_version: rows.maybe("prompt_version", row)?,
                    policy_version: rows.maybe("policy_version", row)?,
                    output: OutputBody {
                        text: rows.text("output_text", row)?.map(str::to_owned),
                        hash: rows.maybe("output_hash", row)?,
                        embedding: rows.vector("output_embedding", row)?,
                        tokens: rows.count("output_tokens", row)?,
                    },
                    citations: rows.parsed_list("citations", row)?,
                    refusal: rows.flag("refusal", row)?,
                    scores: rows.number_map("scores", row)?,
                    feedback: rows.number("feedback", row)?,
                    latency_ms: rows.number("latency_ms", row)?,
                    cost_usd: rows.number("cost_usd", row)?,
                    marks: rows.parsed_list("marks", row)?.into_iter().collect(),
                },
            })
        })
        .collect()
}
