//! Many events at once.

use super::*;
use crate::load::Held;

const ROOMY: Held = Held { bytes: 1 << 20, spilled: 1 << 20, ids: 1_000 };
/// Every chunk is put aside, and every query is a range of its own.
const TIGHT: Held = Held { bytes: 1, ..ROOMY };
/// The table is asked for what came before.
const FORGETFUL: Held = Held { ids: 3, ..ROOMY };

fn days(numbers: impl IntoIterator<Item = u8>) -> Vec<Stored<RetrievalEvent>> {
    let day = |number: u8| if number.is_multiple_of(2) { "2024-05-01" } else { "2024-05-02" };
    numbers.into_iter().map(|number| retrieval(number, "c", day(number), Ingest::Imported)).collect()
}

/// Loads chunks, and gives what became of each, and the rows of each file.
async fn loaded(lake: &Lake, held: Held, chunks: &[&[u8]]) -> (Vec<(usize, usize)>, Vec<u64>) {
    let mut load = lake.bulk_load_within(held).await.unwrap();
    let mut appended = Vec::new();
    for chunk in chunks {
        let Appended { rows, duplicates } = load.push_retrievals(days(chunk.iter().copied())).await.unwrap();
        appended.push((rows, duplicates));
    }
    load.finish().await.unwrap();
    let files = lake.files(Table::Retrievals).await.unwrap();
    (appended, files.iter().map(|file| file.rows).collect())
}

#[track_caller]
fn check_order(rows: &[Stored<RetrievalEvent>]) {
    let day = rows.chunk_by(|a, b| a.event.occurred_at.days() == b.event.occurred_at.days());
    for rows in day {
        assert!(rows.is_sorted_by_key(|row| (row.event.query.fingerprint.clone(), row.event.event_id)));
    }
}

#[tokio::test]
async fn chunks_of_one_load_are_one_sorted_file_of_each_partition_however_little_memory_there_is() {
    for held in [ROOMY, TIGHT, FORGETFUL] {
        let directory = tempfile::tempdir().unwrap();
        let lake = lake(directory.path()).await;
        let (appended, mut files) = loaded(&lake, held, &[&[1, 2, 3], &[3, 4, 5, 6], &[7, 1, 8]]).await;
        files.sort_unstable();
        assert_eq!(appended, [(3, 0), (3, 1), (2, 1)], "{held:?}");
        assert_eq!(files.iter().sum::<u64>(), 8);
        if held.ids > 3 {
            assert_eq!(files, [4, 4], "{held:?}");
            check_order(&read(&lake, Vec::new(), None).await);
        }
    }
}

#[tokio::test]
async fn what_is_stored_already_is_left_out_and_its_partition_alone_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    loaded(&lake, ROOMY, &[&[2, 4]]).await;
    let (appended, _) = loaded(&lake, ROOMY, &[&[1, 2, 3, 4, 6]]).await;
    assert_eq!(appended, [(3, 2)]);
    assert_eq!(read(&lake, Vec::new(), None).await.len(), 5);
    let (again, files) = loaded(&lake, ROOMY, &[&[1, 2, 3, 4, 6]]).await;
    assert_eq!((again, files.iter().sum::<u64>()), (vec![(0, 5)], 5));
}

#[tokio::test]
async fn what_was_not_finished_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    let mut load = lake.bulk_load_within(ROOMY).await.unwrap();
    load.push_retrievals(days([1, 2])).await.unwrap();
    load.push_outputs(vec![output(1)]).await.unwrap();
    drop(load);
    assert_eq!(read(&lake, Vec::new(), None).await.len(), 0);
}
