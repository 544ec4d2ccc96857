//! Random lives on a simulated clock, disk and table: the state that decides, the log that it writes, and whatever can
//! happen to both between any two effects. A seed is a life: it can be lived again, to the byte.
//!
//! INV-01, INV-02 and INV-04: what was acknowledged is durable at once and in the table once in the end, nothing passes
//! its bound, everything that is refused is counted, and everything comes back by itself.

#[path = "../../wal/tests/support/faulty.rs"]
#[expect(dead_code, reason = "the tests of the log use all of it")]
mod faulty;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tempfile::TempDir;
use tidemark_schema::{EventId, Timestamp};
use tidemark_wal::{Error as WalError, Options, Wal};

use self::faulty::{Fault, FaultyStorage};
use self::table::{Running, Table, Temper};
use super::support::{event, now, settings};
use crate::decode::{Event, Kind};
use crate::effect::{Effect, Input, LogCall, Now};
use crate::files::Files;
use crate::quarantine::Quarantine;
use crate::state::State;
use crate::{Acknowledgement, Error, Mode, Receipt, Refusal, Settings, record};

const TICK: Duration = Duration::from_millis(100);
/// How many acts a life has.
const ACTS: usize = 60;

/// The choices of one life.
struct Numbers(ChaCha8Rng);

impl Numbers {
    /// From 0 up to and with `most`.
    fn up_to(&mut self, most: usize) -> usize {
        usize::try_from(self.0.next_u64() % (most as u64 + 1)).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.up_to(count - 1) == 0
    }
}

/// What dies in a crash.
struct Process {
    state: State,
    files: Files<FaultyStorage, Box<dyn FnMut() -> Result<FaultyStorage, WalError>>>,
    began: Duration,
    running: Option<Running>,
    /// What its health must say.
    accepted: u64,
    duplicates: u64,
    refused: u64,
}

/// What has been seen, so that it is known that the simulation meets it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    crashes: usize,
    reopened: u64,
    quarantined: usize,
    duplicates: u64,
    flush_failures: u64,
    modes: BTreeSet<Mode>,
    refusals: BTreeSet<Refusal>,
    forgotten: usize,
    /// Times that records were looked for which had survived although they were refused.
    survivals: usize,
}

struct World {
    numbers: Numbers,
    settings: Settings,
    directory: TempDir,
    disk: FaultyStorage,
    free_bytes: Option<u64>,
    table: Table,
    elapsed: Duration,
    /// By how much the clock on the wall was moved on, in seconds.
    jumped_s: i64,
    process: Option<Process>,
    /// The numbers of the events of each submission that waits for its answer.
    submissions: Vec<Vec<u32>>,
    /// When each number was said to have happened: a resend says the same.
    sent: BTreeMap<u32, Timestamp>,
    acknowledged: BTreeSet<EventId>,
    /// How many unreadable records were put into the log.
    unreadable: usize,
    /// Whether it is left in peace.
    is_settling: bool,
    seen: Seen,
    trace: blake3::Hasher,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut numbers = Numbers(ChaCha8Rng::seed_from_u64(seed));
        let directory = tempfile::tempdir().unwrap();
        let budget_bytes = [4_000, 1 << 20][numbers.up_to(1)];
        let segment_bytes = [600, 3_000, budget_bytes][numbers.up_to(2)];
        let log = Options { segment_bytes, budget_bytes, record_bytes_max: 1_000 };
        let settings = Settings {
            log,
            recent_ids: 12,
            flush_events: 5,
            pending_events: 20,
            pending_bytes: [6_000, 1 << 20][numbers.up_to(1)],
            flush_interval: Duration::from_millis(500),
            flush_timeout: Duration::from_secs(1),
            release_after: Duration::from_millis([0, 2_000][numbers.up_to(1)]),
            disk_reserve_bytes: 1_000,
            ..settings(directory.path())
        };
        let mut world = Self {
            numbers,
            settings,
            directory,
            disk: FaultyStorage::default(),
            free_bytes: None,
            table: Table::default(),
            elapsed: Duration::ZERO,
            jumped_s: 0,
            process: None,
            submissions: Vec::new(),
            sent: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            unreadable: 0,
            is_settling: false,
            seen: Seen::default(),
            trace: blake3::Hasher::new(),
        };
        world.start();
        world
    }

    fn wall(&self) -> Timestamp {
        now().plus_seconds(self.jumped_s + i64::try_from(self.elapsed.as_secs()).unwrap())
    }

    fn start(&mut self) {
        let mut healed = false;
        loop {
            let disk = self.disk.clone();
            let open: Box<dyn FnMut() -> _> = Box::new(move || Ok(disk.clone()));
            let quarantine = Quarantine::open(self.directory.path().to_owned()).unwrap();
            match Files::open(open, self.settings.log, quarantine) {
                Ok((files, log, recovery)) => {
                    let now = Now { wall: self.wall(), elapsed: Duration::ZERO };
                    let state = State::new(self.settings.clone(), now, log, &recovery);
                    let (began, running) = (self.elapsed, None);
                    let process = Process { state, files, began, running, accepted: 0, duplicates: 0, refused: 0 };
                    self.process = Some(process);
                    return self.tick(false);
                }
                // A log that cannot be opened at the start is an error; whoever runs it mends the disk.
                Err(error) => {
                    assert!(self.disk.is_down() || !healed, "{error:?}");
                    self.heal();
                    self.disk.restart(None);
                    healed = true;
                }
            }
        }
    }

    fn crash(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.seen.crashes += 1;
        self.seen.reopened += process.state.health().reopened;
        self.seen.flush_failures += process.state.health().flush_failures;
        self.submissions.clear();
        if let Some(running) = process.running {
            self.table.abandon(running, &mut self.numbers);
        }
        drop(process.files);
        let power_loss = self.numbers.one_in(2).then_some(&mut self.numbers);
        self.disk.restart(power_loss);
        if self.numbers.one_in(8) {
            // Another version wrote this.
            let (mut wal, _) = Wal::open(self.disk.clone(), self.settings.log).unwrap();
            if wal.append(&[b"{\"kind\":\"of the future\"}"]).is_ok() && wal.sync().is_ok() {
                self.unreadable += 1;
            }
        }
        self.start();
    }

    /// The process does what its state says, and may be gone between any two effects.
    fn feed(&mut self, input: Input) {
        let (mut next, wall) = (Some(input), self.wall());
        while let (Some(input), Some(process)) = (next.take(), self.process.as_mut()) {
            let now = Now { wall, elapsed: self.elapsed.saturating_sub(process.began) };
            let effects = process.state.step(now, input);
            assert!(effects.iter().filter(|effect| matches!(effect, Effect::Log(_))).count() <= 1);
            let mut acknowledged = false;
            for effect in effects {
                self.trace.update(format!("{effect:?}").as_bytes());
                if !self.is_settling && self.numbers.one_in(400) {
                    return self.crash();
                }
                let Some(process) = self.process.as_mut() else { return };
                match effect {
                    Effect::Log(call) => {
                        let survival = matches!(call, LogCall::Read { records: usize::MAX, .. });
                        self.seen.survivals += usize::from(survival);
                        let answer = process.files.call(call);
                        if self.disk.is_down() {
                            return self.crash();
                        }
                        next = Some(Input::Log(answer));
                    }
                    Effect::CloseLog => process.files.close(),
                    Effect::Table(call) => {
                        assert!(process.running.is_none(), "two calls at once");
                        let timeout = self.settings.flush_timeout;
                        process.running = Some(self.table.begin(call, self.elapsed, timeout, &mut self.numbers));
                    }
                    Effect::AnswerSubmission { submission, result } => {
                        acknowledged |= result.is_ok();
                        self.answered(submission, result);
                    }
                    Effect::AnswerRequest(result) => self.seen.forgotten += usize::from(result.is_ok()),
                    Effect::Announce(transition) => drop(self.seen.modes.insert(transition.to)),
                    Effect::RecoveryTried => {}
                }
            }
            self.check(acknowledged);
        }
    }

    fn answered(&mut self, submission: usize, result: Result<Receipt, Error>) {
        let numbers = std::mem::take(&mut self.submissions[submission]);
        let ids: Vec<EventId> = numbers.iter().map(|number| self.sent_event(*number).event_id()).collect();
        let process = self.process.as_mut().unwrap();
        match result {
            Ok(receipt) => {
                assert_eq!(receipt.len(), numbers.len());
                let accepted =
                    receipt.iter().filter(|acknowledgement| **acknowledgement == Acknowledgement::Accepted).count()
                        as u64;
                process.accepted += accepted;
                process.duplicates += receipt.len() as u64 - accepted;
                self.seen.duplicates += receipt.len() as u64 - accepted;
                self.acknowledged.extend(ids);
            }
            Err(error) => {
                process.refused += numbers.len() as u64;
                match error {
                    Error::Refused { refusal, .. } => drop(self.seen.refusals.insert(refusal)),
                    Error::Append { .. } | Error::TooLarge { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// What holds after every step.
    fn check(&self, acknowledged: bool) {
        let process = self.process.as_ref().unwrap();
        let health = process.state.health();
        assert!(health.pending <= self.settings.pending_events, "{health:?}");
        assert!(health.pending_bytes <= self.settings.pending_bytes, "{health:?}");
        assert!(health.log_bytes <= self.settings.log.budget_bytes + 24, "{health:?}");
        let answered = (process.accepted, process.duplicates, process.refused);
        assert_eq!((health.accepted, health.duplicates, health.refused.values().sum::<u64>()), answered);
        if acknowledged {
            self.check_durable();
        }
    }

    /// If the power went now and took everything that was not synced, nothing acknowledged would be gone.
    fn check_durable(&self) {
        let disk = FaultyStorage::with_files(&self.disk.durable_files());
        // A log whose numbers were moved behind those of the table may show a hole where they were.
        let (wal, _) = Wal::open(disk, self.settings.log).unwrap();
        let records = wal.read_from(wal.first_sequence()).unwrap();
        let rows = records.filter_map(|found| record::read(&found.unwrap().payload).ok());
        let in_log: BTreeSet<EventId> = rows.map(|row| row.event.event_id()).collect();
        for id in &self.acknowledged {
            assert!(in_log.contains(id) || self.table.rows.contains_key(id), "{id} is acknowledged and not durable");
        }
    }

    fn tick(&mut self, queue_overflowed: bool) {
        self.feed(Input::Tick { free_bytes: self.free_bytes, queue_overflowed });
    }

    /// Lets time pass, with what is due in it.
    fn advance(&mut self, lasts: Duration) {
        let end = self.elapsed + lasts;
        let mut ticks_at_once = 0;
        while self.elapsed < end {
            let process = self.process.as_ref().unwrap();
            let wake_at = process.began.saturating_add(process.state.wake_at());
            let ends_at = process.running.as_ref().map_or(Duration::MAX, |running| running.ends_at);
            let next = wake_at.min(ends_at).min(self.elapsed + TICK).min(end).max(self.elapsed);
            ticks_at_once = if next == self.elapsed { ticks_at_once + 1 } else { 0 };
            assert!(ticks_at_once < 100, "it wakes without end");
            self.elapsed = next;
            if ends_at <= next {
                let running = self.process.as_mut().and_then(|process| process.running.take()).unwrap();
                let answer = self.table.end(running);
                self.feed(Input::Table(answer));
            }
            self.tick(false);
        }
    }

    fn sent_event(&self, number: u32) -> Event {
        let kind = if number.is_multiple_of(3) { Kind::Output } else { Kind::Retrieval };
        event(number, kind, &self.sent[&number].to_string())
    }

    fn submit(&mut self) {
        self.submissions.clear();
        for _ in 0..=self.numbers.up_to(3) {
            let most = if self.numbers.one_in(20) { 24 } else { 4 };
            let events = self.numbers.up_to(most);
            let wall = self.wall();
            let numbers: Vec<u32> = (0..=events).map(|_| u32::try_from(self.numbers.up_to(80)).unwrap()).collect();
            for number in &numbers {
                // A few are old when they come in first.
                let age = if number.is_multiple_of(7) { 3 * 24 * 3_600 } else { 60 };
                self.sent.entry(*number).or_insert_with(|| wall.plus_seconds(-age));
            }
            self.submissions.push(numbers);
        }
        let events = |numbers: &Vec<u32>| numbers.iter().map(|number| self.sent_event(*number)).collect();
        self.feed(Input::Submissions(self.submissions.iter().map(events).collect()));
    }

    fn heal(&mut self) {
        self.disk.heal();
        self.free_bytes = None;
        self.table.temper = Temper::Works;
    }

    fn act(&mut self) {
        match self.numbers.up_to(39) {
            0..14 => self.submit(),
            14..17 => {
                let forget = self.numbers.one_in(2);
                self.feed(Input::Request { forget });
            }
            17..20 => {
                let tempers = [Temper::Works, Temper::Slow, Temper::Fails, Temper::Hangs, Temper::Mixed];
                self.table.temper = tempers[self.numbers.up_to(4)];
            }
            20..24 => {
                let (full, broken) = (ErrorKind::StorageFull, ErrorKind::Other);
                let faults = [Fault::Error(full), Fault::Error(broken), Fault::ErrorTwice(full)];
                let fault = faults[self.numbers.up_to(2)];
                self.disk.fail_after(self.numbers.up_to(5) as u64, fault);
            }
            24..26 => self.disk.fail_after(self.numbers.up_to(8) as u64, Fault::Crash),
            26 => self.disk.fill_up_to(self.numbers.up_to(600)),
            27 => self.free_bytes = Some([0, 1_100, 2_000][self.numbers.up_to(2)]),
            28..31 => self.heal(),
            31 => self.crash(),
            32 => self.jumped_s += 3_600 * i64::try_from(self.numbers.up_to(40)).unwrap(),
            33 => self.tick(true),
            _ => {
                let millis = self.numbers.up_to(1_500) as u64;
                self.advance(Duration::from_millis(millis));
            }
        }
        self.tick(false);
    }

    /// Nothing is wrong any more: it becomes normal by itself, in time, and everything waiting reaches the table.
    fn settle(&mut self) {
        self.heal();
        self.is_settling = true;
        for _ in 0..600 {
            self.advance(TICK);
            let health = self.process.as_ref().unwrap().state.health();
            if health.mode == Mode::Normal && health.pending == 0 {
                return;
            }
        }
        panic!("it never came to that: {:?}", self.process.as_ref().unwrap().state.health());
    }

    fn end(mut self) -> (blake3::Hash, Seen) {
        self.settle();
        self.crash();
        self.settle();
        for id in &self.acknowledged {
            assert!(self.table.rows.contains_key(id), "{id} was acknowledged and is not in the table");
        }
        let sent: BTreeSet<_> = self.sent.keys().map(|number| self.sent_event(*number).event_id()).collect();
        assert!(self.table.rows.keys().all(|id| sent.contains(id)));
        let names = std::fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        self.seen.quarantined = names.filter(|name| name.to_str().unwrap().starts_with("unreadable-")).count();
        assert_eq!(self.seen.quarantined, self.unreadable, "what cannot be read is kept");
        (self.trace.finalize(), self.seen)
    }
}

/// Lives one life, and says what its seed is if something is wrong with it.
fn live(seed: u64) -> (blake3::Hash, Seen) {
    struct Named(u64);
    impl Drop for Named {
        #[expect(clippy::print_stderr, reason = "so that the life can be lived again")]
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("this was the simulation with seed {}", self.0);
            }
        }
    }
    let _named = Named(seed);
    let mut world = World::new(seed);
    for _ in 0..ACTS {
        world.act();
    }
    world.end()
}

#[test]
fn every_life_keeps_what_was_acknowledged_and_comes_back_by_itself() {
    let lives = if std::env::var_os("TIDEMARK_LONG").is_some() { 20_000 } else { 400 };
    let mut all = Seen::default();
    for seed in 0..lives {
        let (_, seen) = live(seed);
        all.crashes += seen.crashes;
        all.reopened += seen.reopened;
        all.quarantined += seen.quarantined;
        all.duplicates += seen.duplicates;
        all.flush_failures += seen.flush_failures;
        all.forgotten += seen.forgotten;
        all.survivals += seen.survivals;
        all.modes.extend(seen.modes);
        all.refusals.extend(seen.refusals);
    }
    assert_eq!(all.modes, BTreeSet::from([Mode::Normal, Mode::Shedding, Mode::ReadOnly, Mode::Recovering]));
    let by_state = Refusal::ALL.into_iter().filter(|refusal| !matches!(refusal, Refusal::Queue | Refusal::TooLarge));
    assert_eq!(all.refusals, by_state.collect());
    let counts = [all.crashes as u64, all.reopened, all.quarantined as u64, all.duplicates, all.flush_failures];
    assert!(counts.into_iter().all(|count| count > 50), "it is too peaceful: {all:?}");
    assert!(all.forgotten > 50 && all.survivals > 10, "it is too peaceful: {all:?}");
}

#[test]
fn a_life_can_be_lived_again_to_the_byte() {
    for seed in 0..20 {
        assert_eq!(live(seed), live(seed));
    }
    assert_ne!(live(0).0, live(1).0);
}
