//! The thread that sends. It alone waits, retries and writes files.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tidemark_schema::{Clock, SystemClock};

use crate::counters::{Counting, add, subtract};
use crate::event::{Event, Kind};
use crate::queue::Queue;
use crate::settings::Settings;
use crate::spill::Spilled;

/// Bytes of one request; the server takes 32 MiB.
const REQUEST_BYTES: usize = 8 * 1024 * 1024;
/// Tries after which events are put aside, if there is a place for them.
const TRIES_BEFORE_SPILL: u32 = 3;

pub(crate) struct Sender {
    pub(crate) queue: Arc<Queue>,
    pub(crate) counting: Arc<Counting>,
    pub(crate) settings: Settings,
    pub(crate) agent: ureq::Agent,
    pub(crate) spilled: Option<Spilled>,
    /// What makes event ids unlike those of every other recorder.
    pub(crate) run: String,
    pub(crate) next: u64,
}

/// What a request brought.
enum Outcome {
    Settled {
        acknowledged: usize,
        again: usize,
        rejected: usize,
        /// Places of events that the server takes later, and when.
        later: Vec<usize>,
        pause: Option<Duration>,
    },
    /// Nothing was taken; the same can be sent again.
    Later(Option<Duration>),
    /// The server will never take it.
    Refused,
}

#[derive(Serialize)]
struct Identified<'a> {
    event_id: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

impl Sender {
    pub(crate) fn run(mut self) {
        self.send_spilled();
        while let Some(events) = self.queue.take(self.settings.linger) {
            let count = events.len();
            let delivered = self.deliver_all(&events);
            self.queue.settled(count);
            if delivered {
                self.send_spilled();
            }
            if self.queue.is_over() {
                self.end();
                return;
            }
        }
        self.end();
    }

    /// What is left when the time is over is put aside, or dropped.
    fn end(&mut self) {
        let left = self.queue.take_all();
        let count = left.len();
        for (kind, lines) in self.written(&left) {
            self.put_aside(kind, &lines, |counting| &counting.dropped_at_end);
        }
        self.queue.settled(count);
    }

    /// Whether all of it was answered.
    fn deliver_all(&mut self, events: &[Event]) -> bool {
        let mut delivered = true;
        for (kind, lines) in self.written(events) {
            delivered &= self.deliver(kind, lines);
        }
        delivered
    }

    /// Events as they are sent, by kind, in requests of a size that is taken.
    fn written(&mut self, events: &[Event]) -> Vec<(Kind, Vec<Vec<u8>>)> {
        let mut requests: Vec<(Kind, Vec<Vec<u8>>, usize)> = Vec::new();
        for event in events {
            let (kind, event_id) = (Kind::of(event), format!("{}-{}", self.run, self.next));
            self.next += 1;
            let line = match event.not_finite() {
                None => serde_json::to_vec(&Identified { event_id: &event_id, event }).ok(),
                Some(_) => None,
            };
            let Some(line) = line else {
                add(&self.counting.not_finite, 1);
                subtract(&self.counting.waiting, 1);
                continue;
            };
            match requests.iter_mut().find(|(of, _, bytes)| *of == kind && *bytes + line.len() <= REQUEST_BYTES) {
                Some((_, lines, bytes)) => {
                    *bytes += line.len();
                    lines.push(line);
                }
                None => requests.push((kind, vec![line.clone()], line.len())),
            }
        }
        requests.into_iter().map(|(kind, lines, _)| (kind, lines)).collect()
    }

    /// Sends until it is answered or given up; whether it was answered.
    fn deliver(&mut self, kind: Kind, mut lines: Vec<Vec<u8>>) -> bool {
        let mut tries = 0;
        while !lines.is_empty() {
            let asked = self.post(kind, &lines);
            let pause = match asked {
                Outcome::Refused => {
                    add(&self.counting.rejected, lines.len());
                    subtract(&self.counting.waiting, lines.len());
                    return true;
                }
                Outcome::Settled { acknowledged, again, rejected, later, pause } => {
                    add(&self.counting.acknowledged, acknowledged);
                    add(&self.counting.acknowledged_again, again);
                    add(&self.counting.rejected, rejected);
                    subtract(&self.counting.waiting, lines.len() - later.len());
                    lines = later.into_iter().filter_map(|place| lines.get(place).cloned()).collect();
                    if lines.is_empty() {
                        return true;
                    }
                    pause
                }
                Outcome::Later(pause) => pause,
            };
            tries += 1;
            let given_up = tries > self.settings.retries || self.queue.is_over();
            if given_up || (self.spilled.is_some() && tries >= TRIES_BEFORE_SPILL) {
                self.put_aside(kind, &lines, |counting| &counting.dropped_gave_up);
                return false;
            }
            add(&self.counting.retries, 1);
            let pause = pause.unwrap_or_default().max(backoff(&self.settings, tries, random()));
            self.queue.pause(pause.min(self.settings.longest_pause));
            self.relieve();
        }
        true
    }

    /// Makes room for new events while the server does not answer.
    fn relieve(&mut self) {
        if self.spilled.is_none() {
            return;
        }
        let excess = self.queue.take_excess();
        let count = excess.len();
        for (kind, lines) in self.written(&excess) {
            self.put_aside(kind, &lines, |counting| &counting.dropped_gave_up);
        }
        self.queue.settled(count);
    }

    fn put_aside(
        &mut self,
        kind: Kind,
        lines: &[Vec<u8>],
        without: impl Fn(&Counting) -> &std::sync::atomic::AtomicU64,
    ) {
        subtract(&self.counting.waiting, lines.len());
        match &mut self.spilled {
            None => add(without(&self.counting), lines.len()),
            Some(spilled) => match spilled.put(kind, lines) {
                Ok(true) => add(&self.counting.spilled, lines.len()),
                Ok(false) | Err(_) => add(&self.counting.dropped_spill_full, lines.len()),
            },
        }
    }

    /// Sends what was put aside, as long as it is answered.
    fn send_spilled(&mut self) {
        while !self.queue.is_over() {
            let Some(spilled) = &self.spilled else { return };
            let Ok(Some(batch)) = spilled.oldest() else { return };
            let Outcome::Settled { acknowledged, again, rejected, later, .. } = self.post(batch.kind, &batch.lines)
            else {
                return;
            };
            // What the server takes later stays where it is, with what it has already: it knows those again.
            if !later.is_empty() {
                return;
            }
            add(&self.counting.acknowledged, acknowledged);
            add(&self.counting.acknowledged_again, again);
            add(&self.counting.rejected, rejected);
            subtract(&self.counting.spilled, batch.lines.len());
            if self.spilled.as_mut().is_none_or(|spilled| spilled.remove(&batch).is_err()) {
                return;
            }
        }
    }

    fn post(&self, kind: Kind, lines: &[Vec<u8>]) -> Outcome {
        let body = lines.join(&b'\n');
        let url = format!("{}{}", self.settings.url.trim_end_matches('/'), kind.path());
        let sent = self.agent.post(&url).header("content-type", "application/x-ndjson").send(&body[..]);
        let Ok(mut response) = sent else { return Outcome::Later(None) };
        let status = response.status().as_u16();
        let pause = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let pause = pause.map(Duration::from_secs);
        let answer =
            response.body_mut().read_to_vec().ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        match status {
            202 => answer.map_or(Outcome::Later(None), |answer| settled(&answer, lines.len())),
            // Some are told to come later, and the others are refused; the answer tells of each.
            429 => answer.map_or(Outcome::Later(pause), |answer| settled(&answer, lines.len())),
            400 | 422 => match answer {
                Some(answer) if answer.get("events").is_some() => settled(&answer, lines.len()),
                _ => Outcome::Refused,
            },
            400..=499 if status != 408 => Outcome::Refused,
            _ => Outcome::Later(pause),
        }
    }
}

/// What the answer to a batch says of each of its events.
fn settled(answer: &Value, sent: usize) -> Outcome {
    let Some(events) = answer.get("events").and_then(Value::as_array).filter(|events| events.len() == sent) else {
        return Outcome::Later(None);
    };
    let (mut acknowledged, mut again, mut rejected, mut later, mut longest) = (0, 0, 0, Vec::new(), None);
    for (place, event) in events.iter().enumerate() {
        let wait = event.get("retry_after_s").and_then(Value::as_u64);
        match event.get("status").and_then(Value::as_str) {
            Some("accepted") => acknowledged += 1,
            Some("duplicate") => {
                acknowledged += 1;
                again += 1;
            }
            _ if wait.is_some() => {
                longest = longest.max(wait);
                later.push(place);
            }
            _ => rejected += 1,
        }
    }
    Outcome::Settled { acknowledged, again, rejected, later, pause: longest.map(Duration::from_secs) }
}

/// The pause before a try: twice as long each time, and half of it by chance ("equal jitter", Brooker, AWS Architecture
/// Blog, 2015).
pub(crate) fn backoff(settings: &Settings, tries: u32, chance: u64) -> Duration {
    let whole = settings.first_pause.saturating_mul(1 << (tries - 1).min(16)).min(settings.longest_pause);
    let half = whole / 2;
    #[expect(clippy::cast_precision_loss, reason = "a chance needs no 64 bits")]
    let part = chance as f64 / u64::MAX as f64;
    half + half.mul_f64(part)
}

fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}

/// The ids of a run have nothing in common with those of another.
pub(crate) fn run_id() -> String {
    format!("{:016x}{:016x}{:x}", random(), random(), SystemClock.now().micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_leave_half_to_chance() {
        let settings = Settings::new("http://localhost");
        let check = |tries, chance, milliseconds| {
            assert_eq!(backoff(&settings, tries, chance).as_millis(), milliseconds, "{tries} tries");
        };
        check(1, 0, 50);
        check(1, u64::MAX, 100);
        check(3, 0, 200);
        check(30, u64::MAX, 10_000);
    }

    #[test]
    fn each_event_of_an_answer_is_counted_once() {
        let answer = serde_json::json!({ "events": [
            { "status": "accepted" }, { "status": "duplicate" }, { "status": "rejected" },
            { "status": "rejected", "retry_after_s": 3 },
        ] });
        let Outcome::Settled { acknowledged, again, rejected, later, pause } = settled(&answer, 4) else { panic!() };
        assert_eq!((acknowledged, again, rejected, later), (2, 1, 1, vec![3]));
        assert_eq!(pause, Some(Duration::from_secs(3)));
        assert!(matches!(settled(&answer, 5), Outcome::Later(None)), "an answer to something else answers nothing");
    }
}
