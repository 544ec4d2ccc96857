//! Senders choose into how many partitions their events fall: memory must not follow their number.

use tidemark_schema::{EventId, Ingest, Timestamp};

use super::{DAY, lake, output, retrieval};
use crate::{Appended, Position, Table};

const PARTITIONS: u16 = 2_000;
/// Buffers and filters of a writer for each of them would take gigabytes.
const GROWTH_MIB: u64 = 512;

fn id(number: u16) -> EventId {
    EventId::from_bytes(u128::from(number).to_be_bytes())
}

/// The most memory that this process ever had, other tests included.
#[cfg(target_os = "linux")]
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

#[cfg(not(target_os = "linux"))]
fn peak_mib() -> u64 {
    0
}

#[track_caller]
fn check_growth(before: u64) {
    let growth = peak_mib() - before;
    assert!(growth < GROWTH_MIB, "{PARTITIONS} partitions took {growth} MiB");
}

#[tokio::test]
async fn outputs_of_2_000_days_are_one_commit_and_take_the_memory_of_one_partition() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    let day = |number: u16| Timestamp::from_date("2019-01-01").unwrap().plus_seconds(i64::from(number) * 86_400);
    let events = |ingest| {
        let rows = (0..PARTITIONS).map(|number| {
            let mut row = output(1);
            (row.ingest, row.event.event_id, row.event.occurred_at) = (ingest, id(number), day(number));
            row
        });
        rows.collect::<Vec<_>>()
    };
    let version = lake.version(Table::Outputs).await.unwrap();
    let position = || Some(Position { writer: "log-1".to_owned(), next: 2_000 });
    let before = peak_mib();
    lake.append_outputs(events(Ingest::Live), position()).await.unwrap();
    check_growth(before);
    assert_eq!(lake.version(Table::Outputs).await.unwrap(), version + 1, "readers see all of it or nothing");
    assert_eq!(lake.committed(Table::Outputs, "log-1").await.unwrap(), Some(2_000));
    let again = lake.append_outputs(events(Ingest::Replayed), position()).await.unwrap();
    assert_eq!(again, Appended { rows: 0, duplicates: PARTITIONS.into() });
    let files = lake.files(Table::Outputs).await.unwrap();
    assert_eq!((files.len(), files.iter().map(|file| file.rows).sum()), (PARTITIONS.into(), u64::from(PARTITIONS)));
}

#[tokio::test]
async fn retrievals_from_2_000_corpora_take_the_memory_of_one_partition() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    let events = |ingest| {
        let rows = (0..PARTITIONS).map(|number| {
            let mut row = retrieval(1, &format!("corpus-{number}"), DAY, ingest);
            row.event.event_id = id(number);
            row
        });
        rows.collect::<Vec<_>>()
    };
    let before = peak_mib();
    lake.append_retrievals(events(Ingest::Live), None).await.unwrap();
    check_growth(before);
    let some = events(Ingest::Replayed).into_iter().step_by(20).collect();
    let again = lake.append_retrievals(some, None).await.unwrap();
    assert_eq!(again, Appended { rows: 0, duplicates: usize::from(PARTITIONS) / 20 });
    let files = lake.files(Table::Retrievals).await.unwrap();
    assert_eq!((files.len(), files.iter().map(|file| file.rows).sum()), (PARTITIONS.into(), u64::from(PARTITIONS)));
}
