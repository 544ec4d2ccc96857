//! A crash at every single operation of a fixed life of a log.

use std::io::ErrorKind;

use crate::support::faulty::Fault;
use crate::support::harness::Harness;
use crate::support::{Numbers, SMALL};

/// Every kind of operation, several segments, a drained log, a full one and an orderly restart.
fn live(harness: &mut Harness) {
    harness.reopen(None);
    harness.append(&[10, 20, 30]);
    harness.sync();
    harness.append(&[60, 70]);
    harness.append(&[80]);
    harness.sync();
    harness.truncate_before(4);
    harness.append(&[500]);
    harness.append(&[]);
    harness.sync();
    harness.truncate_before(harness.durable());
    for _ in 0..6 {
        harness.append(&[900]);
    }
    harness.sync();
    if !harness.storage.is_down() {
        harness.reopen(None);
    }
    harness.truncate_before(harness.durable());
    harness.append(&[1000, 1000, 1000]);
    harness.sync();
    harness.rotate();
    harness.probe(100);
    harness.truncate_before(harness.durable());
    harness.append(&[40, 40, 40]);
}

fn operations_of_a_life() -> u64 {
    let mut harness = Harness::new(SMALL);
    live(&mut harness);
    harness.storage.operations()
}

/// Runs a life with a crash at one operation, comes back, and checks that the log still works.
fn check_crash(at: u64, power_loss: Option<u64>) {
    let mut harness = Harness::new(SMALL);
    harness.storage.fail_after(at, Fault::Crash);
    live(&mut harness);
    assert_eq!(harness.storage.faults_met(), 1, "operation {at} was never reached");
    harness.reopen(power_loss.map(Numbers));
    harness.append(&[50, 150]);
    harness.sync();
    harness.reopen(Some(Numbers(at)));
}

#[test]
fn a_power_loss_at_any_operation_loses_nothing_acknowledged() {
    for at in 0..operations_of_a_life() {
        for seed in 0..40 {
            check_crash(at, Some(seed));
        }
    }
}

#[test]
fn a_kill_at_any_operation_loses_nothing_acknowledged() {
    for at in 0..operations_of_a_life() {
        check_crash(at, None);
    }
}

#[test]
fn a_crash_while_opening_after_a_crash_loses_nothing_acknowledged() {
    for at in 0..operations_of_a_life() {
        for again in 0..6 {
            for seed in 0..4 {
                let mut harness = Harness::new(SMALL);
                harness.storage.fail_after(at, Fault::Crash);
                live(&mut harness);
                let mut numbers = Numbers(seed);
                harness.storage.restart(Some(&mut numbers));
                harness.storage.fail_after(again, Fault::Crash);
                harness.reopen(Some(numbers));
                harness.append(&[50, 150]);
                harness.sync();
            }
        }
    }
}

#[test]
fn a_failure_of_any_operation_loses_nothing_acknowledged() {
    for at in 0..operations_of_a_life() {
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            let mut harness = Harness::new(SMALL);
            harness.reopen(None);
            harness.storage.fail_after(at, Fault::Error(kind));
            for round in 0..12_usize {
                harness.append(&[10 * round, 70]);
                harness.sync();
                harness.truncate_before(harness.durable() / 2);
                if harness.needs_reopening() {
                    harness.reopen(Some(Numbers(at)));
                }
            }
            harness.reopen(Some(Numbers(at)));
        }
    }
}

#[test]
fn a_crash_while_numbering_moves_forward_loses_nothing_that_was_not_given_up() {
    for at in 0..12 {
        for seed in 0..20 {
            let mut harness = Harness::new(SMALL);
            harness.reopen(None);
            harness.append(&[10, 90, 90]);
            harness.sync();
            harness.storage.fail_after(at, Fault::Crash);
            harness.advance_to(1_000);
            harness.append(&[10]);
            harness.sync();
            harness.storage.heal();
            harness.reopen(Some(Numbers(seed)));
        }
    }
}

#[test]
fn a_segment_that_could_not_be_begun_never_comes_back() {
    for at in 0..6 {
        for seed in 0..40 {
            let mut harness = Harness::new(SMALL);
            harness.reopen(None);
            harness.append(&[60]);
            harness.sync();
            harness.storage.fail_after(at, Fault::Error(ErrorKind::StorageFull));
            harness.append(&[90]);
            harness.append(&[10]);
            harness.sync();
            harness.reopen(Some(Numbers(seed)));
        }
    }
}

#[test]
fn segments_whose_removal_was_interrupted_leave_no_hole() {
    for at in 0..8 {
        for fault in [Fault::Crash, Fault::Error(ErrorKind::Other)] {
            for crash_at in 0..8 {
                for seed in 0..16 {
                    let mut harness = Harness::new(SMALL);
                    harness.reopen(None);
                    for _ in 0..6 {
                        harness.append(&[100]);
                    }
                    harness.sync();
                    harness.storage.fail_after(at, fault);
                    harness.truncate_before(3);
                    harness.storage.fail_after(crash_at, Fault::Crash);
                    harness.truncate_before(6);
                    harness.storage.heal();
                    harness.reopen(Some(Numbers(seed)));
                }
            }
        }
    }
}
