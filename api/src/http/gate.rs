//! How much may happen at once. What does not get a place is turned away, so memory stays bounded under any load.

use std::sync::Arc;
use std::time::Duration;

use tidemark_collector::intake::{Memory, Room};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

use super::app::Limits;
use super::problem::{BUSY, INTERNAL, Problem};

/// The places there are.
pub(crate) struct Gate {
    memory: Memory,
    messages: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    computations: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
    queries: Arc<Semaphore>,
    patience: Duration,
    /// Where bodies are decoded; nowhere in particular if `None`.
    decoding: Option<Handle>,
}

impl Gate {
    pub(crate) fn new(limits: &Limits, memory: Memory, decoding: Option<Handle>) -> Self {
        Self {
            memory,
            messages: Arc::new(Semaphore::new(limits.messages)),
            decoders: Arc::new(Semaphore::new(limits.decoders)),
            computations: Arc::new(Semaphore::new(limits.computations)),
            lookups: Arc::new(Semaphore::new(limits.lookups)),
            queries: Arc::new(Semaphore::new(limits.queries)),
            patience: limits.patience,
            decoding,
        }
    }

    /// Room for a body, held until it is read.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<Room, Problem> {
        Ok(self.memory.reserve(bytes)?)
    }

    /// A place for a message over gRPC, which is held in memory as a whole before it is looked at.
    pub(crate) async fn message(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.place(&self.messages, "too many other messages are being received").await
    }

    /// Looks something up, here and now.
    pub(crate) async fn look_up<T>(&self, work: impl Future<Output = T>) -> Result<T, Problem> {
        let _place = self.place(&self.lookups, "too much else is being looked up").await?;
        Ok(work.await)
    }

    /// Decodes on a blocking thread. The place is given back when the work ends, even if nobody waits for it any more.
    pub(crate) async fn decode<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let place = self.place(&self.decoders, "too many other bodies are being decoded").await?;
        let decoding = self.decoding.clone().unwrap_or_else(Handle::current);
        let decoded = decoding.spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        decoded.await.map_err(cut_off)
    }

    /// Runs something that computes as much as it waits, such as a comparison, on a blocking thread.
    pub(crate) async fn compute<T, F>(&self, work: impl FnOnce() -> F + Send + 'static) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        let place = self.place(&self.computations, "too many other comparisons and registrations are running").await?;
        let runtime = Handle::current();
        let computed = tokio::task::spawn_blocking(move || {
            let result = runtime.block_on(work());
            drop(place);
            result
        });
        computed.await.map_err(cut_off)
    }

    /// Asks the tables in SQL. The place is given back when the answer is there, even if nobody waits for it any more.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = self.place(&self.queries, "too many other queries are being answered").await?;
        let answered = tokio::spawn(async move {
            let answer = work.await;
            drop(place);
            answer
        });
        answered.await.map_err(cut_off)
    }

    async fn place(&self, places: &Arc<Semaphore>, full: &str) -> Result<OwnedSemaphorePermit, Problem> {
        let place = tokio::time::timeout(self.patience, Arc::clone(places).acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(|| Problem::new(&BUSY, full))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn cut_off(error: JoinError) -> Problem {
    Problem::new(&INTERNAL, "the work on this request was cut off").caused_by(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(limits: Limits) -> Gate {
        Gate::new(&Limits { patience: Duration::from_millis(20), ..limits }, Memory::new(0), None)
    }

    #[tokio::test]
    async fn whoever_finds_no_place_is_told_to_come_again() {
        let gate = gate(Limits { decoders: 0, computations: 0, ..Limits::default() });
        assert_eq!(gate.decode(|| 1).await.unwrap_err().status(), 503);
        assert_eq!(gate.compute(|| async { 1 }).await.unwrap_err().status(), 503);
    }

    #[tokio::test]
    async fn a_panic_gives_its_place_back() {
        let gate = gate(Limits { decoders: 1, ..Limits::default() });
        let panicked = gate.decode(|| assert!(std::hint::black_box(false), "on purpose")).await;
        assert_eq!(panicked.unwrap_err().status(), 500);
        assert_eq!(gate.decode(|| 1).await.unwrap(), 1);
    }
}
