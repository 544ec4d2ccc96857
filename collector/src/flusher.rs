//! The task that brings durable events into the tables.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidemark_schema::{Ingest, Stored};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use crate::counters::Counters;
use crate::error::{Error, chain};
use crate::log::{Message, Taken};
use crate::sink::{Batch, EventSink};

/// After a flush that failed, the next one waits this long, then twice as long, …
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// … and at most this long.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Takes what is durable from the log thread and gives it to the sink, in batches of a bounded size.
pub(crate) struct Flusher<S> {
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) sink: Arc<S>,
    pub(crate) writer: String,
    pub(crate) counters: Arc<Counters>,
    /// How many events a batch has at most.
    pub(crate) batch_events: usize,
    /// Events whose flush failed. They are tried again before any others are taken.
    pub(crate) unstored: Option<Taken>,
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
        let mut pause = FIRST_PAUSE;
        let mut not_before = Instant::now();
        loop {
            let reply = tokio::select! {
                _ = ticks.tick() => None,
                () = due.notified() => None,
                () = tokio::time::sleep_until(not_before), if self.unstored.is_some() => None,
                request = requests.recv() => match request {
                    Some(reply) => Some(reply),
                    None => break,
                },
            };
            // Whoever asks for a flush does not wait for the pause.
            if reply.is_none() && self.unstored.is_some() && Instant::now() < not_before {
                continue;
            }
            let result = self.flush().await;
            match &result {
                Ok(()) => pause = FIRST_PAUSE,
                Err(error) => {
                    let seconds = pause.as_secs_f64();
                    tracing::error!(error = %chain(error), seconds, "a flush failed and will be tried again");
                    not_before = Instant::now() + pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            if let Some(reply) = reply
                && reply.send(result).is_err()
            {
                tracing::debug!("nobody waits for the flush any more");
            }
        }
    }

    /// Brings everything into the sink that was acknowledged before it began.
    async fn flush(&mut self) -> Result<(), Error> {
        let mut left = self.counters.pending.load(Ordering::Relaxed);
        loop {
            let taken = match self.unstored.take() {
                Some(unstored) => unstored,
                None => self.take().await?,
            };
            let events = taken.rows.len();
            if events == 0 {
                return Ok(());
            }
            self.store(taken).await?;
            left = left.saturating_sub(events);
            if left == 0 {
                return Ok(());
            }
        }
    }

    async fn take(&self) -> Result<Taken, Error> {
        let (reply, taken) = oneshot::channel();
        self.messages.send(Message::Take(self.batch_events, reply)).await.map_err(|_| Error::Stopped)?;
        taken.await.map_err(|_| Error::Stopped)
    }

    async fn store(&mut self, taken: Taken) -> Result<(), Error> {
        let Taken { rows, bytes, next } = taken;
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
            let rows = rows.into_iter().map(|row| Stored { ingest: Ingest::Replayed, ..row }).collect();
            self.unstored = Some(Taken { rows, bytes, next });
            return Err(Error::Flush(source));
        }
        self.counters.flushed.fetch_add(events as u64, Ordering::Relaxed);
        self.counters.pending.fetch_sub(events, Ordering::Relaxed);
        self.counters.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.messages.send(Message::Flushed(next)).await.map_err(|_| Error::Stopped)
    }
}
