//! All integration tests are modules of this one binary: one link step, and one place to look.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test of a limit reports its figure")]

mod bad_input;
mod client;
mod command_line;
#[cfg(target_os = "linux")]
mod disk_full;
mod durability;
mod field;
#[cfg(target_os = "linux")]
mod flood;
mod keeping;
#[cfg(target_os = "linux")]
mod memory;
mod readme;
mod recordings;
mod serving;
