//! A client of Qdrant that records its queries and holds them to their bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use qdrant_client::qdrant::{
    QueryBatchPoints, QueryBatchResponse, QueryGroupsResponse, QueryPointGroups, QueryPoints, QueryResponse,
    ScoredPoint,
};
use qdrant_client::{Qdrant, QdrantError};

pub use bounds::{Bounds, OutOfBounds, Scope, TOP_K_BOUND};
pub use recorded::Asked;

use crate::event::Retrieval;
use crate::recorder::Recorder;

mod bounds;
mod recorded;

/// A client of Qdrant that records each query and holds it to its bounds.
///
/// It wraps the queries of the universal interface: [`query`](Self::query), [`query_batch`](Self::query_batch) and
/// [`query_groups`](Self::query_groups). Not wrapped are the older `search`, `recommend`, `discover` and their batches and
/// groups, `scroll`, `get_points`, `count`, `facet` and `search_matrix`, and everything that writes: they are those of
/// [`unrecorded`](Self::unrecorded), which nothing bounds. Nor does it bound which vectors and payload fields of a point
/// within the scope come back, or which collection is asked.
pub struct RecordedQdrant {
    client: Qdrant,
    recorder: Arc<Recorder>,
    /// What every event has: corpus, version, service, retriever.
    template: Retrieval,
    bounds: Bounds,
    failed: AtomicU64,
    refused: AtomicU64,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It was not asked.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// What Qdrant or its client says, unchanged.
    #[error(transparent)]
    Qdrant(#[from] Box<QdrantError>),
}

impl RecordedQdrant {
    /// Records into `recorder`; `template` says what every event has, at least the corpus. The index is the collection.
    pub fn new(client: Qdrant, recorder: Arc<Recorder>, template: Retrieval, bounds: Bounds) -> Self {
        Self { client, recorder, template, bounds, failed: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    /// The client, for what is no query. What it is asked directly is neither recorded nor bounded.
    pub fn unrecorded(&self) -> &Qdrant {
        &self.client
    }

    /// Requests that Qdrant did not answer. They are not recorded: nothing came back.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Requests that were not asked, because of their bounds.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Queries points within the bounds, and records what came back.
    pub async fn query(&self, request: impl Into<QueryPoints>, asked: Asked) -> Result<QueryResponse, QueryError> {
        let (request, mark) = self.allowed(self.bounds.points(request.into()))?;
        let begun = Instant::now();
        let response = self.answered(self.client.query(request.clone()).await)?;
        self.record(&request, mark, asked, response.result.iter(), begun.elapsed());
        Ok(response)
    }

    /// Queries points several times at once. Each query is held to the bounds and recorded by itself, with what is at its
    /// place in `asked`, and with the time that all of them took. If one may not be asked, none is.
    pub async fn query_batch(
        &self,
        request: impl Into<QueryBatchPoints>,
        asked: Vec<Asked>,
    ) -> Result<QueryBatchResponse, QueryError> {
        let mut request = request.into();
        let queries = std::mem::take(&mut request.query_points);
        let bounded: Result<Vec<_>, OutOfBounds> = queries.into_iter().map(|query| self.bounds.points(query)).collect();
        let bounded = self.allowed(bounded)?;
        request.query_points = bounded.iter().map(|(query, _)| query.clone()).collect();
        let begun = Instant::now();
        let response = self.answered(self.client.query_batch(request).await)?;
        let took = begun.elapsed();
        let asked = asked.into_iter().chain(std::iter::repeat_with(Asked::default));
        for (((query, mark), asked), batch) in bounded.iter().zip(asked).zip(&response.result) {
            self.record(query, *mark, asked, batch.result.iter(), took);
        }
        Ok(response)
    }

    /// Queries groups of points, and records all of their points in the order of the groups.
    pub async fn query_groups(
        &self,
        request: impl Into<QueryPointGroups>,
        asked: Asked,
    ) -> Result<QueryGroupsResponse, QueryError> {
        let (request, mark) = self.allowed(self.bounds.groups(request.into()))?;
        let (points, own) = recorded::points_of(&request);
        let begun = Instant::now();
        let response = self.answered(self.client.query_groups(request).await)?;
        let took = begun.elapsed();
        let hits = response.result.iter().flat_map(|result| &result.groups).flat_map(|group| &group.hits);
        let mut event = recorded::retrieval(&self.template, &points, asked, &self.bounds, hits);
        event.retriever.get_or_insert_default().params.extend(own);
        self.finish(event, mark, took);
        Ok(response)
    }

    fn record<'a>(
        &self,
        request: &QueryPoints,
        mark: Option<&str>,
        asked: Asked,
        points: impl Iterator<Item = &'a ScoredPoint>,
        took: Duration,
    ) {
        self.finish(recorded::retrieval(&self.template, request, asked, &self.bounds, points), mark, took);
    }

    fn finish(&self, mut event: Retrieval, mark: Option<&str>, took: Duration) {
        event.latency_ms = Some(took.as_secs_f64() * 1e3);
        event.marks.extend(mark.map(str::to_owned));
        self.recorder.record(event);
    }

    fn allowed<T>(&self, bounded: Result<T, OutOfBounds>) -> Result<T, OutOfBounds> {
        bounded.inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn answered<T>(&self, answer: Result<T, QdrantError>) -> Result<T, Box<QdrantError>> {
        answer.map_err(|error| {
            self.failed.fetch_add(1, Ordering::Relaxed);
            Box::new(error)
        })
    }
}
