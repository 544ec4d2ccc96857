//! A disk that is full or broken, at every step the log takes.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_schema::ErrorKind as Kind;
use tidemark_wal::Options;

use super::support::{Disk, Seen, Step, Table, Trouble, live, settings, start, start_on, until, until_mode};
use crate::{Acknowledgement, Collector, Error, FreeBytes, Mode, Refusal, Settings};

/// Lets steps fail while one event is sent: what was acknowledged before stays, the sender is told what is wrong, the
/// mode has a name, everything comes back by itself, and each event is stored once.
async fn check(steps: &[(Step, ErrorKind)], expected: Mode) {
    let directory = tempfile::tempdir().unwrap();
    let (sink, disk, seen) = (Arc::new(Table::default()), Disk::default(), Seen::default());
    let mut settings = Settings { on_transition: Some(seen.observer()), ..settings(directory.path()) };
    if !steps.iter().any(|(step, _)| matches!(step, Step::Create | Step::SyncFolder)) {
        // One file for all records, so that the step fails at the records and not at the next file.
        settings.log = Options::default();
    }
    let collector = start_on(&disk, &settings, &sink).await.unwrap();
    collector.submit(vec![live(1)]).await.unwrap();
    collector.flush().await.unwrap();
    collector.submit(vec![live(2), live(3)]).await.unwrap();

    for (step, kind) in steps {
        disk.fail(*step, *kind);
    }
    let failed = collector.submit(vec![live(4), live(5)]).await.unwrap_err();
    assert!(matches!(&failed, Error::Append { mode, .. } if *mode == expected), "{failed:?}");
    assert_eq!(failed.kind(), Kind::Unavailable);
    assert!(failed.retry_after_s().is_some() && failed.hint().contains("none was acknowledged"));
    let refused = collector.submit(vec![live(6)]).await.unwrap_err();
    assert!(matches!(&refused, Error::Refused { mode, .. } if *mode == expected), "{refused:?}");
    assert!(!collector.health().writable);
    // The table is well: what was acknowledged reaches it meanwhile.
    collector.flush().await.unwrap();
    assert_eq!(sink.ids().len(), 3);

    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    assert!(!collector.health().writable, "nothing has changed: {:?}", collector.health().mode);
    disk.heal();
    until_mode(&collector, Mode::Normal).await;
    let answers = collector.submit(vec![live(4), live(5)]).await.unwrap();
    assert_eq!(answers.len(), 2);
    assert_eq!(collector.submit(vec![live(3)]).await.unwrap(), [Acknowledgement::Duplicate]);
    let modes = seen.modes();
    assert_eq!((modes[0], modes[1], modes[modes.len() - 1]), (Mode::Normal, expected, Mode::Normal), "{modes:?}");
    assert!(modes[1..modes.len() - 1].iter().all(|mode| !mode.takes_events()), "it did not come and go: {modes:?}");
    assert!(collector.health().refused.values().sum::<u64>() >= 3);
    collector.crash().await;

    let collector = start_on(&disk, &settings, &sink).await.unwrap();
    collector.shutdown().await.unwrap();
    let mut expected: Vec<_> = (1..=5).map(|number| live(number).event_id()).collect();
    expected.sort();
    assert_eq!(sink.ids(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_at_an_append_is_read_only_until_there_is_room() {
    check(&[(Step::Append, ErrorKind::StorageFull)], Mode::ReadOnly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_at_a_new_segment_is_read_only_until_there_is_room() {
    check(&[(Step::Create, ErrorKind::StorageFull)], Mode::ReadOnly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_for_another_reason_is_tried_again_too() {
    check(&[(Step::Append, ErrorKind::Other)], Mode::ReadOnly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_closes_the_log_until_it_can_be_opened_again() {
    check(&[(Step::Sync, ErrorKind::Other)], Mode::Recovering).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_whose_cut_fails_too_doubles_nothing() {
    check(&[(Step::Sync, ErrorKind::StorageFull), (Step::SetLen, ErrorKind::Other)], Mode::Recovering).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_that_cannot_be_taken_back_closes_the_log() {
    check(&[(Step::Append, ErrorKind::StorageFull), (Step::SetLen, ErrorKind::Other)], Mode::Recovering).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_opened_again_is_tried_until_it_can() {
    check(&[(Step::Sync, ErrorKind::Other), (Step::Open, ErrorKind::PermissionDenied)], Mode::Recovering).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_synced_fails_like_a_disk() {
    check(&[(Step::SyncFolder, ErrorKind::Other), (Step::Remove, ErrorKind::Other)], Mode::Recovering).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_cannot_be_removed_is_removed_later() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, disk) = (Arc::new(Table::default()), Disk::default());
    let collector = start_on(&disk, &settings(directory.path()), &sink).await.unwrap();
    for number in 0..10 {
        collector.submit(vec![live(number)]).await.unwrap();
    }
    let full = collector.health().log_bytes;
    disk.fail(Step::Remove, ErrorKind::Other);
    collector.flush().await.unwrap();
    assert_eq!(collector.health().mode, Mode::Normal);
    assert!(collector.health().log_bytes >= full, "nothing was removed");
    assert!(matches!(collector.forget_flushed().await, Err(Error::Forget(_))), "this is not passed over in silence");
    assert_eq!(collector.submit(vec![live(20)]).await.unwrap(), [Acknowledgement::Accepted]);
    disk.heal();
    until(&collector, |health| health.log_bytes < full / 2).await;
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_survived_although_they_were_refused_are_known() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, disk) = (Arc::new(Table::default()), Disk::default());
    let settings = Settings { log: Options::default(), ..settings(directory.path()) };
    let collector = start_on(&disk, &settings, &sink).await.unwrap();
    collector.submit(vec![live(1)]).await.unwrap();
    disk.fail(Step::Sync, ErrorKind::Other);
    disk.fail(Step::SetLen, ErrorKind::Other);
    assert!(collector.submit(vec![live(2)]).await.is_err());
    disk.heal();
    let health = until_mode(&collector, Mode::Normal).await;
    assert_eq!((health.reopened, health.recovered), (1, 1));
    assert_eq!(
        collector.submit(vec![live(2), live(3)]).await.unwrap(),
        [Acknowledgement::Duplicate, Acknowledgement::Accepted]
    );
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_loses_acknowledged_records_costs_none_that_memory_holds() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, disk) = (Arc::new(Table::default()), Disk::default());
    let settings = Settings { log: Options::default(), ..settings(directory.path()) };
    let collector = start_on(&disk, &settings, &sink).await.unwrap();
    collector.submit(vec![live(1), live(2)]).await.unwrap();
    disk.fail(Step::Sync, ErrorKind::Other);
    disk.fail(Step::Open, ErrorKind::Other);
    sink.set(Trouble::Fails);
    assert!(collector.submit(vec![live(3)]).await.is_err());
    remove_segments(directory.path());
    disk.heal();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let health = collector.health();
    assert_eq!(health.mode, Mode::Recovering, "the table must take them first");
    assert!(health.mode_reason.contains("acknowledged"), "{}", health.mode_reason);
    sink.set(Trouble::None);
    until_mode(&collector, Mode::Normal).await;
    assert_eq!(
        collector.submit(vec![live(3), live(1)]).await.unwrap(),
        [Acknowledgement::Accepted, Acknowledgement::Duplicate]
    );
    collector.crash().await;
    let collector = start_on(&disk, &settings, &sink).await.unwrap();
    assert_eq!(collector.health().recovered, 1, "its number was not one that the table knew");
    collector.shutdown().await.unwrap();
    assert_eq!(sink.ids().len(), 3);
}

fn remove_segments(directory: &std::path::Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wal") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// A collector whose disk has as much room as the returned number says.
async fn on_small_disk(directory: &std::path::Path, sink: &Arc<Table>) -> (Collector, Arc<AtomicU64>) {
    let free = Arc::new(AtomicU64::new(1_000));
    let asked = free.clone();
    let settings = Settings {
        disk_reserve_bytes: 1_000,
        free_bytes: FreeBytes::new(move || Some(asked.load(Ordering::SeqCst))),
        ..settings(directory)
    };
    (start(&settings, sink).await, free)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_with_less_than_its_reserve_is_left_to_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(Table::default());
    let (collector, free) = on_small_disk(directory.path(), &sink).await;
    collector.submit(vec![live(1)]).await.unwrap();
    free.store(999, Ordering::SeqCst);
    let health = until_mode(&collector, Mode::ReadOnly).await;
    assert_eq!(health.mode_reason, "the disk of the log has 999 bytes free, and 1000 are needed");
    let refused = collector.submit(vec![live(2)]).await.unwrap_err();
    assert!(matches!(refused, Error::Refused { refusal: Refusal::ReadOnly, retry_after_s: 10, .. }), "{refused:?}");
    assert_eq!(collector.health().refused[&Refusal::ReadOnly], 1);
    collector.flush().await.unwrap();
    assert_eq!(sink.ids().len(), 1);

    free.store(1_249, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    assert_eq!(collector.health().mode, Mode::ReadOnly, "a margin is needed");
    free.store(1_250, Ordering::SeqCst);
    until_mode(&collector, Mode::Normal).await;
    collector.submit(vec![live(2)]).await.unwrap();
    collector.shutdown().await.unwrap();
}
