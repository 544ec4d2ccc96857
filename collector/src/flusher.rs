//! The task that brings durable events into the table.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidemark_schema::{Clock, Ingest, Stored};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use crate::backoff::Pauses;
use crate::error::{Error, chain};
use crate::health::Shared;
use crate::message::{Message, Reply};
use crate::pending::Waiting;
use crate::recovery::Recovery;
use crate::settings::Settings;
use crate::sink::{Batch, EventSink, SinkError};

/// What the flusher is asked for.
pub(crate) struct Request {
    /// Whether the log must hold nothing of what is in the table when it is done.
    pub(crate) forget: bool,
    pub(crate) reply: Reply<()>,
}

/// The way to the thread of the log.
#[derive(Clone)]
pub(crate) struct LogHandle(pub(crate) mpsc::Sender<Message>);

impl LogHandle {
    /// Sends a message and waits for its answer.
    pub(crate) async fn ask<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.0.send(message(reply)).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }
}

/// Takes what is durable from the thread of the log and gives it to the sink. The events stay with the log until the
/// sink has them, so this can be given up at any moment.
pub(crate) struct Flusher<S> {
    pub(crate) log: LogHandle,
    pub(crate) sink: Arc<S>,
    pub(crate) writer: String,
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Settings,
    /// Events before this number were in a flush that failed. One of the two tables may have taken its part, so from
    /// then on they count as resends, which are looked up before they are stored.
    pub(crate) uncertain_before: u64,
}

impl<S: EventSink> Flusher<S> {
    /// Recovers, says so (or that the first try failed), then flushes until nobody can ask for it any more.
    pub(crate) async fn run(
        mut self,
        clock: Arc<dyn Clock>,
        tried: oneshot::Sender<()>,
        due: Arc<Notify>,
        mut requests: mpsc::Receiver<Request>,
    ) {
        let recovery = Recovery {
            log: self.log.clone(),
            sink: self.sink.clone(),
            writer: self.writer.clone(),
            shared: self.shared.clone(),
            settings: self.settings.clone(),
            clock,
        };
        let mut recovery = pin!(recovery.run(tried));
        loop {
            tokio::select! {
                recovered = &mut recovery => match recovered {
                    Ok(()) => break,
                    Err(error) => return tracing::error!(error = %chain(&error), "the recovery ended"),
                },
                request = requests.recv() => match request {
                    Some(request) => answer(request.reply, Err(self.still_recovering())),
                    None => return,
                },
            }
        }
        self.serve(&due, &mut requests).await;
    }

    fn still_recovering(&self) -> Error {
        let why = self.shared.trouble().unwrap_or_else(|| "the log is still being read back".to_owned());
        Error::Recover(why.into())
    }

    async fn serve(&mut self, due: &Notify, requests: &mut mpsc::Receiver<Request>) {
        let interval = self.settings.flush_interval.max(Duration::from_millis(1));
        let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pauses = Pauses::new(self.settings.flush_backoff);
        let mut retry_at: Option<Instant> = None;
        loop {
            let request = tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => Some(request),
                    None => return,
                },
                () = until(retry_at), if retry_at.is_some() => None,
                _ = ticks.tick(), if retry_at.is_none() => None,
                () = due.notified(), if retry_at.is_none() => None,
            };
            let forget = request.as_ref().is_some_and(|request| request.forget);
            let result = self.flush(forget).await;
            retry_at = match &result {
                Ok(()) => {
                    pauses.reset();
                    None
                }
                Err(error) => {
                    let pause = pauses.after_failure();
                    tracing::error!(error = %chain(error), again_in = ?pause, "a flush failed and will be tried again");
                    Some(Instant::now() + pause)
                }
            };
            if let Some(request) = request {
                answer(request.reply, result);
            }
        }
    }

    /// Stores everything that was durable when it began, in commits of a bounded size.
    async fn flush(&mut self, forget: bool) -> Result<(), Error> {
        let target = self.log.ask(|reply| Message::Target { seal: forget, reply }).await?;
        loop {
            let taken = self.log.ask(|reply| Message::Take { before: target, reply }).await?;
            let Some(next) = taken.last().map(|last| last.sequence + 1) else { break };
            self.store(taken, next).await?;
            match self.log.ask(|reply| Message::Flushed { next, reply }).await {
                // It is tried again, and counts only for those who need to know.
                Err(Error::Forget(_)) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        if forget {
            self.log.ask(|reply| Message::Flushed { next: target, reply }).await?;
        }
        Ok(())
    }

    async fn store(&mut self, taken: Vec<Waiting>, next: u64) -> Result<(), Error> {
        let events = taken.len() as u64;
        let mut batch = Batch::default();
        for Waiting { sequence, row, .. } in taken {
            let uncertain = sequence < self.uncertain_before;
            batch.push(if uncertain { Stored { ingest: Ingest::Replayed, ..row } } else { row });
        }
        // Until it has succeeded, also if this is given up half way.
        self.uncertain_before = self.uncertain_before.max(next);
        self.shared.flush_begins();
        let stored = within(self.settings.flush_timeout, self.sink.append(batch, &self.writer, next)).await;
        self.shared.flush_ends(stored.is_ok());
        stored.map_err(Error::Flush)?;
        self.shared.flushed.fetch_add(events, Ordering::Relaxed);
        Ok(())
    }
}

/// Waits for the sink, but not for ever.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, SinkError>>,
) -> Result<T, SinkError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(format!("the table did not answer within {} seconds", limit.as_secs_f32()).into()),
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Whoever asked may have gone.
pub(crate) fn answer<T>(reply: Reply<T>, result: Result<T, Error>) {
    if reply.send(result).is_err() {
        tracing::debug!("somebody went away before the answer");
    }
}
