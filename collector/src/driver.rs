//! The thread of the log: it has the clock, the files and the channels, and does what [`State`] says.
//!
//! It takes submissions in groups: while one fsync runs, the next submissions gather, and one fsync then serves them all
//! (group commit). Events that are durable wait in memory until the table has them, so the log is read only after a
//! crash, and can be closed and opened again while they wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemark_schema::Clock;
use tidemark_wal::{Error as WalError, Storage};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::collector::Receipt;
use crate::decode::Event;
use crate::effect::{Effect, Input, Now, TableAnswer, TableCall};
use crate::error::Error;
use crate::files::Files;
use crate::health::Published;
use crate::mode::Transition;
use crate::settings::Settings;
use crate::sink::SinkError;
use crate::state::State;

/// How often the thread looks around when nothing happens, and asks for the free bytes of its disk at most.
const TICK: Duration = Duration::from_millis(100);

/// Somebody waits for an answer, and holds a share of what may be on its way at once.
pub(crate) struct Asked<T> {
    reply: Option<oneshot::Sender<Result<T, Error>>>,
    _share: OwnedSemaphorePermit,
}

impl<T> Asked<T> {
    pub(crate) fn new(share: OwnedSemaphorePermit) -> (Self, oneshot::Receiver<Result<T, Error>>) {
        let (reply, answer) = oneshot::channel();
        (Self { reply: Some(reply), _share: share }, answer)
    }

    fn answer(&mut self, result: Result<T, Error>) {
        if self.reply.take().is_some_and(|reply| reply.send(result).is_err()) {
            tracing::debug!("somebody went away before the answer");
        }
    }
}

/// What the thread of the log gets.
pub(crate) enum Message {
    /// Events that want to be durable.
    Submit { events: Vec<Event>, asked: Asked<Receipt> },
    /// Everything durable is wanted in the table; see [`Input::Request`].
    Request { forget: bool, asked: Asked<()> },
    /// The table has answered the last call.
    Table(Result<TableAnswer, SinkError>),
}

pub(crate) struct Driver<T, O> {
    pub(crate) state: State,
    pub(crate) files: Files<T, O>,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) began: Instant,
    pub(crate) published: Arc<Published>,
    pub(crate) table: mpsc::Sender<TableCall>,
    /// The submissions of the present group. Their shares are held until all are answered, because until then their events
    /// are in memory.
    pub(crate) submissions: Vec<Asked<Receipt>>,
    pub(crate) requests: VecDeque<Asked<()>>,
    /// Waits for the first try of the recovery.
    pub(crate) recovery_tried: Option<oneshot::Sender<()>>,
    pub(crate) free_bytes: Option<(Instant, Option<u64>)>,
}

impl<T: Storage, O: FnMut() -> Result<T, WalError>> Driver<T, O> {
    pub(crate) fn run(mut self, runtime: &Runtime, mut inbox: mpsc::Receiver<Message>) {
        loop {
            let pause = self.state.wake_at().saturating_sub(self.began.elapsed()).min(TICK);
            match runtime.block_on(async { tokio::time::timeout(pause, inbox.recv()).await }) {
                Ok(Some(message)) => self.take_in(message, &mut inbox),
                Ok(None) => return,
                Err(_) => {}
            }
            self.tick();
        }
    }

    fn take_in(&mut self, first: Message, inbox: &mut mpsc::Receiver<Message>) {
        let mut submissions = Vec::new();
        let mut message = Some(first);
        while let Some(next) = message {
            match next {
                Message::Submit { events, asked } => {
                    submissions.push(events);
                    self.submissions.push(asked);
                }
                Message::Request { forget, asked } => {
                    self.requests.push_back(asked);
                    self.feed(Input::Request { forget });
                }
                Message::Table(answer) => self.feed(Input::Table(answer)),
            }
            // A group has an end, or a steady stream would wait for its answers for ever.
            message = if submissions.len() < self.settings.queue { inbox.try_recv().ok() } else { None };
        }
        if !submissions.is_empty() {
            self.feed(Input::Submissions(submissions));
            self.submissions.clear();
        }
    }

    fn tick(&mut self) {
        let free_bytes = match self.free_bytes {
            Some((at, free)) if at.elapsed() < TICK => free,
            _ => {
                let free = self.settings.free_bytes.ask();
                self.free_bytes = Some((Instant::now(), free));
                free
            }
        };
        if self.table.is_closed() {
            // The task of the table has died: nothing will be flushed any more.
            self.requests.clear();
        }
        let queue_overflowed = self.published.queue_has_overflowed();
        self.feed(Input::Tick { free_bytes, queue_overflowed });
    }

    /// Lets the state decide, does what it says, and comes back with the answers of the log until there are none.
    fn feed(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let now = Now { wall: self.clock.now(), elapsed: self.began.elapsed() };
            let effects = self.state.step(now, input);
            // Before anybody gets an answer that it should show.
            self.published.publish(self.state.health());
            for effect in effects {
                match effect {
                    Effect::Log(call) => next = Some(Input::Log(self.files.call(call))),
                    Effect::CloseLog => self.files.close(),
                    Effect::Table(call) => {
                        if self.table.try_send(call).is_err() {
                            tracing::error!("the task of the table has ended");
                        }
                    }
                    Effect::AnswerSubmission { submission, result } => {
                        if let Some(asked) = self.submissions.get_mut(submission) {
                            asked.answer(result);
                        }
                    }
                    Effect::AnswerRequest(result) => {
                        if let Some(mut asked) = self.requests.pop_front() {
                            asked.answer(result);
                        }
                    }
                    Effect::Announce(transition) => self.announce(&transition),
                    // Nobody may be waiting for it any more.
                    Effect::RecoveryTried => drop(self.recovery_tried.take().map(|tried| tried.send(()))),
                }
            }
        }
    }

    fn announce(&self, transition: &Transition) {
        let Transition { from, to, reason, .. } = transition;
        tracing::warn!(%from, %to, %reason, "the mode has changed");
        if let Some(observer) = &self.settings.on_transition {
            observer.tell(transition);
        }
    }
}
