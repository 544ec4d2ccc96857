//! A real disk of a few megabytes fills up under the server, at every stage, and gets room again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tidemark_tests::{Answer, Server, TemporaryStore, run};

/// A file system of its own in memory, which is gone at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this user may not mount; then the faults of the collector's and the lake's own tests have to do.
    fn mount(at: PathBuf, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(Self(at))
    }

    /// Fills it until this many kilobytes are left.
    fn fill(&self, left_kilobytes: u64) {
        let ballast = self.0.join("ballast");
        let block = vec![0_u8; 4096];
        let mut file = std::fs::File::options().create(true).append(true).open(&ballast).unwrap();
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(left_kilobytes * 1024)).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} is still mounted", self.0.display());
    }
}

fn event(number: u32) -> String {
    format!(
        r#"{{"event_id":"e{number}","occurred_at":"2024-11-18T09:30:00Z","trace_id":"trace-{number}","corpus":"handbook","query":{{"text":"x{number}"}},"results":[{{"doc_id":"a"}}],"attributes":{{"note":"{}"}}}}"#,
        "n".repeat(400)
    )
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn readiness(server: &Server) -> Answer {
    server.get("/readyz").unwrap()
}

/// Sends events one by one until one is refused; gives those that were taken.
fn send_until_refused(server: &Server, from: u32) -> (Vec<u32>, Answer) {
    let mut taken = Vec::new();
    for number in from..from + 20_000 {
        let answer = server.post("/v1/retrievals", event(number).as_bytes()).unwrap();
        if answer.status != 202 {
            return (taken, answer);
        }
        taken.push(number);
    }
    panic!("nothing was ever refused");
}

fn check(mut taken: Vec<u32>, server: Server, disk: &SmallDisk, from: u32) -> Vec<u32> {
    let (more, refused) = send_until_refused(&server, from);
    taken.extend(more);
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.retry_after_s.is_some_and(|seconds| seconds > 0));
    let problem = refused.json();
    assert!(!problem["hint"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty());
    until("read only", || readiness(&server).json()["state"] == "read_only");
    // Reads and health go on.
    assert_eq!(server.get("/livez").unwrap().status, 200);
    assert_eq!(server.get("/v1/traces/trace-1").unwrap().status, 200);
    disk.free();
    until("ready again", || readiness(&server).status == 200);
    let answer = server.post("/v1/retrievals", event(from + 50_000).as_bytes()).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
    taken.push(from + 50_000);
    server.stop();
    taken
}

#[test]
fn a_disk_that_fills_at_any_stage_is_told_corrupts_nothing_and_is_used_again_when_there_is_room() {
    let place = TemporaryStore::new();
    let Some(disk) = SmallDisk::mount(place.beside("disk"), 24) else {
        eprintln!("no file system can be mounted here; a full disk was tried with faults only");
        return;
    };
    let store = disk.0.join("store");
    let log = place.beside("server.log");
    let start = |reserve: &str| Server::start_with(&store, &["--reserve", reserve, "--maintain-seconds", "1"], &log);
    let mut taken = vec![1];
    let server = start("1MiB");
    assert_eq!(server.post("/v1/retrievals", event(1).as_bytes()).unwrap().status, 202);
    until("the first trace is in the table", || server.get("/v1/traces/trace-1").unwrap().status == 200);
    // The reserve is met before the disk is full …
    disk.fill(1_100);
    taken = check(taken, server, &disk, 1_000);
    // … without a reserve, the log meets the end of the disk itself …
    let server = start("1");
    disk.fill(300);
    taken = check(taken, server, &disk, 100_000);
    // … or the table does, while the log still has room …
    let server = start("1");
    disk.fill(40);
    taken = check(taken, server, &disk, 200_000);
    // … or there is no room at all when the server starts.
    disk.fill(0);
    let server = start("1");
    assert_eq!(server.get("/v1/traces/trace-1").unwrap().status, 200);
    taken = check(taken, server, &disk, 300_000);

    stored_once(&store, &taken);
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(!said.contains("a panic was caught"), "{said}");
    drop(disk);
}

fn stored_once(store: &Path, taken: &[u32]) {
    let data = store.to_string_lossy().into_owned();
    let exported = run(&["--data", &data, "export"], b"");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let mut found: Vec<String> = exported.stdout.lines().map(trace_of).collect();
    found.sort();
    let mut expected: Vec<String> = taken.iter().map(|number| format!("trace-{number}")).collect();
    expected.sort();
    let lost: Vec<_> = expected.iter().filter(|trace| found.binary_search(trace).is_err()).collect();
    assert!(
        lost.is_empty(),
        "{} of {} were lost: {:?}",
        lost.len(),
        expected.len(),
        lost.iter().take(5).collect::<Vec<_>>()
    );
    found.dedup();
    assert_eq!(exported.stdout.lines().count(), found.len(), "some events are there twice");
    assert_eq!(run(&["--data", &data, "verify"], b"").stdout.matches("altered").count(), 0);
    eprintln!("{} events taken on a disk that filled up four times, none lost, none doubled", taken.len());
}

fn trace_of(line: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    event["trace_id"].as_str().unwrap().to_owned()
}
