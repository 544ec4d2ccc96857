use std::path::PathBuf;
use std::time::Duration;

/// How a [`crate::Recorder`] works. All limits are hard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the server listens, such as `http://127.0.0.1:7700`.
    pub url: String,
    /// Events in memory at most, with those that are being sent. Beyond it new ones are dropped.
    pub queue_events: usize,
    /// Bytes that they take at most: each text is counted, the rest estimated. One request of 4 MiB comes on top.
    pub queue_bytes: usize,
    /// Events that are sent at a time; 5,000 at most.
    pub batch_events: usize,
    /// How long an event waits for others before it is sent.
    pub linger: Duration,
    /// How long one request may take.
    pub timeout: Duration,
    /// How often a batch is tried again before it is given up. With a spill it is put aside sooner, and tried for ever.
    pub retries: u32,
    /// The first pause between two tries. Each is twice as long as the one before, and a random part of it is left out, so
    /// that many clients do not come back at the same time.
    pub first_pause: Duration,
    /// The longest pause. What the server asks for with `Retry-After` comes on top, up to ten minutes.
    pub longest_pause: Duration,
    /// Where events go that cannot be sent now; without it they are dropped.
    pub spill: Option<Spill>,
    /// How long the end may take, when what is left is sent.
    pub shutdown: Duration,
}

/// A directory for events that cannot be sent now. They are sent when the server answers again, also by a later process.
/// Several recorders may share it, also those of other processes: each has a folder of its own in it, and one that starts
/// takes over the folders of those that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spill {
    /// Which directory; on a local disk, because the locks of others may not hold.
    pub directory: PathBuf,
    /// Bytes that the folder of this recorder and those that it took over may take at most. Beyond it events are dropped.
    pub bytes: u64,
}

impl Settings {
    /// The defaults for a server: 10,000 events and 16 MiB in memory, batches of 500 or what came in 100 ms, no spill.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            queue_events: 10_000,
            queue_bytes: 16 * 1024 * 1024,
            batch_events: 500,
            linger: Duration::from_millis(100),
            timeout: Duration::from_secs(10),
            retries: 20,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
            spill: None,
            shutdown: Duration::from_secs(5),
        }
    }
}
