//! Events as rows of tables, and runs of TREC.

use std::io::Cursor;

use tidemark_collector::decode::tabular::{self, RowLimits, Table};
use tidemark_collector::decode::{Kind, Rejection, trec};

use crate::events::check_draft;

/// Small enough that a bomb of a few bytes goes beyond it.
const LIMITS: RowLimits = RowLimits { row: 4 * 1024, table: 64 * 1024 };

/// Arbitrary bytes as an Arrow IPC stream.
pub fn arrow_stream(bytes: &[u8]) {
    if let Ok(table) = tabular::ipc_stream(bytes, 64 * 1024) {
        check_table(table);
    }
}

/// Arbitrary bytes as an Arrow IPC file.
pub fn arrow_file(bytes: &[u8]) {
    if let Ok(table) = tabular::ipc_file(Cursor::new(bytes), 64 * 1024) {
        check_table(table);
    }
}

fn check_table(table: Table<'_>) {
    let kind = table.kind().unwrap_or(Kind::Retrieval);
    let Ok(mut rows) = table.rows(kind, LIMITS) else { return };
    while let Some(row) = rows.next() {
        match row {
            Ok(Ok(draft)) => {
                assert!(rows.spent() <= LIMITS.table);
                check_draft(draft, kind);
            }
            Ok(Err(rejection)) => assert!(!rejection.reason.is_empty()),
            Err(_) => return,
        }
    }
}

/// Arbitrary bytes as a run.
pub fn trec_run(bytes: &[u8]) {
    let at = "2026-10-01T00:00:00Z".parse().unwrap();
    let run = trec::Run { corpus: "cran".parse().unwrap(), version: None, at };
    let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
    let mut refuse = |line, rejection: Rejection| {
        assert!((1..=lines).contains(&line));
        assert!(!rejection.reason.is_empty());
    };
    let Ok(queries) = trec::queries(bytes, &run, 3, &mut refuse) else { return };
    for (line, query) in queries {
        assert!((1..=lines).contains(&line));
        match query {
            Ok(draft) => check_draft(draft, Kind::Retrieval),
            Err(rejection) => assert!(!rejection.reason.is_empty()),
        }
    }
}
