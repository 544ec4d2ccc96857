//! The task that brings durable events into the table.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidemark_schema::{Ingest, Stored};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use crate::collector::{Counters, Message};
use crate::decode::Event;
use crate::error::{Error, chain};
use crate::sink::{Batch, EventSink};

/// Takes what is durable from the log thread and gives it to the sink.
pub(crate) struct Flusher<S> {
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) sink: Arc<S>,
    pub(crate) writer: String,
    pub(crate) counters: Arc<Counters>,
    /// Events whose flush failed, and the position after them. They are tried again before any others are taken.
    pub(crate) unstored: Option<(Vec<Stored<Event>>, u64)>,
}

impl<S: EventSink> Flusher<S> {
    pub(crate) async fn run(
        mut self,
        interval: Duration,
        due: Arc<Notify>,
        mut requests: mpsc::Receiver<oneshot::Sender<Result<(), Error>>>,
    ) {
        let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let reply = tokio::select! {
                _ = ticks.tick() => None,
                () = due.notified() => None,
                request = requests.recv() => match request {
                    Some(reply) => Some(reply),
                    None => break,
                },
            };
            let result = self.flush().await;
            if let Err(error) = &result {
                tracing::error!(error = %chain(error), "a flush failed and will be tried again");
            }
            if let Some(reply) = reply
                && reply.send(result).is_err()
            {
                tracing::debug!("nobody waits for the flush any more");
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        // Twice when there is a remainder: first what failed before, then what has gathered since.
        for _ in 0..2 {
            let retried = self.unstored.is_some();
            let (rows, next) = match self.unstored.take() {
                Some(unstored) => unstored,
                None => self.take().await?,
            };
            self.store(rows, next).await?;
            if !retried {
                break;
            }
        }
        Ok(())
    }

    async fn take(&self) -> Result<(Vec<Stored<Event>>, u64), Error> {
        let (reply, taken) = oneshot::channel();
        self.messages.send(Message::Take(reply)).await.map_err(|_| Error::Stopped)?;
        taken.await.map_err(|_| Error::Stopped)
    }

    async fn store(&mut self, rows: Vec<Stored<Event>>, next: u64) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let events = rows.len();
        let mut batch = Batch::default();
        for row in rows.iter().cloned() {
            batch.push(row);
        }
        let stored = self.sink.append(batch, &self.writer, next).await;
        self.counters.flush_failing.store(stored.is_err(), Ordering::Relaxed);
        if let Err(source) = stored {
            self.counters.flush_failures.fetch_add(1, Ordering::Relaxed);
            // One of the two tables may have taken its part: a replay from the log will ask each how far it got, and so
            // must a retry, so these rows count as resends from now on.
            self.unstored =
                Some((rows.into_iter().map(|row| Stored { ingest: Ingest::Replayed, ..row }).collect(), next));
            return Err(Error::Flush(source));
        }
        self.counters.flushed.fetch_add(events as u64, Ordering::Relaxed);
        self.counters.pending.fetch_sub(events, Ordering::Relaxed);
        self.messages.send(Message::Flushed(next)).await.map_err(|_| Error::Stopped)
    }
}
