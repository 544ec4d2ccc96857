//! What a record of the write-ahead log says: an event in its wire format, with the time and the way it came in.
//!
//! The wire format is used so that there is one decoder, one set of checks and one thing to keep compatible; a record
//! that a newer version wrote with a field that this one does not know is refused by name, not misread.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_schema::{FingerprintKey, Ingest, Stored, Timestamp};

use crate::decode::{Context, Event, Kind, Limits, Rejection, decode};
use crate::policy::Policy;

#[derive(Serialize)]
struct Written<'a> {
    kind: &'static str,
    received_at: Timestamp,
    ingest: Ingest,
    event: &'a Event,
}

#[derive(Deserialize)]
struct Read<'a> {
    kind: &'a str,
    received_at: Timestamp,
    ingest: Ingest,
    #[serde(borrow)]
    event: &'a RawValue,
}

/// Writes a record.
pub fn encode(row: &Stored<Event>) -> Result<Vec<u8>, serde_json::Error> {
    let kind = match row.event {
        Event::Retrieval(_) => "retrieval",
        Event::Output(_) => "output",
    };
    serde_json::to_vec(&Written { kind, received_at: row.received_at, ingest: row.ingest, event: &row.event })
}

/// Reads a record. What a broken disk or another version left there is refused, never a panic.
pub fn read(bytes: &[u8]) -> Result<Stored<Event>, Rejection> {
    let record: Read<'_> = serde_json::from_slice(bytes).map_err(|error| Rejection {
        field: None,
        reason: error.to_string(),
        malformed: true,
    })?;
    let kind = match record.kind {
        "retrieval" => Kind::Retrieval,
        "output" => Kind::Output,
        other => return Err(Rejection::field("kind", format!("is {other:?}, which this version does not know"))),
    };
    // Texts, times and sizes were judged when the event came in, and its fingerprint was made then.
    let limits = Limits { event_bytes: usize::MAX, results: usize::MAX, values: u64::MAX, ahead_s: 0 };
    let keys = FingerprintKey::new([0; 32]).into();
    let policy = Policy::verbatim();
    let context = Context { now: None, keys: &keys, policy: &policy, limits };
    let event = decode(record.event.get().as_bytes(), kind, &context)?;
    Ok(Stored { received_at: record.received_at, ingest: record.ingest, event })
}

#[cfg(test)]
mod tests {
    use super::*;

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
