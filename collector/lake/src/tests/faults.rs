//! What happens when the store fails half way: nothing is lost, nothing is stored twice, and it goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use tidemark_schema::{Ingest, Timestamp};

use super::faulty::Faulty;
use super::{DAY, read, retrieval};
use crate::{Lake, Location, Position, Retention, Table, due_for_removal};

async fn lake_on(store: &Arc<Faulty>) -> Lake {
    Lake::create(Location::of_store(store.clone()).unwrap()).await.unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "as an append takes it")]
fn position(next: u64) -> Option<Position> {
    Some(Position { writer: "log-1".to_owned(), next })
}

/// After any failure, a writer asks how far its log is committed and repeats the rest, as the collector does.
async fn append_until_committed(lake: &Lake, number: u8, next: u64) {
    if lake.committed(Table::Retrievals, "log-1").await.unwrap().unwrap_or(0) < next {
        lake.append_retrievals(vec![retrieval(number, "c", DAY, Ingest::Replayed)], position(next)).await.unwrap();
    }
}

#[tokio::test]
async fn wherever_the_store_runs_full_an_append_is_an_error_or_whole_and_the_next_one_works() {
    let mut errors = 0;
    for writes in 0..8 {
        let store = Faulty::healthy();
        let lake = lake_on(&store).await;
        lake.append_retrievals(vec![retrieval(1, "c", DAY, Ingest::Live)], position(1)).await.unwrap();
        store.full_after(writes);
        let appended = lake.append_retrievals(vec![retrieval(2, "c", DAY, Ingest::Live)], position(2)).await;
        if let Err(error) = &appended {
            errors += 1;
            assert!(!error.is_conflict(), "{error:?}");
        }
        let stored = read(&lake, Vec::new(), None).await.len();
        assert!(stored == 2 || appended.is_err() && stored == 1, "{writes} writes: {stored} rows, {appended:?}");
        store.heal();
        append_until_committed(&lake, 2, 2).await;
        assert_eq!(lake.files(Table::Retrievals).await.unwrap().iter().map(|file| file.rows).sum::<u64>(), 2);
        lake.record(Table::Retrievals).await.unwrap();
        let verified = lake.verify(Table::Retrievals, None, Duration::ZERO, |_| {}).await.unwrap();
        let wrong: Vec<_> =
            verified.findings.iter().filter(|finding| finding.kind != crate::FindingKind::Extra).collect();
        assert!(wrong.is_empty(), "{writes} writes: {wrong:?}");
    }
    assert!(errors >= 2, "a file and its commit are two writes at least, and {errors} of them failed");
}

#[tokio::test]
async fn wherever_the_store_stops_answering_reads_an_append_is_stored_once_in_the_end() {
    for reads in 0..12 {
        let store = Faulty::healthy();
        let lake = lake_on(&store).await;
        lake.append_retrievals(vec![retrieval(1, "c", DAY, Ingest::Live)], position(1)).await.unwrap();
        store.unreadable_after(reads);
        let late = vec![retrieval(1, "c", DAY, Ingest::Late), retrieval(2, "c", DAY, Ingest::Late)];
        let appended = lake.append_retrievals(late, position(2)).await;
        store.heal();
        let stored = read(&lake, Vec::new(), None).await.len();
        // What fails after the commit is an error of a commit that was made; asking how far it got tells.
        assert!(stored == 2 || appended.is_err() && stored == 1, "{reads} reads: {stored} rows, {appended:?}");
        append_until_committed(&lake, 2, 2).await;
        assert_eq!(lake.files(Table::Retrievals).await.unwrap().iter().map(|file| file.rows).sum::<u64>(), 2);
    }
}

#[tokio::test]
async fn wherever_the_store_runs_full_a_merge_loses_nothing_and_is_done_later() {
    let now: Timestamp = "2024-05-03T00:00:00Z".parse().unwrap();
    let mut merged = 0;
    for writes in 0..8 {
        let store = Faulty::healthy();
        let lake = lake_on(&store).await;
        for number in 1..=4 {
            lake.append_retrievals(vec![retrieval(number, "c", DAY, Ingest::Live)], None).await.unwrap();
        }
        lake.append_retrievals(vec![retrieval(4, "c", DAY, Ingest::Live)], None).await.unwrap();
        let partition = lake.files(Table::Retrievals).await.unwrap()[0].partition.clone();
        store.full_after(writes);
        let early = lake.compact(Table::Retrievals, &partition, now).await;
        store.heal();
        assert_eq!(read(&lake, Vec::new(), None).await.len(), 4, "{writes} writes");
        if early.is_err() {
            let compacted = lake.compact(Table::Retrievals, &partition, now).await.unwrap().unwrap();
            assert_eq!((compacted.rows, compacted.duplicates, compacted.files_after), (4, 1, 1));
        } else {
            merged += 1;
        }
        assert_eq!(read(&lake, Vec::new(), None).await.len(), 4);
        assert_eq!(lake.files(Table::Retrievals).await.unwrap().len(), 1);
    }
    assert!((1..7).contains(&merged), "{merged} of 8 were done although the store ran full");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_merges_and_retention_at_the_same_time_lose_nothing_and_double_nothing() {
    let store = Faulty::healthy();
    store.slow(Duration::from_millis(1));
    let lake = Arc::new(lake_on(&store).await);
    let writers = (0..3_u8).map(|writer| {
        let lake = lake.clone();
        tokio::spawn(async move {
            for step in 0..8 {
                let number = 1 + writer * 20 + step;
                let name = Some(Position { writer: format!("log-{writer}"), next: u64::from(step) + 1 });
                lake.append_retrievals(vec![retrieval(number, "c", DAY, Ingest::Live)], name).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let now: Timestamp = "2024-05-03T00:00:00Z".parse().unwrap();
    let mut merges = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        if let Some(file) = lake.files(Table::Retrievals).await.unwrap().first() {
            merges += usize::from(lake.compact(Table::Retrievals, &file.partition, now).await.unwrap().is_some());
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(merges > 0);
    assert_eq!(lake.files(Table::Retrievals).await.unwrap().iter().map(|file| file.rows).sum::<u64>(), 24);
    assert_eq!(read(&lake, Vec::new(), None).await.len(), 24);
    lake.record(Table::Retrievals).await.unwrap();
    let verified = lake.verify(Table::Retrievals, None, Duration::ZERO, |_| {}).await.unwrap();
    assert_eq!(verified.findings, []);
    let files: Vec<_> = lake.files(Table::Retrievals).await.unwrap();
    let files: Vec<_> = files.into_iter().map(|file| (Table::Retrievals, file)).collect();
    let retention = Retention { days: Some(1), ..Retention::default() };
    for gone in due_for_removal(&files, 0, &retention, now) {
        lake.drop_partition(&gone, now).await.unwrap();
    }
    assert_eq!(read(&lake, Vec::new(), None).await.len(), 0);
}
