//! Events as rows of tables, and runs of TREC.

use tidemark_collector::decode::{Kind, tabular, trec};

use crate::events::check_event;

/// Small enough that a bomb of a few bytes goes beyond it.
const ROWS_BYTES: u64 = 64 * 1024;

/// Arbitrary bytes as an Arrow IPC stream.
pub fn arrow_stream(bytes: &[u8]) {
    if tabular::refuse_compressed(bytes).is_err() {
        return;
    }
    let Ok(batches) = tabular::ipc_stream(bytes) else { return };
    for batch in batches.take(20) {
        let Ok(batch) = batch else { return };
        let Ok(rows) = tabular::rows(&batch, ROWS_BYTES) else { return };
        assert_eq!(rows.len(), batch.num_rows());
        for row in rows {
            match row {
                Ok(bytes) => drop(check_event(&bytes, Kind::of(&bytes).unwrap_or(Kind::Retrieval))),
                Err(rejection) => assert!(!rejection.reason.is_empty()),
            }
        }
    }
}

/// Arbitrary bytes as a run.
pub fn trec_run(bytes: &[u8]) {
    let at = "2026-10-01T00:00:00Z".parse().unwrap();
    let run = trec::Run { corpus: "cran".parse().unwrap(), version: None, at };
    let Ok(queries) = trec::queries(bytes, &run) else { return };
    let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
    for (line, query) in queries {
        assert!((1..=lines).contains(&line));
        match query {
            Ok(bytes) => drop(check_event(&bytes, Kind::Retrieval)),
            Err(rejection) => assert!(!rejection.reason.is_empty()),
        }
    }
}
