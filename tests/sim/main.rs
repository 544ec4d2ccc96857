//! Simulations: what a comparison says of recordings that are resampled, halved or reordered, in memory.

mod events;
mod null_comparisons;
mod stability;

/// Whether to try harder: `tests/run --long`.
fn long() -> bool {
    std::env::var_os("TIDEMARK_LONG").is_some()
}
