//! Work that may take its time.

use std::time::Duration;

use thread_priority::{ThreadPriority, set_current_thread_priority};
use tokio::runtime::{Handle, Runtime};

/// Of 0 to 99; the systems give a thread without a priority of its own half of that.
const PRIORITY: u8 = 25;

/// A disk that hangs is not waited for any longer.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Threads of their own, of lower priority, for decoding, flushes and maintenance: neither a flood of events nor merging a
/// day of them shall keep a question waiting.
pub(crate) struct Background(Option<Runtime>);

impl Background {
    pub(crate) fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(8)
            .thread_name("tidemark-keep")
            .on_thread_start(step_back)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Cuts off what still runs, and waits until it no longer touches the disk.
    pub(crate) async fn stop(mut self) {
        let Some(runtime) = self.0.take() else { return };
        let stopped = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(STOP_TIMEOUT));
        if stopped.await.is_err() {
            tracing::error!("the background ended early");
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

/// Without [`Self::stop`] nothing waits for what is cut off: a runtime cannot be waited for from within another one.
impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn step_back() {
    let wanted = PRIORITY.try_into().map(ThreadPriority::Crossplatform);
    if let Ok(priority) = wanted
        && let Err(error) = set_current_thread_priority(priority)
    {
        tracing::debug!(?error, "a thread of the background keeps its priority");
    }
}
