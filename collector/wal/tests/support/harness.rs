//! A log on the faulty disk beside a model of what it must hold; every step checks one against the other.

use std::collections::BTreeMap;

use tidemark_wal::{Error, Options, Wal};

use super::Numbers;
use super::faulty::FaultyStorage;
use super::{open, plain, read_all, sequence};

const HEADER_BYTES: u64 = 24;

pub(crate) struct Harness {
    pub(crate) storage: FaultyStorage,
    wal: Option<Wal<FaultyStorage>>,
    options: Options,
    /// What the log must hold, as far as it was appended with success.
    records: BTreeMap<u64, Vec<u8>>,
    /// What a crash may bring back under a number that is not durable: every attempt since the number was free.
    attempts: BTreeMap<u64, Vec<Vec<u8>>>,
    next: u64,
    durable: u64,
    released: u64,
    /// Numbering was moved forward; until what lies before is gone, a crash shows a hole there.
    jumped: bool,
    payloads: u64,
}

impl Harness {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            storage: FaultyStorage::default(),
            wal: None,
            options,
            records: BTreeMap::new(),
            attempts: BTreeMap::new(),
            next: 0,
            durable: 0,
            released: 0,
            jumped: false,
            payloads: 0,
        }
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    pub(crate) fn needs_reopening(&self) -> bool {
        self.storage.is_down() || self.wal.as_ref().is_none_or(Wal::is_poisoned)
    }

    /// A payload that no other record has.
    fn payload(&mut self, bytes: usize) -> Vec<u8> {
        self.payloads += 1;
        let mut payload = self.payloads.to_le_bytes().to_vec();
        payload.resize(bytes.max(8), self.payloads.to_le_bytes()[0]);
        payload
    }

    pub(crate) fn append(&mut self, sizes: &[usize]) {
        let batch: Vec<Vec<u8>> = sizes.iter().map(|bytes| self.payload(*bytes)).collect();
        let Some(wal) = self.wal.as_mut() else { return };
        for (number, payload) in (self.next..).zip(&batch) {
            self.attempts.entry(number).or_default().push(payload.clone());
        }
        let before = wal.bytes();
        let fits = wal.status().fits(batch.len() as u64, batch.iter().map(|payload| payload.len() as u64).sum());
        match wal.append(&batch) {
            Ok(range) => {
                assert!(fits, "a batch was taken that was said not to fit");
                assert_eq!(plain(&range), self.next..self.next + batch.len() as u64);
                self.records.extend((self.next..).zip(batch));
                self.next = range.end.get();
            }
            Err(Error::Full { needed, used, budget }) => {
                assert!(!fits, "a batch was refused that was said to fit");
                assert!(used + needed > budget && budget == self.options.budget_bytes);
                assert!(used <= before, "a refused batch was written");
            }
            Err(error) => assert!(error.is_out_of_space() || !error.to_string().is_empty()),
        }
        self.check();
    }

    pub(crate) fn sync(&mut self) {
        let Some(wal) = self.wal.as_mut() else { return };
        match wal.sync() {
            Ok(durable) => {
                assert_eq!(durable.get(), self.next);
                let (_, recovery) = open(FaultyStorage::with_files(&self.storage.durable_files()), self.options);
                assert!(recovery.next_sequence >= durable, "what was synced does not survive a power loss");
            }
            Err(error) => assert!(error.is_poisoned() && wal.is_poisoned()),
        }
        self.check();
    }

    /// Closes the active segment; with everything given up, nothing but an empty segment is left.
    pub(crate) fn rotate(&mut self) {
        let Some(wal) = self.wal.as_mut() else { return };
        match wal.rotate() {
            Ok(rotated) => {
                assert!(!rotated || wal.durable_sequence().get() == self.next);
                if rotated && self.released == self.next && !self.jumped {
                    assert_eq!((wal.segments(), wal.bytes()), (1, HEADER_BYTES), "a drained log keeps nothing");
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        self.check();
    }

    /// Tries whether there is room; the log holds afterwards what it held before.
    pub(crate) fn probe(&mut self, bytes: u64) {
        let Some(wal) = self.wal.as_mut() else { return };
        let before = wal.bytes();
        let probed = wal.probe(bytes);
        assert_eq!(wal.bytes(), before);
        assert!(probed.is_err() || wal.durable_sequence().get() == self.next);
        self.check();
    }

    pub(crate) fn truncate_before(&mut self, up_to: u64) {
        let Some(wal) = self.wal.as_mut() else { return };
        let before = wal.bytes();
        let (allowed, poisoned) = (up_to <= self.durable, wal.is_poisoned());
        let truncated = wal.truncate_before(sequence(up_to));
        if allowed && !poisoned {
            self.released = self.released.max(up_to);
        }
        match truncated {
            Ok(freed) => assert_eq!(wal.bytes(), before - freed),
            Err(Error::TruncatingBeyondDurable { .. }) => assert!(!allowed),
            Err(_) => {}
        }
        self.check();
    }

    pub(crate) fn advance_to(&mut self, to: u64) {
        let Some(wal) = self.wal.as_mut() else { return };
        if to < self.next {
            return;
        }
        self.jumped |= to > self.next;
        let advanced = wal.advance_to(sequence(to));
        // A crash in between may have kept the jump or not.
        self.released = to;
        if wal.next_sequence().get() == to {
            self.next = to;
        }
        if advanced.is_ok() {
            assert_eq!(self.next, to);
        }
        self.check();
    }

    pub(crate) fn read_from(&self, from: u64) {
        let Some(wal) = self.wal.as_ref() else { return };
        let first = wal.first_sequence().get();
        match wal.read_from(sequence(from)) {
            Ok(reader) => {
                let read = reader.map(|record| record.map(|record| (record.sequence.get(), record.payload)).unwrap());
                assert!(read.eq(self.records.range(from..self.durable.max(from)).map(|(n, p)| (*n, p.clone()))));
            }
            Err(Error::ReadingBeforeStart { .. }) => assert!(from < first),
            Err(Error::ReadingBeyondEnd { .. }) => assert!(from > self.next),
            Err(error) => panic!("{error}"),
        }
    }

    /// The log says what the model says, and holds what the model holds.
    fn check(&mut self) {
        let Some(wal) = self.wal.as_ref() else { return };
        assert_eq!(wal.next_sequence().get(), self.next);
        let durable = wal.durable_sequence().get();
        assert!(self.durable <= durable && durable <= self.next, "durable went back");
        self.durable = durable;
        self.attempts.retain(|number, _| *number >= durable);
        let first = wal.first_sequence().get();
        assert!(first <= self.released.max(self.durable), "records were removed that nobody gave up");
        assert!(wal.bytes() <= self.options.budget_bytes + HEADER_BYTES, "the budget was passed");
        if self.storage.is_down() {
            return;
        }
        let expected: Vec<_> = self.records.range(first..durable).map(|(n, p)| (*n, p.clone())).collect();
        assert_eq!(read_all(wal), expected);
        if !wal.is_poisoned() {
            assert_eq!(wal.bytes(), self.segment_bytes(), "bytes() is what lies on the disk");
        }
    }

    fn segment_bytes(&self) -> u64 {
        let files = self.storage.files();
        files.iter().filter(|(name, _)| *name != "probe.tmp").map(|(_, content)| content.len() as u64).sum()
    }

    /// Drops the log, lets the machine come back, and opens until it succeeds. A crash that is still ahead may hit
    /// the opening itself.
    pub(crate) fn reopen(&mut self, mut power_loss: Option<Numbers>) {
        self.wal = None;
        if self.storage.is_down() || power_loss.is_some() {
            self.storage.restart(power_loss.as_mut());
        }
        let (wal, recovery) = loop {
            match Wal::open(self.storage.clone(), self.options) {
                Ok(opened) => break opened,
                Err(error) => {
                    assert!(self.storage.is_down(), "a log that only crashed must open: {error}");
                    self.storage.restart(power_loss.as_mut());
                }
            }
        };
        let (first, next) = (recovery.first_sequence.get(), recovery.next_sequence.get());
        if !self.jumped {
            assert!(recovery.damage.is_empty(), "a crash is not damage: {recovery:?}");
            assert!(next >= self.durable, "durable records are gone: {next} < {}", self.durable);
            assert_eq!(recovery.records, next - first);
        }
        assert!(first <= self.released, "records are gone that nobody gave up");
        assert_eq!(recovery.bytes, wal.bytes());
        let read = read_all(&wal);
        assert_eq!(recovery.records, read.len() as u64);
        for (number, payload) in read {
            let known = self.records.get(&number) == Some(&payload);
            let attempted = number >= self.durable
                && self.attempts.get(&number).is_some_and(|attempts| attempts.contains(&payload));
            assert!(known || attempted, "record {number} was never appended like this");
            self.records.insert(number, payload);
        }
        self.records.retain(|number, _| *number < next);
        self.attempts.clear();
        (self.next, self.durable) = (next, next);
        self.released = first;
        self.jumped &= !recovery.damage.is_empty();
        self.wal = Some(wal);
        self.check();
    }
}
