//! The task that asks the table what `state` wants to know or store, one thing at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::decode::Kind;
use crate::driver::Message;
use crate::effect::{Positions, TableAnswer, TableCall};
use crate::error::Error;
use crate::sink::{EventSink, SinkError};

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

/// The table as the thread of the log sees it. The events stay with the log until the table has them, so this can be
/// given up at any moment.
pub(crate) struct Table<S> {
    pub(crate) sink: Arc<S>,
    pub(crate) writer: String,
    /// How long one call of the sink may take.
    pub(crate) limit: Duration,
}

impl<S: EventSink> Table<S> {
    /// Answers until nobody asks any more.
    pub(crate) async fn serve(self, mut calls: mpsc::Receiver<TableCall>, inbox: mpsc::WeakSender<Message>) {
        while let Some(call) = calls.recv().await {
            let answer = self.answer(call).await;
            // A sender that it kept would keep the thread of the log alive.
            let Some(inbox) = inbox.upgrade() else { return };
            if inbox.send(Message::Table(answer)).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, call: TableCall) -> Result<TableAnswer, SinkError> {
        match call {
            TableCall::Recall { since, limit } => {
                let retrievals = self.within(self.sink.committed(Kind::Retrieval, &self.writer)).await?.unwrap_or(0);
                let outputs = self.within(self.sink.committed(Kind::Output, &self.writer)).await?.unwrap_or(0);
                let received = self.within(self.sink.received_since(since, limit)).await?;
                Ok(TableAnswer::Recalled { positions: Positions { retrievals, outputs }, received })
            }
            TableCall::Store { batch, next } => {
                self.within(self.sink.append(batch, &self.writer, next.get())).await?;
                Ok(TableAnswer::Stored)
            }
        }
    }

    /// Waits for the sink, but not for ever.
    async fn within<T>(&self, work: impl Future<Output = Result<T, SinkError>>) -> Result<T, SinkError> {
        match tokio::time::timeout(self.limit, work).await {
            Ok(done) => done,
            Err(_) => Err(format!("the table did not answer within {} seconds", self.limit.as_secs_f32()).into()),
        }
    }
}
