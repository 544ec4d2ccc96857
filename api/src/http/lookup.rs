//! The events of one trace.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;

use futures::{Stream, StreamExt, TryStreamExt};
use tidemark_analyzer::Error;
use tidemark_lake::{Filter, Lake, RowStream, Scan, Table};
use tidemark_schema::columns::{outputs, retrievals};
use tidemark_schema::{EventId, OperationId, OutputEvent, RetrievalEvent, Stored, TraceId};

/// A trace whose retrievals name more operations than this is looked up by the first ones.
const OPERATIONS_MAX: usize = 20;

/// What is stored of a trace or an operation, in the order in which it happened.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) retrievals: Vec<Stored<RetrievalEvent>>,
    pub(crate) outputs: Vec<Stored<OutputEvent>>,
    /// Whether there are more than are kept here.
    pub(crate) truncated: bool,
}

/// Looks a trace up; if there is none of that id, an operation. At most `most` events of each kind are kept.
pub(crate) async fn find(lake: &Lake, id: &TraceId, most: usize) -> Result<Found, Error> {
    let by_trace = find_by(lake, Filter::Trace(id.clone()), most).await?;
    if !by_trace.retrievals.is_empty() || !by_trace.outputs.is_empty() {
        return Ok(by_trace);
    }
    match id.as_str().parse() {
        Ok(operation) => find_by(lake, Filter::Operation(operation), most).await,
        Err(_) => Ok(by_trace),
    }
}

async fn find_by(lake: &Lake, filter: Filter, most: usize) -> Result<Found, Error> {
    let rows = scan(lake, Table::Retrievals, filter.clone()).await?;
    let rows = rows.map_err(Error::from).and_then(|batch| ready(retrievals::decode(&batch).map_err(Error::from)));
    let (mut retrievals, mut truncated) = gather(rows, most).await?;
    retrievals.sort_by_key(|row| (row.event.occurred_at, row.event.event_id));

    let mut outputs: BTreeMap<EventId, Stored<OutputEvent>> = BTreeMap::new();
    let (filters, cut) = output_filters(&filter, &retrievals);
    truncated |= cut;
    for filter in filters {
        let rows = scan(lake, Table::Outputs, filter.clone()).await?;
        let rows = rows.map_err(Error::from).and_then(|batch| ready(outputs::decode(&batch).map_err(Error::from)));
        let (found, cut) = gather(rows, most).await?;
        truncated |= cut;
        outputs.extend(found.into_iter().map(|row| (row.event.event_id, row)));
    }
    let mut outputs: Vec<_> = outputs.into_values().filter(|row| belongs(&row.event, &filter)).collect();
    outputs.sort_by_key(|row| (row.event.occurred_at, row.event.event_id));
    truncated |= outputs.len() > most;
    outputs.truncate(most);
    Ok(Found { retrievals, outputs, truncated })
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

async fn scan(lake: &Lake, table: Table, filter: Filter) -> Result<RowStream, Error> {
    Ok(lake.scan(Scan { table, filters: vec![filter], columns: Vec::new(), version: None }).await?)
}

/// Reads until there are more than `most`; then says so.
async fn gather<E>(
    mut rows: impl Stream<Item = Result<Vec<Stored<E>>, Error>> + Unpin,
    most: usize,
) -> Result<(Vec<Stored<E>>, bool), Error> {
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
