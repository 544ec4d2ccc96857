//! Windows into verdicts.
//!
//! The way of one comparison: two [`Selector`]s name windows; [`read`] turns each window's rows into [`Observations`] (per
//! query a bounded sample of what it was answered and what came of it); [`judge()`] measures rankings and scores of the
//! queries that both windows asked, the mix of queries, and outputs, charges every unit of a ranking's change to a cause,
//! looks for contradictions and for the part of the traffic that changed; [`compare()`] writes the [`Report`].
//!
//! What is absent: HTTP, files and clocks. The arithmetic is in `tidemark-stats`, which knows nothing of any of this.

pub mod aliases;
pub mod answer;
pub mod causes;
pub mod compare;
mod effect;
mod error;
mod exposure;
mod integrity;
mod intern;
pub mod judge;
mod learn;
mod matched;
pub mod monitor;
mod neighbours;
pub mod observe;
pub mod operations;
pub mod outcome;
mod outputs;
mod pipeline;
mod presence;
mod quality;
pub mod read;
pub mod report;
mod scores;
mod segments;
mod selector;
pub mod sightings;
pub mod signatures;
mod since;
pub mod stage;
mod symptoms;
pub mod trace;
mod traffic;
mod units;
pub mod vocabulary;

pub use compare::{Options, compare};
pub use error::Error;
pub use judge::{Judged, Windows, judge};
pub use observe::Observations;
pub use report::Report;
pub use selector::{Segment, Selector, Window};
pub use trace::{TraceDiff, TraceQuery, diff_trace};
