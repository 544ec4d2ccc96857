//! An ordinary life: new and known events, flushes, restarts.

use std::sync::Arc;

use super::support::{Table, Trouble, event, live, settings, start};
use crate::decode::Kind;
use crate::{Acknowledgement, Error, Refusal, Settings};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_answered_once_as_new_and_then_as_known() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = start(&settings(&directory.path().join("not there yet")), &sink).await;
    assert_eq!(
        collector.submit(vec![live(1), live(2), live(1)]).await.unwrap(),
        [Acknowledgement::Accepted, Acknowledgement::Accepted, Acknowledgement::Duplicate]
    );
    assert_eq!(collector.submit(vec![live(2)]).await.unwrap(), [Acknowledgement::Duplicate]);
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_fails_is_tried_again_and_stores_each_event_once() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = start(&settings(directory.path()), &sink).await;
    collector.submit(vec![live(1), event(1, Kind::Output, "2024-05-01T11:59:00Z")]).await.unwrap();
    sink.set(Trouble::FailsHalfWay);
    assert!(matches!(collector.flush().await, Err(Error::Flush(_))));
    assert!(!collector.health().flushing);
    collector.submit(vec![live(2)]).await.unwrap();
    sink.set(Trouble::None);
    collector.flush().await.unwrap();
    let health = collector.health();
    assert_eq!((health.flushed, health.pending, health.flush_failures, health.flushing), (3, 0, 1, true));
    assert_eq!(sink.ids().len(), 3);
    collector.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sink_did_not_take_is_recovered_from_the_log_table_by_table() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = start(&settings(directory.path()), &sink).await;
    collector.submit(vec![live(1), event(1, Kind::Output, "2024-05-01T11:59:00Z")]).await.unwrap();
    sink.set(Trouble::FailsHalfWay);
    assert!(collector.shutdown().await.is_err());
    assert_eq!(sink.ids().len(), 1, "the table of retrievals took its part");

    sink.set(Trouble::None);
    let collector = start(&settings(directory.path()), &sink).await;
    assert_eq!(collector.health().recovered, 1, "only the output was missing");
    assert_eq!(sink.ids().len(), 2);
    assert_eq!(
        collector.submit(vec![live(1)]).await.unwrap(),
        [Acknowledgement::Duplicate],
        "a restart does not forget"
    );
    collector.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_never_reuses_positions_that_the_table_knows() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = start(&settings(directory.path()), &sink).await;
    collector.submit(vec![live(1), live(2)]).await.unwrap();
    collector.shutdown().await.unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wal") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let collector = start(&settings(directory.path()), &sink).await;
    collector.submit(vec![live(3)]).await.unwrap();
    sink.set(Trouble::Fails);
    assert!(collector.shutdown().await.is_err());
    sink.set(Trouble::None);
    let collector = start(&settings(directory.path()), &sink).await;
    assert_eq!(collector.health().recovered, 1);
    assert_eq!(sink.ids().len(), 3);
    collector.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_bound_the_collector_refuses_and_takes_again_after_a_flush() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = start(&Settings { pending_events: 3, ..settings(directory.path()) }, &sink).await;
    collector.submit(vec![live(1), live(2)]).await.unwrap();
    let refused = collector.submit(vec![live(3), live(4)]).await;
    assert!(matches!(refused, Err(Error::Refused { refusal: Refusal::PendingEvents, .. })), "{refused:?}");
    collector.flush().await.unwrap();
    assert_eq!(collector.submit(vec![live(3), live(4)]).await.unwrap(), [Acknowledgement::Accepted; 2]);
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_older_than_the_window_is_late_and_a_younger_one_live() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = start(&settings(directory.path()), &sink).await;
    collector.submit(vec![live(1), event(2, Kind::Retrieval, "2024-04-29T00:00:00Z")]).await.unwrap();
    collector.shutdown().await.unwrap();
    let mut ways: Vec<String> = sink.rows().iter().map(|(_, _, ingest)| ingest.to_string()).collect();
    ways.sort();
    assert_eq!(ways, ["late", "live"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn submissions_that_gather_share_an_fsync_and_each_gets_its_own_answer() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = Arc::new(start(&settings(directory.path()), &sink).await);
    let submissions = (0..100).map(|number| {
        let collector = collector.clone();
        tokio::spawn(async move { collector.submit(vec![live(number), live(number + 1)]).await.unwrap().len() })
    });
    for submission in submissions.collect::<Vec<_>>() {
        assert_eq!(submission.await.unwrap(), 2);
    }
    let health = collector.health();
    assert_eq!((health.accepted, health.duplicates), (101, 99));
}
