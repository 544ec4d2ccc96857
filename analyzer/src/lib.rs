//! Windows into verdicts.
//!
//! The way of one comparison: two [`Selector`]s name windows; [`read`] turns each window's rows into [`Observations`] (per
//! query a bounded sample of what it was answered); [`matched`] measures, for every query that both windows asked, how far
//! its answers are apart and how far they are apart within one window anyway; [`causes`] charges every unit of that
//! distance to a cause; [`compare`] judges and writes the [`Report`].
//!
//! What is absent: HTTP, files and clocks. The arithmetic is in `tidemark-stats`, which knows nothing of any of this.

pub mod causes;
pub mod compare;
mod error;
mod intern;
pub mod matched;
pub mod observe;
mod presence;
pub mod read;
pub mod render;
pub mod report;
pub mod scores;
mod selector;
pub mod trace;

pub use compare::{Options, compare};
pub use error::Error;
pub use observe::Observations;
pub use report::Report;
pub use selector::{Selector, Window};
pub use trace::{TraceDiff, TraceQuery, diff_trace};
