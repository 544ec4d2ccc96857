//! Random actions and faults against the model: INV-01, an acknowledged record survives, once and in order.

use std::io::ErrorKind;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::faulty::Fault;
use crate::support::harness::Harness;
use crate::support::{Numbers, SMALL};

#[derive(Clone, Debug)]
enum Action {
    Append(Vec<usize>),
    Sync,
    /// Reads from this many percent of what was ever durable.
    Read(u64),
    /// Gives up this many percent of what was ever durable.
    Truncate(u64),
    Advance(u64),
    Rotate,
    /// Tries whether this much fits on the disk.
    Probe(u64),
    /// The process is killed and comes back.
    Kill,
    /// The machine loses power; the seed says what of the unsynced bytes is kept.
    PowerLoss(u64),
    /// The process dies at the operation this many operations from now.
    CrashAfter(u64),
    /// That operation fails.
    FailAfter(u64, Fault),
    /// The disk has this much room left.
    FillDisk(usize),
    Heal,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Error(ErrorKind::Other)),
        Just(Fault::Error(ErrorKind::StorageFull)),
        Just(Fault::ErrorTwice(ErrorKind::Other)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => vec(prop_oneof![4 => 0_usize..120, 1 => 120_usize..1000], 0..6).prop_map(Action::Append),
        8 => Just(Action::Sync),
        2 => (0_u64..110).prop_map(Action::Read),
        4 => (0_u64..110).prop_map(Action::Truncate),
        1 => (0_u64..20).prop_map(Action::Advance),
        2 => Just(Action::Rotate),
        1 => (0_u64..300).prop_map(Action::Probe),
        2 => Just(Action::Kill),
        2 => any::<u64>().prop_map(Action::PowerLoss),
        3 => (0_u64..12).prop_map(Action::CrashAfter),
        3 => (0_u64..8, fault()).prop_map(|(after, fault)| Action::FailAfter(after, fault)),
        1 => (0_usize..600).prop_map(Action::FillDisk),
        2 => Just(Action::Heal),
    ]
}

fn act(harness: &mut Harness, action: Action, seed: u64) {
    let share = |percent: u64, whole: u64| whole * percent / 100;
    match action {
        Action::Append(sizes) => harness.append(&sizes),
        Action::Sync => harness.sync(),
        Action::Read(percent) => harness.read_from(share(percent, harness.durable())),
        Action::Truncate(percent) => harness.truncate_before(share(percent, harness.durable())),
        Action::Advance(by) => harness.advance_to(harness.durable() + by),
        Action::Kill => {
            harness.storage.heal();
            harness.reopen(None);
        }
        Action::PowerLoss(seed) => {
            harness.storage.heal();
            harness.reopen(Some(Numbers(seed)));
        }
        Action::Rotate => harness.rotate(),
        Action::Probe(bytes) => harness.probe(bytes),
        Action::CrashAfter(after) => harness.storage.fail_after(after, Fault::Crash),
        Action::FailAfter(after, fault) => harness.storage.fail_after(after, fault),
        Action::FillDisk(room) => harness.storage.fill_up_to(room),
        Action::Heal => harness.storage.heal(),
    }
    if harness.needs_reopening() {
        // A dead process comes back after a kill or after a power loss; so does one that was told to open again.
        let down = harness.storage.is_down();
        harness.storage.heal();
        harness.reopen((!down || seed.is_multiple_of(2)).then_some(Numbers(seed)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_acknowledged_record_survives_whatever_happens(actions in vec((action(), any::<u64>()), 1..60)) {
        let mut harness = Harness::new(SMALL);
        harness.reopen(None);
        for (action, seed) in actions {
            act(&mut harness, action, seed);
        }
        harness.storage.heal();
        harness.reopen(Some(Numbers(7)));
    }
}
