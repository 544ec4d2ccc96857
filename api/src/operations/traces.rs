//! One trace, or one operation.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;

use futures::{Stream, StreamExt, TryStreamExt};
use tidemark_analyzer::{Selector, TraceDiff, TraceQuery, diff_trace};
use tidemark_lake::{Filter, Lake, RowStream, Scan, Table};
use tidemark_schema::columns::{ColumnError, outputs, retrievals};
use tidemark_schema::{EventId, OperationId, OutputEvent, RetrievalEvent, Stored, TraceId};

use super::{Action, Caller, Error, Operations};

/// A trace whose retrievals name more operations than this is looked up by the first ones.
const OPERATIONS_MAX: usize = 20;

/// What is stored of a trace or an operation, in the order in which it happened.
#[derive(Debug, Default)]
pub struct Trace {
    /// Its retrievals.
    pub retrievals: Vec<Stored<RetrievalEvent>>,
    /// The outputs of the trace and of its retrievals' operations.
    pub outputs: Vec<Stored<OutputEvent>>,
    /// Whether there are more than are kept here.
    pub truncated: bool,
}

impl Operations {
    /// What is stored of a trace; if there is none of that id, of an operation. At most `most` events of each kind.
    pub async fn trace(&self, caller: &Caller, id: &TraceId, most: usize) -> Result<Trace, Error> {
        let store = self.store(caller, Action::ShowTrace).await?;
        let trace = find(&store.lake, id, most).await.map_err(Error::Analysis)?;
        if trace.retrievals.is_empty() && trace.outputs.is_empty() {
            return Err(Error::NoTrace(id.clone()));
        }
        Ok(trace)
    }

    /// A trace side by side with `other`, or with what its query got before: by `reference`, or ever.
    pub async fn diff(
        &self,
        caller: &Caller,
        trace: TraceId,
        other: Option<TraceId>,
        reference: Option<Selector>,
    ) -> Result<TraceDiff, Error> {
        let store = self.store(caller, Action::DiffTrace).await?;
        let query = TraceQuery { trace, other, reference, now: self.now() };
        Ok(diff_trace(&store.lake, &store.registry, &query).await?)
    }
}

type Found<T> = Result<T, tidemark_analyzer::Error>;

async fn find(lake: &Lake, id: &TraceId, most: usize) -> Found<Trace> {
    let by_trace = find_by(lake, Filter::Trace(id.clone()), most).await?;
    if !by_trace.retrievals.is_empty() || !by_trace.outputs.is_empty() {
        return Ok(by_trace);
    }
    match id.as_str().parse() {
        Ok(operation) => find_by(lake, Filter::Operation(operation), most).await,
        Err(_) => Ok(by_trace),
    }
}

async fn find_by(lake: &Lake, filter: Filter, most: usize) -> Found<Trace> {
    let rows = scan(lake, Table::Retrievals, filter.clone()).await?;
    let rows = decoded(rows, retrievals::decode);
    let (mut retrievals, mut truncated) = gather(rows, most).await?;
    retrievals.sort_by_key(|row| (row.event.occurred_at, row.event.event_id));

    let mut outputs: BTreeMap<EventId, Stored<OutputEvent>> = BTreeMap::new();
    let (filters, cut) = output_filters(&filter, &retrievals);
    truncated |= cut;
    for filter in filters {
        let rows = scan(lake, Table::Outputs, filter.clone()).await?;
        let rows = decoded(rows, outputs::decode);
        let (found, cut) = gather(rows, most).await?;
        truncated |= cut;
        outputs.extend(found.into_iter().map(|row| (row.event.event_id, row)));
    }
    let mut outputs: Vec<_> = outputs.into_values().filter(|row| belongs(&row.event, &filter)).collect();
    outputs.sort_by_key(|row| (row.event.occurred_at, row.event.event_id));
    truncated |= outputs.len() > most;
    outputs.truncate(most);
    Ok(Trace { retrievals, outputs, truncated })
}

/// Outputs name an operation, or only the trace; so they are looked for under both, and under what was asked for.
fn output_filters(asked: &Filter, retrievals: &[Stored<RetrievalEvent>]) -> (Vec<Filter>, bool) {
    let mut traces: BTreeSet<&TraceId> = retrievals.iter().filter_map(|row| row.event.trace_id.as_ref()).collect();
    let mut operations: BTreeSet<&OperationId> = retrievals.iter().map(|row| &row.event.operation_id).collect();
    match asked {
        Filter::Trace(trace) => {
            traces.insert(trace);
        }
        Filter::Operation(operation) => {
            operations.insert(operation);
        }
        _ => {}
    }
    let cut = traces.len() > OPERATIONS_MAX || operations.len() > OPERATIONS_MAX;
    // An operation that was named after its trace has all its outputs under the trace.
    operations.retain(|operation| !traces.iter().any(|trace| trace.as_str() == operation.as_str()));
    let traces = traces.into_iter().take(OPERATIONS_MAX).map(|trace| Filter::Trace(trace.clone()));
    let operations = operations.into_iter().take(OPERATIONS_MAX).map(|op| Filter::Operation(op.clone()));
    (traces.chain(operations).collect(), cut)
}

/// An operation shares its trace with others: an output that names one of those is theirs.
fn belongs(output: &OutputEvent, asked: &Filter) -> bool {
    let Filter::Operation(operation) = asked else { return true };
    let by_trace_alone = output.trace_id.as_ref().is_some_and(|trace| trace.as_str() == output.operation_id.as_str());
    output.operation_id == *operation || by_trace_alone
}

async fn scan(lake: &Lake, table: Table, filter: Filter) -> Found<RowStream> {
    Ok(lake.scan(Scan { table, filters: vec![filter], columns: Vec::new(), version: None }).await?)
}

fn decoded<B, E>(
    rows: impl Stream<Item = Result<B, tidemark_lake::Error>> + Unpin,
    decode: fn(&B) -> Result<Vec<Stored<E>>, ColumnError>,
) -> impl Stream<Item = Found<Vec<Stored<E>>>> + Unpin {
    rows.map_err(Into::into).and_then(move |batch| ready(decode(&batch).map_err(Into::into)))
}

/// Reads until there are more than `most`; then says so.
async fn gather<E>(
    mut rows: impl Stream<Item = Found<Vec<Stored<E>>>> + Unpin,
    most: usize,
) -> Found<(Vec<Stored<E>>, bool)> {
    let mut gathered = Vec::new();
    while let Some(batch) = rows.next().await {
        gathered.extend(batch?);
        if gathered.len() > most {
            gathered.truncate(most);
            return Ok((gathered, true));
        }
    }
    Ok((gathered, false))
}
