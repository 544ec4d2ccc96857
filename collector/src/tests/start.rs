//! Starts: with a table that does not answer, with records that cannot be read, with a damaged log.

use std::io::{Seek, Write};
use std::sync::Arc;
use std::time::Duration;

use tidemark_schema::{ErrorKind, ManualClock};
use tidemark_wal::{FileStorage, Wal};

use super::support::{Seen, Table, Trouble, event, live, now, settings, start, until, until_mode};
use crate::decode::Kind;
use crate::{Acknowledgement, Collector, Error, Mode, Refusal, Settings};

/// A log with one acknowledged event that the table does not have.
async fn leave_one(settings: &Settings, sink: &Arc<Table>) {
    let collector = start(settings, sink).await;
    collector.submit(vec![live(1)]).await.unwrap();
    collector.crash().await;
}

async fn check(trouble: Trouble) {
    let directory = tempfile::tempdir().unwrap();
    let (sink, seen) = (Arc::new(Table::default()), Seen::default());
    let settings = Settings {
        start_wait: Duration::from_millis(200),
        flush_timeout: Duration::from_millis(50),
        on_transition: Some(seen.observer()),
        ..settings(directory.path())
    };
    leave_one(&settings, &sink).await;
    sink.set(trouble);
    let collector = start(&settings, &sink).await;
    let health = until(&collector, |health| health.mode_reason.contains("the last try failed")).await;
    assert_eq!((health.mode, health.recovery_ms, health.writable), (Mode::Recovering, None, false));
    let refused = collector.submit(vec![live(2)]).await.unwrap_err();
    assert!(matches!(&refused, Error::Refused { refusal: Refusal::Recovering, retry_after_s: 5, .. }), "{refused:?}");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("recovering"), "{refused}");
    assert!(matches!(collector.flush().await, Err(Error::Recover(_))));

    sink.set(Trouble::None);
    let health = until_mode(&collector, Mode::Normal).await;
    assert!(health.recovery_ms.is_some());
    assert_eq!(
        collector.submit(vec![live(1), live(2)]).await.unwrap(),
        [Acknowledgement::Duplicate, Acknowledgement::Accepted],
        "the window of recent ids is complete"
    );
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 2);
    assert_eq!(seen.modes(), [Mode::Normal; 2], "one for each start");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_fails_at_the_start_is_asked_until_it_answers() {
    check(Trouble::Fails).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_hangs_at_the_start_is_asked_until_it_answers() {
    check(Trouble::Hangs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_takes_and_fails_at_the_start_stores_everything_once() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    leave_one(&settings(directory.path()), &sink).await;
    sink.set(Trouble::TakesAndFails);
    let collector = start(&settings(directory.path()), &sink).await;
    until_mode(&collector, Mode::Normal).await;
    assert_eq!(collector.submit(vec![live(1)]).await.unwrap(), [Acknowledgement::Duplicate]);
    sink.set(Trouble::None);
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_still_recovering_can_be_stopped() {
    for trouble in [Trouble::Fails, Trouble::Hangs] {
        let directory = tempfile::tempdir().unwrap();
        let sink = Arc::new(Table::default());
        let settings = Settings { start_wait: Duration::from_millis(50), ..settings(directory.path()) };
        leave_one(&settings, &sink).await;
        sink.set(trouble);
        let collector = start(&settings, &sink).await;
        let ended = tokio::time::timeout(Duration::from_secs(5), collector.shutdown()).await.unwrap();
        assert!(matches!(ended, Err(Error::Recover(_))), "there is something left in the log: {ended:?}");
        sink.set(Trouble::None);
        start(&settings, &sink).await.shutdown().await.unwrap();
        assert_eq!(sink.ids().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_kept_aside_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let settings = settings(directory.path());
    leave_one(&settings, &sink).await;
    {
        let (mut wal, _) = Wal::open(FileStorage::open(directory.path()).unwrap(), settings.log).unwrap();
        wal.append(&[br#"{"kind":"of the future"}"#]).unwrap();
        wal.sync().unwrap();
    }
    sink.set(Trouble::TakesAndFails);
    let collector = start(&settings, &sink).await;
    let health = until_mode(&collector, Mode::Normal).await;
    assert_eq!(health.unreadable, 1, "it was met twice");
    sink.set(Trouble::None);
    let kept = std::fs::read(directory.path().join("unreadable-1.json")).unwrap();
    assert_eq!(kept, br#"{"kind":"of the future"}"#);
    collector.submit(vec![live(2)]).await.unwrap();
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 2);
    assert_eq!(start(&settings, &sink).await.health().unreadable, 0, "it is no longer in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_the_log_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let settings = Settings { log: tidemark_wal::Options::default(), ..settings(directory.path()) };
    let collector = start(&settings, &sink).await;
    collector.submit(vec![live(1), live(2), live(3)]).await.unwrap();
    collector.crash().await;
    let segment = directory.path().join("00000000000000000000.wal");
    let mut file = std::fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.seek(std::io::SeekFrom::Start(60)).unwrap();
    file.write_all(b"####").unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&segment).unwrap();
    file.write_all(b"half a record").unwrap();
    drop(file);

    let collector = start(&settings, &sink).await;
    let health = collector.health();
    let damage = &health.damage;
    assert_eq!((damage.regions, damage.records_missing, damage.torn_tail_bytes), (1, 1, 13));
    assert!(damage.places[0].contains(".wal at byte 24"), "{:?}", damage.places);
    assert_eq!((health.recovered, health.mode), (2, Mode::Normal));
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shortened_log_still_gives_the_table_what_it_does_not_have() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let settings = Settings { log: tidemark_wal::Options::default(), ..settings(directory.path()) };
    let collector = start(&settings, &sink).await;
    let output = event(1, Kind::Output, "2024-05-01T11:59:00Z");
    collector.submit(vec![output, live(1)]).await.unwrap();
    sink.set(Trouble::FailsHalfWay);
    assert!(collector.flush().await.is_err());
    collector.crash().await;
    sink.set(Trouble::None);
    // The disk loses the end of the log: the table of retrievals has seen more than is left of it.
    let segment = directory.path().join("00000000000000000000.wal");
    let bytes = std::fs::metadata(&segment).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(bytes - 1).unwrap();
    let collector = start(&settings, &sink).await;
    assert_eq!(collector.health().recovered, 1, "the output");
    collector.submit(vec![live(2)]).await.unwrap();
    collector.crash().await;
    start(&settings, &sink).await.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_that_arrives_days_later_is_looked_up_and_one_of_today_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let clock = Arc::new(ManualClock::at(now()));
    let settings = settings(directory.path());
    let collector = Collector::start(settings.clone(), sink.clone(), clock.clone()).await.unwrap();
    collector.submit(vec![live(1)]).await.unwrap();
    collector.shutdown().await.unwrap();

    clock.set(now().plus_seconds(20 * 3_600));
    let collector = Collector::start(settings.clone(), sink.clone(), clock.clone()).await.unwrap();
    assert_eq!(collector.submit(vec![live(1)]).await.unwrap(), [Acknowledgement::Duplicate]);
    collector.shutdown().await.unwrap();

    clock.set(now().plus_seconds(3 * 24 * 3_600));
    let collector = Collector::start(settings.clone(), sink.clone(), clock.clone()).await.unwrap();
    assert_eq!(
        collector.submit(vec![live(1)]).await.unwrap(),
        [Acknowledgement::Accepted],
        "the window no longer knows it"
    );
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 1, "the table does");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_cut_by_its_capacity_lets_the_table_decide() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let settings = Settings { recent_ids: 2, ..settings(directory.path()) };
    let collector = start(&settings, &sink).await;
    collector.submit((0..5).map(live).collect()).await.unwrap();
    collector.flush().await.unwrap();
    assert_eq!(collector.submit(vec![live(0)]).await.unwrap(), [Acknowledgement::Accepted], "forgotten, hence late");
    collector.shutdown().await.unwrap();
    let collector = start(&settings, &sink).await;
    assert_eq!(
        collector.submit(vec![live(1)]).await.unwrap(),
        [Acknowledgement::Accepted],
        "forgotten after a restart too"
    );
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 5);
}
