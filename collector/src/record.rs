//! What a record of the write-ahead log says: an event in its wire format, with the time and the way it came in.
//!
//! It is read back as it was written, without the checks of what senders send. A record that a newer version wrote with a
//! field that this one does not know is refused by name, not misread.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_schema::{Ingest, OutputEvent, RetrievalEvent, Stored, Timestamp};

use crate::decode::{Event, Kind};

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("no event can be read from the record of the log")]
pub struct Unreadable(#[from] serde_json::Error);

#[derive(Serialize)]
struct NewRecord<'a> {
    kind: Kind,
    received_at: Timestamp,
    ingest: Ingest,
    event: &'a Event,
}

#[derive(Deserialize)]
struct Record<'a> {
    kind: Kind,
    received_at: Timestamp,
    ingest: Ingest,
    #[serde(borrow)]
    event: &'a RawValue,
}

/// Writes a record.
pub fn encode(row: &Stored<Event>) -> Result<Vec<u8>, serde_json::Error> {
    let (received_at, ingest) = (row.received_at, row.ingest);
    serde_json::to_vec(&NewRecord { kind: row.event.kind(), received_at, ingest, event: &row.event })
}

/// Reads a record. What a broken disk or another version left there is refused, never a panic.
pub fn read(bytes: &[u8]) -> Result<Stored<Event>, Unreadable> {
    let record: Record<'_> = serde_json::from_slice(bytes)?;
    let event = record.event.get();
    let event = match record.kind {
        Kind::Retrieval => serde_json::from_str::<RetrievalEvent>(event)?.into(),
        Kind::Output => serde_json::from_str::<OutputEvent>(event)?.into(),
    };
    Ok(Stored { received_at: record.received_at, ingest: record.ingest, event })
}

#[cfg(test)]
mod tests {
    use tidemark_schema::FingerprintKey;

    use super::*;
    use crate::decode::{Context, Limits, decode};
    use crate::policy::Policy;

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let json = br#"{"occurred_at":"2026-11-18T09:30:00Z","trace_id":"t","corpus":"c","query":{"text":"x"},"segment":{"locale":"de"},"results":[{"doc_id":"a","score":0.1}]}"#;
        let keys = FingerprintKey::new([7; 32]).into();
        let policy = Policy::default();
        let limits = Limits { results: 0, ..Limits::default() };
        let context = Context { now: None, keys: &keys, policy: &policy, limits };
        let event = decode(json, Kind::Retrieval, &context).unwrap();
        let row = Stored { received_at: Timestamp::MIN, ingest: Ingest::Late, event };
        assert_eq!(read(&encode(&row).unwrap()).unwrap(), row);
    }

    #[test]
    fn garbage_is_refused_and_never_a_panic() {
        assert!(read(b"\xff\x00").is_err());
        assert!(read(br#"{"kind":"other","received_at":"2026-11-18T09:30:00Z","ingest":"live","event":{}}"#).is_err());
    }
}
