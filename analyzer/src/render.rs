//! Reports for people: text for a terminal, Markdown for a pull request. Pure functions of the report.

mod markdown;
mod text;

pub use markdown::markdown;
pub use text::{text, trace_text};
