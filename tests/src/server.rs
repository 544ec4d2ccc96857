use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::binary::binary;

/// A running `tidemark serve`, a process of its own on a port of its own. It is killed when it is dropped.
pub struct Server {
    child: Child,
    address: String,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: String,
    /// Its header `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Answer {
    /// The body as JSON, null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Server {
    /// Starts a server on a store and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[], Path::new("/dev/null"))
    }

    /// The same on a port that was used before, as a server that restarts has it.
    ///
    /// # Panics
    ///
    /// If it does not listen.
    pub fn start_at(data: &Path, address: &str) -> Self {
        Self::start_with(data, &["--listen", address], Path::new("/dev/null"))
    }

    /// Its address and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same with more arguments, and with its log in a file.
    ///
    /// # Panics
    ///
    /// If it does not listen.
    pub fn start_with(data: &Path, arguments: &[&str], log: &Path) -> Self {
        let log_file = File::options().create(true).append(true).open(log);
        let log_file = log_file.unwrap_or_else(|error| panic!("{} cannot be written: {error}", log.display()));
        let child = Command::new(binary())
            .args(["serve", "--flush-seconds", "1"])
            .args(if arguments.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] })
            .args(arguments)
            .arg("--data")
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("the server could not be started: {error}"));
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).unwrap_or_default();
        }
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        let Some(address) = address.map(str::to_owned) else {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            panic!("the server does not listen: {line:?} {said}");
        };
        Self { child, address }
    }

    /// Which process it is.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it ever had, in bytes, as Linux counts it.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    /// Where it listens.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a body; `None` if the connection broke, as it does when the server is killed.
    pub fn post(&self, path: &str, body: &[u8]) -> Option<Answer> {
        post(&self.url(path), body)
    }

    /// Asks for something.
    pub fn get(&self, path: &str) -> Option<Answer> {
        answer(agent().get(self.url(path)).call())
    }

    /// The end that `kill -9` brings: no warning, no flush.
    ///
    /// # Panics
    ///
    /// If there is no process to kill.
    pub fn kill(&mut self) {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        assert!(killed.is_ok(), "{killed:?}");
    }

    /// Waits until everything that was acknowledged is in the tables, as long as something still gets there.
    ///
    /// # Panics
    ///
    /// If it is not in ten minutes.
    pub fn drain(&self) {
        for _ in 0..6_000 {
            let metrics = self.get("/metrics").map(|answer| answer.body).unwrap_or_default();
            if metrics.lines().any(|line| line == "tidemark_pending_events 0") {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the tables do not take what is in the log");
    }

    /// The end that is asked for: what was acknowledged is in the table afterwards.
    ///
    /// # Panics
    ///
    /// If it does not end well.
    #[track_caller]
    pub fn stop(mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()));
        let ended = self.child.wait();
        assert!(ended.as_ref().is_ok_and(std::process::ExitStatus::success), "{ended:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to kill.
        if self.child.kill().is_ok() {
            self.child.wait().map(|_| ()).unwrap_or_default();
        }
    }
}

/// Sends a body to a URL; `None` if the connection broke.
pub fn post(url: &str, body: &[u8]) -> Option<Answer> {
    post_over(&agent(), url, body)
}

/// The same over connections that are kept.
pub fn post_over(agent: &ureq::Agent, url: &str, body: &[u8]) -> Option<Answer> {
    answer(agent.post(url).header("content-type", "application/json").send(body))
}

/// Connections of one's own.
pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder();
    config.http_status_as_error(false).timeout_global(Some(Duration::from_secs(30))).build().into()
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Option<Answer> {
    let mut response = response.ok()?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after_s = retry_after.and_then(|seconds| seconds.parse().ok());
    let body = response.body_mut().read_to_string().ok()?;
    Some(Answer { status, body, retry_after_s })
}
