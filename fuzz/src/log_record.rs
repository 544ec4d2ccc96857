//! A record of the write-ahead log: what is read is written and read to the same, and every event that was decoded fits in.

use tidemark_collector::decode::Kind;
use tidemark_collector::record;
use tidemark_schema::{Ingest, Stored, Timestamp};

use crate::events::check_event;

/// Arbitrary bytes as a record, and as an event that becomes one.
pub fn log_record(bytes: &[u8]) {
    if let Ok(row) = record::read(bytes) {
        assert_eq!(record::read(&record::encode(&row).unwrap()).unwrap(), row);
    }
    for kind in [Kind::Retrieval, Kind::Output] {
        if let Some(event) = check_event(bytes, kind) {
            let ingest = if bytes.len().is_multiple_of(2) { Ingest::Live } else { Ingest::Late };
            let row = Stored { received_at: Timestamp::MIN, ingest, event };
            assert_eq!(record::read(&record::encode(&row).unwrap()).unwrap(), row);
        }
    }
}
