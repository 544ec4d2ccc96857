//! `Recorder::record` with no server, with one that answers late, and with one that answers at once.
//!
//! ```text
//! cargo build --release --bin tidemark
//! TIDEMARK_BIN=target/release/tidemark cargo bench --manifest-path collector/client/bench/Cargo.toml
//! ```
//!
//! What a service sees is measured call by call: 2,000 calls a second for five seconds, at instants that are fixed
//! beforehand, so that a call that takes long makes those after it late and is not hidden by their waiting for it; their
//! median, 99th percentile and longest. Then 200,000 calls as fast as they come, of which nearly all find the queue full,
//! are timed the same way. At last Criterion measures the calls one after the other. A call that takes longer than its
//! limit ends the benchmark with an error, and so does memory that ever grew beyond its limit, a counter that does not add
//! up, or a server that is there and acknowledged nothing.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use tidemark_client::{Counters, Recorder, Settings};
use tidemark_client_bench::retrieval;

const MEDIAN: Duration = Duration::from_micros(2);
const P99: Duration = Duration::from_micros(20);
/// Of the whole process; the queue takes 16 MiB of it.
const MEMORY_MB: u64 = 64;
const CALLS: u64 = 10_000;
/// From the beginning of a call to that of the next.
const EVERY: Duration = Duration::from_micros(500);
/// Far more than can be sent.
const FLOOD: u64 = 200_000;
/// How late the late server answers.
const LATE: Duration = Duration::from_secs(2);

struct Server {
    child: Child,
    address: String,
    directory: std::path::PathBuf,
}

impl Server {
    fn start() -> Self {
        let binary = std::env::var("TIDEMARK_BIN").expect("TIDEMARK_BIN names the tidemark binary");
        let directory = std::env::temp_dir().join(format!("tidemark-bench-{}", std::process::id()));
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output is read"))
            .read_line(&mut line)
            .expect("it says where it listens");
        let address =
            line.split_whitespace().find_map(|word| word.strip_prefix("http://")).expect("an address").to_owned();
        Self { child, address, directory }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        let removed = std::fs::remove_dir_all(&self.directory);
        if ended.is_err() || removed.is_err() {
            eprintln!("{} is left behind", self.directory.display());
        }
    }
}

/// Hands every connection on to the server, and its answers back late.
fn late(to: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&to).expect("the server is there");
            let (mut from_client, mut to_server) =
                (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
            let (mut from_server, mut to_client) = (server, client);
            std::thread::spawn(move || {
                let mut part = [0; 65_536];
                while let Ok(count @ 1..) = from_server.read(&mut part) {
                    std::thread::sleep(LATE);
                    if to_client.write_all(&part[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// The most that this process ever had resident.
fn memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status is read");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has VmHWM");
    peak.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("VmHWM is in kB") / 1024
}

/// What the calls took, in ascending order.
struct Took(Vec<Duration>);

impl Took {
    fn of(mut calls: Vec<Duration>) -> Self {
        calls.sort();
        Self(calls)
    }

    /// What this share of them, in percent, did not exceed.
    fn at(&self, share: usize) -> Duration {
        self.0[(self.0.len() * share).div_ceil(100).max(1) - 1]
    }

    fn check(&self, name: &str) {
        let (median, p99, longest) = (self.at(50), self.at(99), self.at(100));
        println!("{name}: median {median:?}, p99 {p99:?}, longest {longest:?}");
        assert!(median <= MEDIAN && p99 <= P99, "{name}: too slow");
    }
}

/// Calls at fixed instants. Each is timed from the instant at which it was to begin or, if the one before it had ended by
/// then, from the one at which it began: a thread that wakes late is not the recorder's doing.
fn on_schedule(recorder: &Recorder) -> Took {
    let begun = Instant::now();
    let mut free = begun;
    let call = |number: u64| {
        let planned = begun + EVERY * u32::try_from(number).expect("a few thousand calls");
        let event = retrieval(number);
        let late = free > planned;
        std::thread::sleep(planned.saturating_duration_since(Instant::now()));
        let from = if late { planned } else { Instant::now() };
        recorder.record(black_box(event));
        free = Instant::now();
        free - from
    };
    Took::of((0..CALLS).map(call).collect())
}

fn flood(recorder: &Recorder) -> Took {
    let call = |number| {
        let event = retrieval(number);
        let begun = Instant::now();
        recorder.record(black_box(event));
        begun.elapsed()
    };
    Took::of((0..FLOOD).map(call).collect())
}

fn call_by_call(name: &str, url: &str, is_there: bool) {
    let recorder = Recorder::start(Settings::new(url)).expect("a recorder");
    let calm = on_schedule(&recorder);
    let flooded = flood(&recorder);
    let memory = memory_mb();
    let end = recorder.close();
    println!("{name}: {memory} MiB resident at most; {end:?}");
    calm.check(&format!("{name}, call by call"));
    flooded.check(&format!("{name}, queue full"));
    assert!(memory <= MEMORY_MB, "{name}: {memory} MiB");
    assert_eq!(end.acknowledged > 0, is_there, "{name}: {end:?}");
    let Counters { recorded, acknowledged, rejected, spilled, .. } = end;
    // At the end nothing waits: what is neither acknowledged nor rejected was dropped, and counted.
    assert_eq!(recorded, acknowledged + rejected + spilled + end.dropped(), "{name}: {end:?}");
    assert_eq!((recorded, rejected, end.waiting), (CALLS + FLOOD, 0, 0), "{name}: {end:?}");
}

fn main() {
    let server = Server::start();
    let down = "http://127.0.0.1:9".to_owned();
    let slow = format!("http://{}", late(server.address.clone()));
    let up = format!("http://{}", server.address);
    // Before Criterion, which holds many events itself: the peak of memory is that of the recorder.
    for (name, url, is_there) in [("down", &down, false), ("slow", &slow, true), ("up", &up, true)] {
        call_by_call(name, url, is_there);
    }
    let mut criterion = Criterion::default().configure_from_args();
    for (name, url) in [("down", &down), ("slow", &slow), ("up", &up)] {
        let recorder = Recorder::start(Settings { shutdown: Duration::from_millis(10), ..Settings::new(url) })
            .expect("a recorder");
        let mut number = 0;
        criterion.bench_function(&format!("record/{name}"), |bencher| {
            let event = || {
                number += 1;
                retrieval(number)
            };
            bencher.iter_batched(event, |event| recorder.record(event), BatchSize::SmallInput);
        });
    }
    criterion.final_summary();
}
