//! More than the collector can take at once.

use std::sync::Arc;

use tidemark_schema::ErrorKind;

use super::support::{Table, live, settings, start, until_mode};
use crate::{Acknowledgement, Collector, Error, Mode, Refusal, Settings};

async fn check(change: impl Fn(Settings) -> Settings, events: u32, refusal: Refusal) {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = start(&change(settings(directory.path())), &sink).await;
    let mut taken = 0;
    let refused = loop {
        match collector.submit((taken * events..(taken + 1) * events).map(live).collect()).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 1_000, "it took everything");
    };
    assert!(matches!(&refused, Error::Refused { refusal: met, .. } if *met == refusal), "{refused:?}");
    assert_eq!(refused.kind(), ErrorKind::Busy);
    assert!(refused.retry_after_s().is_some());
    assert_eq!(collector.health().refused[&refusal], u64::from(events));
    until_mode(&collector, Mode::Shedding).await;
    collector.flush().await.unwrap();
    until_mode(&collector, Mode::Normal).await;
    collector.submit((taken * events..(taken + 1) * events).map(live).collect()).await.unwrap();
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), ((taken + 1) * events) as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_wait_are_bounded_by_number() {
    check(|settings| Settings { pending_events: 100, ..settings }, 1, Refusal::PendingEvents).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_wait_are_bounded_by_bytes() {
    check(|settings| Settings { pending_bytes: 60_000, ..settings }, 2, Refusal::PendingBytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_bounded_by_its_budget() {
    let log = tidemark_wal::Options { segment_bytes: 1_000, budget_bytes: 12_000, record_bytes_max: 10_000 };
    check(|settings| Settings { log, ..settings }, 1, Refusal::LogBudget).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn near_a_bound_nothing_more_is_read_and_what_has_been_read_is_taken_while_it_fits() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = start(&Settings { pending_events: 10, ..settings(directory.path()) }, &sink).await;
    collector.submit((0..8).map(live).collect()).await.unwrap();
    collector.ready().unwrap();
    collector.submit(vec![live(8)]).await.unwrap();
    let refused = collector.ready().unwrap_err();
    assert!(matches!(refused, Error::Refused { refusal: Refusal::PendingEvents, .. }), "{refused:?}");
    assert!(refused.retry_after_s().is_some());
    collector.submit(vec![live(9)]).await.unwrap();
    collector.submit(vec![live(10)]).await.unwrap_err();
    collector.flush().await.unwrap();
    collector.ready().unwrap();
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_would_never_fit_is_refused_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = start(&Settings { pending_events: 3, ..settings(directory.path()) }, &sink).await;
    let refused = collector.submit((0..4).map(live).collect()).await.unwrap_err();
    assert!(matches!(refused, Error::TooLarge { events: 4, .. }), "{refused:?}");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert_eq!(collector.submit((0..3).map(live).collect()).await.unwrap(), [Acknowledgement::Accepted; 3]);
    collector.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_that_is_too_long_for_the_log_spoils_no_other_submission() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let log = tidemark_wal::Options { segment_bytes: 4_000, budget_bytes: 100_000, record_bytes_max: 2_000 };
    let collector = start(&Settings { log, ..settings(directory.path()) }, &sink).await;
    let long = {
        let mut event = live(1);
        if let crate::decode::Event::Retrieval(event) = &mut event {
            let event = Arc::make_mut(event);
            event.attributes.insert("long".to_owned(), serde_json::Value::String("x".repeat(3_000)));
        }
        event
    };
    let (refused, taken) =
        tokio::join!(collector.submit(vec![long, live(3)]), collector.submit(vec![live(2), live(3)]));
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    assert_eq!(taken.unwrap(), [Acknowledgement::Accepted; 2], "an id of the refused one does not count as known");
    collector.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn submissions_on_their_way_are_bounded_by_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let collector = Arc::new(start(&Settings { queue_bytes: 1_000, ..settings(directory.path()) }, &sink).await);
    let submissions: Vec<_> = (0..200)
        .map(|number| {
            let collector = collector.clone();
            tokio::spawn(async move { collector.submit(vec![live(3 * number), live(3 * number + 1)]).await })
        })
        .collect();
    let (mut taken, mut refused) = (0, 0);
    for submission in submissions {
        match submission.await.unwrap() {
            Ok(_) => taken += 2,
            Err(Error::Refused { refusal: Refusal::Queue, retry_after_s: 1, .. }) => refused += 2,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    assert_eq!(collector.health().refused[&Refusal::Queue], refused);
    until_mode(&collector, Mode::Shedding).await;
    let answered = until_alone(&collector, || (1_000..1_020).map(live).collect()).await;
    assert_eq!(answered.len(), 20, "alone, any size goes");
}

/// Answers to a submission that is sent again while the queue is full: the bytes of a submission are given back just
/// after it has been answered.
async fn until_alone(collector: &Collector, events: impl Fn() -> Vec<crate::decode::Event>) -> Vec<Acknowledgement> {
    loop {
        match collector.submit(events()).await {
            Ok(answered) => return answered,
            Err(Error::Refused { refusal: Refusal::Queue, .. }) => tokio::task::yield_now().await,
            Err(other) => panic!("{other:?}"),
        }
    }
}
