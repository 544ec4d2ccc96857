//! What the client does when the server refuses, hangs or is away: nothing is lost that it did not count.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tidemark_client::{Counters, Query, Recorder, Retrieval, Settings, Spill};

use stub::{Answer, Stub, accept, refuse};

mod stub;

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";
const LONG: Duration = Duration::from_secs(30);

fn quick(url: &str) -> Settings {
    Settings {
        linger: Duration::from_millis(20),
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(200),
        ..Settings::new(url)
    }
}

fn spilling(url: &str, directory: &Path) -> Settings {
    let spill = Spill { directory: directory.to_owned(), bytes: 1024 * 1024 };
    Settings { spill: Some(spill), ..quick(url) }
}

fn record(recorder: &Recorder, numbers: std::ops::Range<u64>) {
    for number in numbers {
        recorder.record(Retrieval {
            corpus: "handbook".to_owned(),
            query: Query { text: Some(format!("q{number}")), ..Query::default() },
            attributes: BTreeMap::from([("number".to_owned(), number.into())]),
            ..Retrieval::default()
        });
    }
}

/// Everything is accounted for, and nothing waits any more.
fn adds_up(counters: &Counters) -> bool {
    let known = counters.acknowledged + counters.rejected + counters.dropped() + counters.spilled;
    counters.recorded == known && counters.waiting == 0
}

fn eventually(holds: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !holds() && begun.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(10));
    }
    holds()
}

#[test]
fn recorders_that_share_a_spill_directory_neither_overwrite_nor_send_each_others_events() {
    let directory = tempfile::tempdir().unwrap();
    let stub = Stub::start(|_, lines| accept(lines));
    let away = spilling(NOWHERE, directory.path());
    let (first, second) = (Recorder::start(away.clone()).unwrap(), Recorder::start(away).unwrap());
    record(&first, 0..40);
    record(&second, 40..80);
    assert!(first.flush(LONG) && second.flush(LONG));
    assert_eq!((first.counters().spilled, second.counters().spilled), (40, 40));
    let there = spilling(&stub.url, directory.path());
    let meanwhile = Recorder::start(there.clone()).unwrap().close();
    assert_eq!(meanwhile, Counters::default(), "both are still there");
    assert!(adds_up(&first.close()) && adds_up(&second.close()));
    let third = Recorder::start(there).unwrap();
    assert!(eventually(|| third.counters().spilled == 0));
    assert_eq!(third.close().acknowledged, 80);
    assert_eq!(stub.numbers(), (0..80).collect::<Vec<_>>());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_server_that_never_answers_delays_the_end_by_no_more_than_it_may_take() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let check = |settings: Settings| {
        let recorder = Recorder::start(Settings { shutdown: Duration::from_millis(500), ..settings }).unwrap();
        record(&recorder, 0..700);
        assert!(!recorder.flush(Duration::from_millis(300)), "{:?}", recorder.counters());
        let begun = Instant::now();
        let counters = recorder.close();
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert!(adds_up(&counters), "{counters:?}");
        (counters.spilled, counters.dropped_at_end)
    };
    assert_eq!(check(quick(&url)), (0, 700));
    assert_eq!(check(spilling(&url, directory.path())), (700, 0));
}

#[test]
fn a_refusal_that_is_no_fault_of_the_events_is_tried_again_and_told() {
    for status in [401, 403, 404, 405, 415, 503] {
        let directory = tempfile::tempdir().unwrap();
        let stub = Stub::start(move |number, lines| if number < 4 { refuse(status) } else { accept(lines) });
        let recorder = Recorder::start(spilling(&stub.url, directory.path())).unwrap();
        record(&recorder, 0..1);
        assert!(eventually(|| recorder.counters().acknowledged == 1), "files of the spill are tried for ever");
        assert_eq!(recorder.last_error(), Some(format!("{status}: the key may not write; ask for another")));
        assert!(adds_up(&recorder.close()));

        let stub = Stub::start(move |_, _| refuse(status));
        let recorder = Recorder::start(Settings { retries: 3, ..quick(&stub.url) }).unwrap();
        record(&recorder, 0..1);
        assert!(recorder.flush(LONG));
        let Counters { dropped_gave_up, rejected, retries, .. } = recorder.close();
        assert_eq!((dropped_gave_up, rejected, retries, stub.requests().len()), (1, 0, 3, 4), "{status}");
    }
}

#[test]
fn a_batch_that_is_too_large_is_halved_and_only_an_event_that_is_too_large_is_rejected() {
    let stub = Stub::start(|_, lines| {
        if lines.iter().map(|line| line.to_string().len()).sum::<usize>() < 2_000 { accept(lines) } else { refuse(413) }
    });
    let recorder = Recorder::start(quick(&stub.url)).unwrap();
    record(&recorder, 0..50);
    recorder.record(Retrieval {
        query: Query { text: Some("q".repeat(3_000)), ..Query::default() },
        ..Retrieval::default()
    });
    assert!(recorder.flush(LONG));
    let counters = recorder.close();
    assert_eq!((counters.acknowledged, counters.rejected, counters.retries), (50, 1, 0));
    assert_eq!(stub.numbers(), (0..50).collect::<Vec<_>>());
}

#[test]
fn the_server_is_asked_again_when_it_said_and_what_was_put_aside_needs_no_new_event() {
    let directory = tempfile::tempdir().unwrap();
    let stub = Stub::start(|number, lines| match number {
        0 => Answer { retry_after: Some(1), ..refuse(503) },
        _ => accept(lines),
    });
    let recorder = Recorder::start(spilling(&stub.url, directory.path())).unwrap();
    record(&recorder, 0..1);
    assert!(recorder.flush(Duration::from_millis(900)), "with a place on disk nobody waits in memory");
    assert_eq!(recorder.counters().spilled, 1);
    record(&recorder, 1..2);
    assert!(eventually(|| recorder.counters().acknowledged == 2));
    let requests = stub.requests();
    assert!(requests[1].1 - requests[0].1 >= Duration::from_secs(1), "the pause is one for all batches");
}

#[test]
fn of_a_file_that_was_taken_in_part_only_the_rest_is_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let away = Recorder::start(spilling(NOWHERE, directory.path())).unwrap();
    record(&away, 0..10);
    assert!(away.flush(LONG));
    assert_eq!(away.close().spilled, 10);
    // Each time one event is taken, so each time is progress: no number of tries ends it.
    let stub = Stub::start(|_, lines| {
        let mut answer = accept(lines);
        for place in 1..lines.len() {
            answer.body["events"][place] = json!({ "status": "rejected", "retry_after_s": 0 });
        }
        answer.status = if lines.len() > 1 { 429 } else { 202 };
        answer
    });
    let there = Settings { retries: 0, ..spilling(&stub.url, directory.path()) };
    let recorder = Recorder::start(there).unwrap();
    assert!(eventually(|| recorder.counters().acknowledged == 10));
    assert!(adds_up(&recorder.close()));
    assert_eq!(stub.requests().iter().map(|(lines, _)| *lines).collect::<Vec<_>>(), [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
}

#[test]
fn new_events_do_not_wait_for_all_that_was_put_aside() {
    let directory = tempfile::tempdir().unwrap();
    let away = Recorder::start(Settings { batch_events: 1, ..spilling(NOWHERE, directory.path()) }).unwrap();
    record(&away, 0..50);
    assert!(away.flush(LONG));
    assert_eq!(away.close().spilled, 50);
    let stub = Stub::start(|_, lines| {
        std::thread::sleep(Duration::from_millis(50));
        accept(lines)
    });
    let recorder = Recorder::start(spilling(&stub.url, directory.path())).unwrap();
    record(&recorder, 50..51);
    assert!(recorder.flush(LONG));
    assert!(recorder.counters().spilled > 25, "{:?}", recorder.counters());
    assert!(eventually(|| recorder.counters().acknowledged == 51));
}

#[test]
fn a_request_has_a_size_that_is_taken_whatever_the_settings_say() {
    let stub = Stub::start(|_, lines| accept(lines));
    let large = Settings { batch_events: 100_000, queue_events: 20_000, ..quick(&stub.url) };
    let recorder = Recorder::start(large).unwrap();
    record(&recorder, 0..12_000);
    assert!(recorder.flush(LONG));
    assert!(stub.requests().iter().all(|(events, _)| *events <= 5_000));
    let before = stub.requests().len();
    for _ in 0..10 {
        let text = Some("q".repeat(1024 * 1024));
        recorder.record(Retrieval { query: Query { text, ..Query::default() }, ..Retrieval::default() });
    }
    assert!(recorder.flush(LONG));
    assert!(stub.requests()[before..].iter().all(|(events, _)| *events <= 3), "no body exceeds 4 MiB");
    assert_eq!(recorder.close().acknowledged, 12_010);
}
