//! The Rust client against a real server: nothing acknowledged is lost, nothing is doubled, and the client's own counters
//! agree with the table.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidemark_client::{Counters, Document, Output, Query, Recorder, Retrieval, Settings, Spill};
use tidemark_tests::{Server, TemporaryStore, is_long, run};

fn quick(url: String) -> Settings {
    Settings {
        linger: Duration::from_millis(20),
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(200),
        retries: 1_000,
        shutdown: Duration::from_mins(1),
        ..Settings::new(url)
    }
}

fn retrieval(number: u64) -> Retrieval {
    Retrieval {
        corpus: "handbook".to_owned(),
        query: Query { fingerprint: Some(format!("q{number}")), ..Query::default() },
        results: vec![Document::scored("a", 0.5), Document { doc_id: "b".to_owned(), ..Document::default() }],
        attributes: BTreeMap::from([("number".to_owned(), number.into())]),
        ..Retrieval::default()
    }
}

/// The numbers of what is stored, each as often as it is there.
fn stored(store: &TemporaryStore) -> Vec<u64> {
    let exported = run(&["--data", &store.data(), "export"], b"");
    let number = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["attributes"]["number"].as_u64();
    let mut numbers: Vec<u64> = exported.stdout.lines().map(|line| number(line).unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// INV-01, as a client sees it.
#[test]
fn a_server_that_is_killed_under_a_client_loses_and_doubles_nothing() {
    let kills = if is_long() { 30 } else { 3 };
    let store = TemporaryStore::new();
    let mut server = Server::start(store.path());
    let address = server.address().to_owned();
    let recorder = Recorder::start(quick(format!("http://{address}"))).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                recorder.record(retrieval(number));
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        for _ in 0..kills {
            std::thread::sleep(Duration::from_secs(1));
            server.kill();
            std::thread::sleep(Duration::from_millis(300));
            server = Server::start_at(store.path(), &address);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(recorder.flush(Duration::from_mins(1)), "{:?}", recorder.counters());
    let counters = recorder.close();
    server.stop();
    eprintln!("{kills} kills under a client: {counters:?}");
    assert!(counters.retries > 0);
    let Counters { recorded, acknowledged, acknowledged_again, retries, .. } = counters;
    assert_eq!(counters, Counters { recorded, acknowledged, acknowledged_again, retries, ..Counters::default() });
    assert_eq!(acknowledged, recorded);
    assert_eq!(stored(&store), (0..recorded).collect::<Vec<_>>());
}

#[test]
fn what_a_client_cannot_send_waits_on_disk_for_a_later_one() {
    let store = TemporaryStore::new();
    let server = Server::start(store.path());
    let address = server.address().to_owned();
    server.stop();
    let spill = Spill { directory: store.beside("spill"), bytes: 1024 * 1024 };
    let settings = Settings { spill: Some(spill.clone()), ..quick(format!("http://{address}")) };
    let first = Recorder::start(settings.clone()).unwrap();
    (0..700).for_each(|number| first.record(retrieval(number)));
    assert!(first.flush(Duration::from_secs(30)));
    let counters = first.close();
    assert_eq!((counters.recorded, counters.spilled, counters.dropped()), (700, 700, 0));

    let server = Server::start_at(store.path(), &address);
    let second = Recorder::start(settings).unwrap();
    let begun = Instant::now();
    while second.counters().spilled > 0 && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(second.close().acknowledged, 700);
    server.stop();
    assert_eq!(stored(&store), (0..700).collect::<Vec<_>>());
}

#[test]
fn without_a_server_memory_is_bounded_and_what_is_dropped_is_counted() {
    let settings = Settings {
        queue_events: 1_000,
        shutdown: Duration::from_millis(100),
        ..quick("http://127.0.0.1:9".to_owned())
    };
    let recorder = Recorder::start(settings).unwrap();
    (0..5_000).for_each(|number| recorder.record(retrieval(number)));
    let counters = recorder.counters();
    assert!(counters.dropped_queue_full >= 3_000, "{counters:?}");
    assert!(counters.waiting <= 1_500, "{counters:?}");
    let end = recorder.close();
    assert_eq!(end.recorded, end.dropped(), "{end:?}");
}

#[test]
fn outputs_are_sent_too_and_what_is_no_number_is_left_out_and_counted() {
    let store = TemporaryStore::new();
    let server = Server::start(store.path());
    let recorder = Recorder::start(quick(server.url(""))).unwrap();
    recorder.record_output(Output { operation_id: Some("op".to_owned()), ..Output::default() });
    recorder.record_output(Output::default());
    recorder.record(Retrieval { results: vec![Document::scored("a", f64::NAN)], ..retrieval(1) });
    assert!(recorder.flush(Duration::from_secs(10)));
    let counters = recorder.close();
    server.stop();
    assert_eq!((counters.acknowledged, counters.rejected, counters.not_finite), (2, 1, 1));
    let exported = run(&["--data", &store.data(), "export", "--kind", "outputs"], b"");
    assert_eq!(exported.stdout.lines().count(), 1);
    assert_eq!(stored(&store), [1_u64], "without its score");
}
