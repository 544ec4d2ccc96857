//! What whole-system tests share: the real binary, real processes, real stores in directories of their own.

mod binary;
mod recording;
mod server;
mod store;

pub use binary::{Finished, binary, run};
pub use recording::{Recording, recordings};
pub use server::{Answer, Server, agent, post, post_over};
pub use store::TemporaryStore;

/// Whether the long campaigns were asked for (`tests/run --long`).
pub fn is_long() -> bool {
    std::env::var_os("TIDEMARK_LONG").is_some()
}
