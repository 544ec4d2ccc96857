//! What is done once at the start: the sink gets every record of the log that it does not say it has.

use std::path::Path;
use std::sync::atomic::Ordering;

use tidemark_schema::{Ingest, Stored};
use tidemark_wal::{FileStorage, Sequence, Wal};

use crate::collector::{Counters, Settings};
use crate::decode::{Event, Kind};
use crate::error::Error;
use crate::record;
use crate::sink::{Batch, EventSink};

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

/// Which side of the recovery failed.
pub(crate) enum RecoverError {
    Log(tidemark_wal::Error),
    Sink(crate::SinkError),
}

/// Gives the sink every record that it does not say it has.
pub(crate) async fn recover<S: EventSink>(
    wal: &mut Wal<FileStorage>,
    settings: &Settings,
    sink: &S,
    writer: &str,
    counters: &Counters,
) -> Result<(), RecoverError> {
    let retrievals = sink.committed(Kind::Retrieval, writer).await.map_err(RecoverError::Sink)?.unwrap_or(0);
    let outputs = sink.committed(Kind::Output, writer).await.map_err(RecoverError::Sink)?.unwrap_or(0);
    let ahead = Sequence::try_from(retrievals.max(outputs)).unwrap_or(Sequence::MAX);
    if ahead > wal.next_sequence() {
        // The log was lost or replaced: its next records must not get numbers that the table takes for known.
        tracing::warn!(table = ahead.get(), log = wal.next_sequence().get(), "the table is ahead of the log");
        wal.advance_to(ahead).map_err(RecoverError::Log)?;
        return Ok(());
    }
    let mut from = wal.first_sequence();
    loop {
        let mut batch = Batch::default();
        let mut next = from;
        for record in wal.read_from(from).map_err(RecoverError::Log)? {
            let record = record.map_err(RecoverError::Log)?;
            next = record.sequence.checked_add(1).unwrap_or(Sequence::MAX);
            match record::read(&record.payload) {
                Ok(row) => {
                    let committed = if matches!(row.event, Event::Retrieval(_)) { retrievals } else { outputs };
                    if record.sequence.get() >= committed {
                        batch.push(Stored { ingest: Ingest::Replayed, ..row });
                    }
                }
                Err(rejection) => {
                    tracing::error!(sequence = record.sequence.get(), ?rejection, "a record of the log cannot be read");
                }
            }
            if batch.len() >= settings.flush_events {
                break;
            }
        }
        if next == from {
            break;
        }
        let events = batch.len();
        if events > 0 {
            sink.append(batch, writer, next.get()).await.map_err(RecoverError::Sink)?;
            counters.recovered.fetch_add(events as u64, Ordering::Relaxed);
        }
        wal.truncate_before(next).map_err(RecoverError::Log)?;
        from = next;
    }
    Ok(())
}
