use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidemark_schema::{Clock, SystemClock};

use crate::backoff::Backoff;
use crate::counters::{Counters, Counting, add, subtract};
use crate::event::{Event, Output, Retrieval};
use crate::queue::{Queue, Waiting};
use crate::sender::{REQUEST_EVENTS, Sender, run_id};
use crate::settings::Settings;
use crate::spill::Spilled;
use crate::transport::Transport;

/// Records what a service retrieves. Cheap to share behind an [`Arc`]; recording neither blocks nor fails.
///
/// When it is dropped, what is left is sent for as long as [`Settings::shutdown`] says; then it is put aside or dropped.
#[derive(Debug)]
pub struct Recorder {
    queue: Arc<Queue>,
    counting: Arc<Counting>,
    shutdown: Duration,
    thread: Option<JoinHandle<()>>,
}

/// Why a recorder could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The spill directory cannot be used.
    #[error("the spill directory cannot be used: {0}; name a directory that can be written")]
    Spill(#[source] io::Error),
    /// A thread could not be started.
    #[error("the thread that sends could not be started: {0}")]
    Thread(#[source] io::Error),
}

impl Recorder {
    /// Starts the thread that sends. The server need not be there yet.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let counting = Arc::new(Counting::default());
        let run = run_id();
        let spilled = settings.spill.as_ref().map(|spill| Spilled::open(spill, &run));
        let spilled = spilled.transpose().map_err(StartError::Spill)?;
        if let Some(spilled) = &spilled {
            add(&counting.spilled, spilled.events());
            // They count as recorded, so that the sum is right when they are sent.
            add(&counting.recorded, spilled.events());
        }
        let batch = settings.batch_events.clamp(1, REQUEST_EVENTS);
        let queue = Arc::new(Queue::new(settings.queue_events, settings.queue_bytes, batch));
        let shutdown = settings.shutdown;
        let sender = Sender {
            queue: Arc::clone(&queue),
            counting: Arc::clone(&counting),
            transport: Transport::start(&settings).map_err(StartError::Thread)?,
            settings,
            spilled,
            run,
            next: 0,
            backlog: Waiting::new(),
            backoff: Backoff::default(),
        };
        let thread = std::thread::Builder::new().name("tidemark-send".to_owned()).spawn(move || sender.run());
        Ok(Self { queue, counting, shutdown, thread: Some(thread.map_err(StartError::Thread)?) })
    }

    /// Records a retrieval. If there is no room it is dropped and counted.
    pub fn record(&self, retrieval: Retrieval) {
        self.push(Event::Retrieval(retrieval));
    }

    /// Records what a model answered.
    pub fn record_output(&self, output: Output) {
        self.push(Event::Output(output));
    }

    fn push(&self, mut event: Event) {
        event.at(SystemClock.now());
        let bytes = event.bytes();
        add(&self.counting.recorded, 1);
        // Before the push, because the sender may be faster.
        add(&self.counting.waiting, 1);
        if !self.queue.push(Box::new(event), bytes) {
            subtract(&self.counting.waiting, 1);
            add(&self.counting.dropped_queue_full, 1);
        }
    }

    /// Waits until everything that was recorded is answered, put aside or dropped; whether it is.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.queue.flush(timeout)
    }

    /// What became of what was recorded so far.
    pub fn counters(&self) -> Counters {
        self.counting.read()
    }

    /// The last thing that went wrong, and what to do about it; it may have passed since.
    pub fn last_error(&self) -> Option<String> {
        self.counting.last_error()
    }

    /// Ends: sends what is left for as long as [`Settings::shutdown`] says, and tells what became of everything.
    pub fn close(mut self) -> Counters {
        self.end();
        self.counting.read()
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.queue.close(Instant::now() + self.shutdown);
        // When the time is over the thread waits for no request, only for the disk.
        if thread.join().is_err() {
            self.counting.tell("the thread that sends ended early; what it held is counted as waiting");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}
