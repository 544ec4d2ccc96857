//! What is done at the start, and tried until it works: the sink gets every record of the log that it does not say it
//! has, and says what was received lately.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidemark_schema::{Clock, EventId, Ingest, Stored, Timestamp};
use tidemark_wal::Sequence;
use tokio::sync::oneshot;

use crate::backoff::Pauses;
use crate::decode::{Event, Kind};
use crate::error::{Error, chain};
use crate::flusher::{LogHandle, within};
use crate::health::Shared;
use crate::message::{Message, Replayed};
use crate::pending::Waiting;
use crate::recent::RecentIds;
use crate::settings::Settings;
use crate::sink::{Batch, EventSink};

/// The name under which this log's positions are committed. It belongs to the log: another log must not continue it.
pub(crate) fn writer_name(directory: &Path) -> Result<String, Error> {
    let path = directory.join("writer");
    let failed = |source| Error::BesideLog { path: path.clone(), source };
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

/// The recovery of one start.
pub(crate) struct Recovery<S> {
    pub(crate) log: LogHandle,
    pub(crate) sink: Arc<S>,
    pub(crate) writer: String,
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
}

impl<S: EventSink> Recovery<S> {
    /// Tries until it works; says through `tried` that the first try is over.
    pub(crate) async fn run(self, tried: oneshot::Sender<()>) -> Result<(), Error> {
        let mut tried = Some(tried);
        let mut pauses = Pauses::new(self.settings.flush_backoff);
        loop {
            let outcome = self.attempt().await;
            if let Err(error) = &outcome {
                self.shared.recovery_failed(chain(error));
            }
            // Nobody may be waiting for it any more.
            if tried.take().is_some_and(|tried| tried.send(()).is_err()) {
                tracing::debug!("the recovery goes on behind the start");
            }
            match outcome {
                Err(Error::Stopped) => return Err(Error::Stopped),
                Ok(()) => return Ok(()),
                Err(error) => {
                    let pause = pauses.after_failure();
                    tracing::error!(error = %chain(&error), again_in = ?pause, "the log could not be recovered yet");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn attempt(&self) -> Result<(), Error> {
        // Asked anew at each try: a flush that failed may have reached one of the tables.
        let retrievals = self.committed(Kind::Retrieval).await?;
        let outputs = self.committed(Kind::Output).await?;
        let mut from = Sequence::FIRST;
        loop {
            let Replayed { rows, next, end } = self.log.ask(|reply| Message::Replay { from, reply }).await?;
            let mut batch = Batch::default();
            for Waiting { sequence, row, .. } in rows {
                let committed = if matches!(row.event, Event::Retrieval(_)) { retrievals } else { outputs };
                if sequence >= committed {
                    batch.push(Stored { ingest: Ingest::Replayed, ..row });
                }
            }
            let events = batch.len() as u64;
            if events > 0 {
                let append = self.sink.append(batch, &self.writer, next);
                within(self.settings.flush_timeout, append).await.map_err(Error::Recover)?;
                self.shared.recovered.fetch_add(events, Ordering::Relaxed);
            }
            match self.log.ask(|reply| Message::Flushed { next, reply }).await {
                // The table has them, and knows that it does; that the log holds them for longer harms nothing.
                Err(Error::Forget(_)) | Ok(()) => {}
                Err(error) => return Err(error),
            }
            if end {
                break;
            }
            from = Sequence::try_from(next).unwrap_or(Sequence::MAX);
        }
        let window = self.window().await?;
        let ahead = Sequence::try_from(retrievals.max(outputs)).unwrap_or(Sequence::MAX);
        self.log.ask(|reply| Message::Recovered { window, ahead, reply }).await
    }

    async fn committed(&self, kind: Kind) -> Result<u64, Error> {
        let asked = self.sink.committed(kind, &self.writer);
        Ok(within(self.settings.flush_timeout, asked).await.map_err(Error::Recover)?.unwrap_or(0))
    }

    async fn window(&self) -> Result<RecentIds, Error> {
        let capacity = self.settings.recent_ids;
        let since = self.clock.now().plus_seconds(-self.settings.recent_s);
        let asked = self.sink.received_since(since, capacity);
        let received = within(self.settings.flush_timeout, asked).await.map_err(Error::Recover)?;
        Ok(RecentIds::new(capacity, complete_since(since, &received, capacity), received))
    }
}

/// From when on the window knows everything: from `since`, unless there was more than it can hold.
fn complete_since(since: Timestamp, received: &[(Timestamp, EventId)], capacity: usize) -> Timestamp {
    if received.len() < capacity {
        return since;
    }
    received.iter().map(|(time, _)| *time).min().map_or(since, |oldest| oldest.plus_seconds(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_could_not_hold_everything_does_not_claim_to() {
        let at = |second| Timestamp::MIN.plus_seconds(second);
        let received = [(at(9), EventId::from_bytes([1; 16])), (at(5), EventId::from_bytes([2; 16]))];
        assert_eq!(complete_since(at(1), &received, 3), at(1));
        assert_eq!(complete_since(at(1), &received, 2), at(6), "others of that second may be missing");
    }
}
