//! How the collector works, and what it asks of its surroundings.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemark_wal::Options;

use crate::backoff::Backoff;
use crate::mode::Transition;

const MIB: u64 = 1024 * 1024;

/// How the collector works. All limits are hard.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the write-ahead log lies; a local directory of this process alone.
    pub directory: PathBuf,
    /// The limits of the log.
    pub log: Options,
    /// A flush is due when this many events wait, and stores no more than that in one commit …
    pub flush_events: usize,
    /// … and the same in bytes, in the log and in memory besides; one larger event is stored alone …
    pub flush_bytes: u64,
    /// … or this much time has passed.
    pub flush_interval: Duration,
    /// How many events may wait for the table; beyond it submissions are refused.
    pub pending_events: usize,
    /// How many bytes of events may wait for the table, in the log and in memory besides.
    pub pending_bytes: u64,
    /// How many submissions may queue before the log.
    pub queue: usize,
    /// How many bytes of submissions may queue before the log; one larger submission has the queue to itself.
    pub queue_bytes: u32,
    /// How many ids the window of recent events holds.
    pub recent_ids: usize,
    /// How far back the window of recent events reaches, in seconds.
    pub recent_s: i64,
    /// Seconds that an event may lie in the future of our clock.
    pub ahead_s: i64,
    /// Events are taken only while this much is free on the disk of the log. The table often lies on the same disk, and
    /// needs room to take what waits: a flush that cannot be written could never shorten the log.
    pub disk_reserve_bytes: u64,
    /// How a failed flush, and a failed recovery, is tried again.
    pub flush_backoff: Backoff,
    /// How a log that failed is opened again, and a full disk tried.
    pub log_backoff: Backoff,
    /// After this much time a call of the sink counts as failed.
    pub flush_timeout: Duration,
    /// How long [`crate::Collector::start`] waits for the log to be read back; longer ones go on by themselves.
    pub start_wait: Duration,
    /// How long [`crate::Collector::shutdown`] waits for the last flush.
    pub stop_timeout: Duration,
    /// Records that are in the table leave the disk at most this long after the next flush.
    pub release_after: Duration,
    /// What is free on the disk of the log.
    pub free_bytes: FreeBytes,
    /// Who is told of changes of mode, besides the log of the process.
    pub on_transition: Option<Observer>,
}

impl Settings {
    /// The defaults, with the log in `directory`.
    pub fn in_directory(directory: PathBuf) -> Self {
        Self {
            log: Options::default(),
            flush_events: 10_000,
            flush_bytes: 8 * MIB,
            flush_interval: Duration::from_secs(2),
            pending_events: 40_000,
            pending_bytes: 24 * MIB,
            queue: 256,
            queue_bytes: 16 * 1024 * 1024,
            recent_ids: 1_000_000,
            recent_s: 24 * 3_600,
            ahead_s: 3_600,
            disk_reserve_bytes: 64 * MIB,
            flush_backoff: Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(30) },
            log_backoff: Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(5) },
            flush_timeout: Duration::from_mins(5),
            start_wait: Duration::from_secs(2),
            stop_timeout: Duration::from_secs(15),
            release_after: Duration::from_secs(30),
            free_bytes: FreeBytes::of_directory(directory.clone()),
            on_transition: None,
            directory,
        }
    }
}

/// Tells how many bytes this process may still write to the disk of the log; `None` if it cannot be told.
#[derive(Clone)]
pub struct FreeBytes(Arc<dyn Fn() -> Option<u64> + Send + Sync>);

impl FreeBytes {
    /// Whatever `ask` says; it is asked a few times per second.
    pub fn new(ask: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// What the file system of a directory says. Unknown where the system is not Unix.
    pub fn of_directory(directory: PathBuf) -> Self {
        Self::new(move || free_bytes_of(&directory))
    }

    /// How many bytes are free now.
    pub fn ask(&self) -> Option<u64> {
        (self.0)()
    }
}

#[cfg(unix)]
fn free_bytes_of(directory: &std::path::Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes_of(_: &std::path::Path) -> Option<u64> {
    None
}

/// The reserve of a disk: what was asked for, or a twentieth of a disk for which that is too much.
pub fn disk_reserve(directory: &std::path::Path, wanted: u64) -> u64 {
    #[cfg(unix)]
    if let Ok(disk) = rustix::fs::statvfs(directory) {
        return wanted.min(disk.f_blocks.saturating_mul(disk.f_frsize) / 20);
    }
    wanted
}

impl fmt::Debug for FreeBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FreeBytes")
    }
}

/// Is told of changes of mode, on the thread of the log: it must return at once.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&Transition) + Send + Sync>);

impl Observer {
    /// Calls `tell` with each change.
    pub fn new(tell: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn tell(&self, transition: &Transition) {
        (self.0)(transition);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_there_has_a_disk_and_one_that_is_not_has_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(FreeBytes::of_directory(directory.path().to_owned()).ask().is_some(), cfg!(unix));
        assert_eq!(FreeBytes::of_directory(directory.path().join("none")).ask(), None);
    }
}
