//! A table that fails, conflicts, hangs or is slow.

use std::sync::Arc;
use std::time::Duration;

use super::support::{Table, Trouble, event, live, settings, start, until, until_mode};
use crate::decode::Kind;
use crate::{Acknowledgement, Collector, Error, Mode, Settings};

fn busy(directory: &std::path::Path) -> Settings {
    Settings {
        flush_interval: Duration::from_millis(10),
        flush_timeout: Duration::from_millis(50),
        ..settings(directory)
    }
}

async fn check(trouble: Trouble) {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = start(&busy(directory.path()), &sink).await;
    sink.set(trouble);
    let output = |number| event(number, Kind::Output, "2024-05-01T11:59:00Z");
    collector.submit(vec![live(1), output(1)]).await.unwrap();
    let health = until(&collector, |health| health.flush_failures >= 3).await;
    assert!(!health.flushing && health.pending == 2);
    collector.submit(vec![live(2), output(2)]).await.unwrap();
    sink.set(Trouble::None);
    let health = until(&collector, |health| health.pending == 0).await;
    assert!(health.flushing);
    assert_eq!((health.flushed, health.mode), (4, Mode::Normal));
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_fails_gets_everything_once_it_works() {
    check(Trouble::Fails).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_took_its_part_does_not_get_it_twice() {
    check(Trouble::FailsHalfWay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_took_everything_and_said_it_did_not_does_not_get_it_twice() {
    check(Trouble::TakesAndFails).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_hangs_is_given_up_and_asked_again() {
    check(Trouble::Hangs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_table_leads_to_shedding_then_to_refusals_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let settings = Settings { pending_events: 10, ..busy(directory.path()) };
    let settings = Settings { flush_timeout: Duration::from_mins(1), ..settings };
    let collector = start(&settings, &sink).await;
    sink.set(Trouble::Hangs);
    for number in 0..9 {
        collector.submit(vec![live(number)]).await.unwrap();
    }
    let health = until_mode(&collector, Mode::Shedding).await;
    assert_eq!(health.mode_reason, "9 of 10 events that wait for the table");
    assert_eq!(collector.submit(vec![live(10)]).await.unwrap(), [Acknowledgement::Accepted], "what fits is taken");
    let refused = collector.submit(vec![live(11)]).await.unwrap_err();
    assert!(matches!(&refused, Error::Refused { mode: Mode::Shedding, retry_after_s: 2, .. }), "{refused:?}");
    assert_eq!(
        collector.submit(vec![live(3)]).await.unwrap(),
        [Acknowledgement::Duplicate],
        "what is known needs no room"
    );
    collector.crash().await;

    sink.set(Trouble::None);
    let collector = start(&settings, &sink).await;
    assert_eq!(collector.health().recovered, 10);
    assert_eq!(collector.submit(vec![live(11)]).await.unwrap(), [Acknowledgement::Accepted]);
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_table_takes_everything_while_events_come_in() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let settings = Settings { pending_events: 30, flush_events: 10, ..settings(directory.path()) };
    let collector = start(&settings, &sink).await;
    sink.set(Trouble::IsSlow);
    let (mut taken, mut refused) = (0, 0);
    while taken < 60 {
        match collector.submit(vec![live(taken)]).await {
            Ok(_) => taken += 1,
            Err(Error::Refused { .. }) => {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(other) => panic!("{other:?}"),
        }
        assert!(collector.health().pending <= 30);
    }
    assert!(refused > 0, "it is too slow for this");
    collector.shutdown().await.unwrap();
    assert_eq!((sink.ids().len(), sink.largest_batch()), (60, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_table_is_told_before_the_bounds_are_reached() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = start(&Settings { pending_events: 10, ..busy(directory.path()) }, &sink).await;
    sink.set(Trouble::Fails);
    collector.submit((0..5).map(live).collect()).await.unwrap();
    let health = until_mode(&collector, Mode::Shedding).await;
    assert!(health.mode_reason.contains("the table takes nothing"), "{}", health.mode_reason);
    sink.set(Trouble::None);
    until_mode(&collector, Mode::Normal).await;
    collector.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_stored_in_commits_of_a_bounded_size() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let settings = Settings { flush_events: 7, ..settings(directory.path()) };
    sink.set(Trouble::Fails);
    let collector = start(&settings, &sink).await;
    sink.set(Trouble::None);
    until_mode(&collector, Mode::Normal).await;
    sink.set(Trouble::Fails);
    collector.submit((0..50).map(live).collect()).await.unwrap();
    assert!(collector.flush().await.is_err());
    sink.set(Trouble::None);
    collector.flush().await.unwrap();
    assert_eq!((sink.ids().len(), sink.largest_batch()), (50, 7));

    collector.submit((50..100).map(live).collect()).await.unwrap();
    collector.crash().await;
    let collector = start(&settings, &sink).await;
    assert_eq!((sink.ids().len(), sink.largest_batch()), (100, 7), "a recovery is bounded in the same way");
    collector.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_hangs_does_not_hold_up_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let settings = Settings { stop_timeout: Duration::from_millis(100), ..settings(directory.path()) };
    let collector = start(&settings, &sink).await;
    collector.submit(vec![live(1)]).await.unwrap();
    sink.set(Trouble::Hangs);
    let ended = tokio::time::timeout(Duration::from_secs(5), collector.shutdown()).await.unwrap();
    assert!(matches!(ended, Err(Error::StopTimeout { .. })), "{ended:?}");
    sink.set(Trouble::None);
    let collector = start(&settings, &sink).await;
    assert_eq!(collector.health().recovered, 1);
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_flushed_does_not_stay_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let settings =
        Settings { log: tidemark_wal::Options::default(), release_after: Duration::ZERO, ..settings(directory.path()) };
    let collector = start(&settings, &sink).await;
    collector.submit((0..50).map(live).collect()).await.unwrap();
    collector.flush().await.unwrap();
    assert_eq!(collector.health().log_bytes, 24, "nothing but the header of a segment");
    collector.shutdown().await.unwrap();
}

fn files_that_hold(directory: &std::path::Path, text: &str) -> usize {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.filter(|content| content.windows(text.len()).any(|window| window == text.as_bytes())).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_request_the_log_forgets_all_that_is_in_the_table_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let settings = Settings { log: tidemark_wal::Options::default(), ..settings(directory.path()) };
    let collector: Collector = start(&settings, &sink).await;
    // The first flush releases; the next ones would only do so after a while.
    collector.flush().await.unwrap();
    collector.submit(vec![live(1)]).await.unwrap();
    collector.flush().await.unwrap();
    let id = live(1).event_id().to_string();
    assert_eq!(files_that_hold(directory.path(), &id), 1);
    collector.submit(vec![live(2)]).await.unwrap();
    collector.forget_flushed().await.unwrap();
    assert_eq!(files_that_hold(directory.path(), &id), 0);
    assert_eq!(files_that_hold(directory.path(), &live(2).event_id().to_string()), 0);
    assert_eq!(sink.ids().len(), 2);

    sink.set(Trouble::Fails);
    collector.submit(vec![live(3)]).await.unwrap();
    assert!(matches!(collector.forget_flushed().await, Err(Error::Flush(_))));
    assert_eq!(files_that_hold(directory.path(), &live(3).event_id().to_string()), 1);
    collector.crash().await;
    sink.set(Trouble::None);
    start(&settings, &sink).await.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 3);
}
