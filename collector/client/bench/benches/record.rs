//! `Recorder::record` with no server, with one that answers late, and with one that answers at once.
//!
//! ```text
//! cargo build --release --bin tidemark
//! TIDEMARK_BIN=target/release/tidemark cargo bench --manifest-path collector/client/bench/Cargo.toml
//! ```
//!
//! Criterion measures the calls one after the other, as fast as they come; then most find the queue full. What a service
//! sees is measured besides, call by call: 2,000 calls a second for five seconds, their median, 99th percentile and
//! longest. A call that takes longer than its limit ends the benchmark with an error, and so does memory that grows beyond
//! its limit, or a counter that does not add up.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use tidemark_client::{Recorder, Settings};
use tidemark_client_bench::retrieval;

const MEDIAN: Duration = Duration::from_micros(2);
const P99: Duration = Duration::from_micros(20);
/// Of the whole process; the queue takes 16 MiB of it.
const MEMORY_MB: u64 = 64;
const CALLS: u64 = 10_000;
const PAUSE: Duration = Duration::from_micros(500);
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

fn memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or_default() / 1024
}

fn call_by_call(name: &str, url: &str) {
    let recorder = Recorder::start(Settings::new(url)).expect("a recorder");
    let mut took = Vec::with_capacity(usize::try_from(CALLS).unwrap_or_default());
    for number in 0..CALLS {
        let event = retrieval(number);
        let begun = Instant::now();
        recorder.record(black_box(event));
        took.push(begun.elapsed());
        std::thread::sleep(PAUSE);
    }
    // And far more than can be sent.
    (0..200_000).for_each(|number| recorder.record(retrieval(number)));
    let memory = memory_mb();
    took.sort();
    let at = |share: usize| took[(took.len() * share).div_ceil(100).max(1) - 1];
    let counters = recorder.counters();
    println!(
        "{name}: call by call median {:?}, p99 {:?}, longest {:?}; {memory} MiB resident; {} recorded, {} dropped, {} acknowledged",
        at(50),
        at(99),
        at(100),
        counters.recorded,
        counters.dropped(),
        counters.acknowledged
    );
    assert!(at(50) <= MEDIAN && at(99) <= P99, "{name}: too slow");
    assert!(memory <= MEMORY_MB, "{name}: {memory} MiB");
    let end = recorder.close();
    assert_eq!(end.recorded, end.acknowledged + end.rejected + end.dropped() + end.waiting, "{end:?}");
}

fn main() {
    let server = Server::start();
    let down = "http://127.0.0.1:9".to_owned();
    let slow = format!("http://{}", late(server.address.clone()));
    let up = format!("http://{}", server.address);
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
        drop(recorder);
        call_by_call(name, url);
    }
    criterion.final_summary();
}
