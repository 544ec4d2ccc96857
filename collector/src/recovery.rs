//! What is done once at the start: the sink gets every record of the log that it does not say it has, and the window of
//! recent ids is filled from what the sink holds.
//!
//! Exactly once rests on three things. An event that was acknowledged lately is recognised by its id in the window
//! ([`RecentIds`]). One that happened before the window reaches back is marked as late, and the sink looks it up by id and
//! time before it stores it. One that was read back from the log is looked up too, because one of the two tables may have
//! taken it before the crash. A copy that slips through all of them has the same time, lies in the same partition, is left
//! out by every read, and is gone when the partition is merged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidemark_schema::{Clock, EventId, Ingest, Stored, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

use crate::collector::Settings;
use crate::counters::Counters;
use crate::decode::{Event, Kind};
use crate::error::{Error, chain};
use crate::log::{Message, ReadBack};
use crate::recent::RecentIds;
use crate::sink::{Batch, EventSink};

/// After a recovery that failed, the next try waits this long, then twice as long, …
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// … and at most this long.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The name under which this log's positions are committed. It belongs to the log: another log must not continue it.
pub(crate) fn writer_name(directory: &Path) -> Result<String, Error> {
    let path = directory.join("writer");
    let failed = |source| Error::WriterName { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(name) if !name.trim().is_empty() => return Ok(name.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let name = format!("tidemark-{}", uuid::Uuid::now_v7());
    let unfinished = directory.join("writer.new");
    std::fs::write(&unfinished, &name).map_err(failed)?;
    std::fs::File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(&unfinished, &path).map_err(failed)?;
    std::fs::File::open(directory).and_then(|file| file.sync_all()).map_err(failed)?;
    Ok(name)
}

/// Brings the log into the sink.
pub(crate) struct Recovery<S> {
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) sink: Arc<S>,
    pub(crate) writer: String,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Arc<Counters>,
}

impl<S: EventSink> Recovery<S> {
    /// Tries until it works; `tried` becomes true with the first try, whatever came of it.
    pub(crate) async fn run(self, tried: watch::Sender<bool>) {
        let mut pause = FIRST_PAUSE;
        let begun = tokio::time::Instant::now();
        loop {
            let recovered = self.recover().await;
            let done = match recovered {
                Ok(window) => {
                    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                    self.counters.recovery_ms.store(took, Ordering::Relaxed);
                    let events = self.counters.recovered.load(Ordering::Relaxed);
                    tracing::info!(events, milliseconds = took, "the log was read");
                    self.messages.send(Message::Ready(window)).await.is_ok()
                }
                Err(Error::Stopped) => true,
                Err(error) => {
                    let seconds = pause.as_secs_f64();
                    tracing::error!(error = %chain(&error), seconds, "the log could not be read into the tables yet");
                    false
                }
            };
            tried.send_replace(true);
            if done {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn recover(&self) -> Result<RecentIds, Error> {
        let committed = async |kind| Ok(self.sink.committed(kind, &self.writer).await?.unwrap_or(0));
        let retrievals: u64 = committed(Kind::Retrieval).await.map_err(Error::Recover)?;
        let outputs: u64 = committed(Kind::Output).await.map_err(Error::Recover)?;
        let mut from = self.ask(|reply| Message::ContinueAt(retrievals.max(outputs), reply)).await??;
        loop {
            let ReadBack { rows, next } = self.ask(|reply| Message::ReadBack(from, reply)).await??;
            if next <= from {
                break;
            }
            let mut batch = Batch::default();
            for (sequence, row) in rows {
                let committed = if matches!(row.event, Event::Retrieval(_)) { retrievals } else { outputs };
                if sequence >= committed {
                    batch.push(Stored { ingest: Ingest::Replayed, ..row });
                }
            }
            let events = batch.len();
            if events > 0 {
                self.sink.append(batch, &self.writer, next).await.map_err(Error::Recover)?;
                self.counters.recovered.fetch_add(events as u64, Ordering::Relaxed);
            }
            self.messages.send(Message::Flushed(next)).await.map_err(|_| Error::Stopped)?;
            from = next;
        }
        let since = self.clock.now().plus_seconds(-self.settings.recent_s);
        let capacity = self.settings.recent_ids;
        let received = self.sink.received_since(since, capacity).await.map_err(Error::Recover)?;
        Ok(RecentIds::new(capacity, complete_since(since, &received, capacity), received))
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(message(reply)).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)
    }
}

/// From when on the window knows everything: from `since`, unless there was more than it can hold.
fn complete_since(since: Timestamp, received: &[(Timestamp, EventId)], capacity: usize) -> Timestamp {
    if received.len() < capacity {
        return since;
    }
    received.iter().map(|(time, _)| *time).min().map_or(since, |oldest| oldest.plus_seconds(1))
}
