use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidemark_schema::{Clock, SystemClock};

use crate::counters::{Counters, Counting, add};
use crate::event::{Event, Output, Retrieval};
use crate::queue::Queue;
use crate::sender::{Sender, run_id};
use crate::settings::Settings;
use crate::spill::Spilled;

/// How long the thread may take beyond the time for the end, for a request that runs.
const BEYOND: Duration = Duration::from_millis(500);

/// Records what a service retrieves. Cheap to share behind an [`Arc`]; recording neither blocks nor fails.
///
/// When it is dropped, what is left is sent for as long as [`Settings::shutdown`] says.
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
    /// No thread could be started.
    #[error("the thread that sends could not be started: {0}")]
    Thread(#[source] io::Error),
}

impl Recorder {
    /// Starts the thread that sends. The server need not be there yet.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let counting = Arc::new(Counting::default());
        let spilled = match &settings.spill {
            None => None,
            Some(spill) => {
                let (spilled, events) = Spilled::open(spill).map_err(StartError::Spill)?;
                add(&counting.spilled, events);
                // They count as recorded, so that the sum is right when they are sent.
                add(&counting.recorded, events);
                Some(spilled)
            }
        };
        let queue = Arc::new(Queue::new(settings.queue_events, settings.queue_bytes, settings.batch_events));
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(settings.timeout));
        let shutdown = settings.shutdown;
        let sender = Sender {
            queue: Arc::clone(&queue),
            counting: Arc::clone(&counting),
            agent: agent.build().into(),
            settings,
            spilled,
            run: run_id(),
            next: 0,
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
            crate::counters::subtract(&self.counting.waiting, 1);
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

    /// Ends: sends what is left for as long as [`Settings::shutdown`] says, and tells what became of everything.
    pub fn close(mut self) -> Counters {
        self.end();
        self.counting.read()
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + self.shutdown;
        self.queue.close(deadline);
        while !thread.is_finished() && Instant::now() < deadline + BEYOND {
            std::thread::sleep(Duration::from_millis(2));
        }
        // A request that hangs is left behind; what it carries is still counted as waiting.
        if thread.is_finished() && thread.join().is_err() {
            // A panic of the sender was printed by the panic hook; there is nobody else to tell.
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}
