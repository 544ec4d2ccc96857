//! Simulations: what a comparison says of recordings that are resampled, halved or reordered, in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a simulation reports its figures")]

mod awkward;
mod events;
mod null_comparisons;
mod pipelines;
mod power;
mod stability;
mod unrepeated;
mod verdicts;

/// Whether to try harder: `tests/run --long`.
fn long() -> bool {
    std::env::var_os("TIDEMARK_LONG").is_some()
}
