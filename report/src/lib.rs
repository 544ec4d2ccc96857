//! Reports for people.
//!
//! What is said is one thing, how it looks another. [`comparison()`], [`explanation()`] and [`trace()`] say what was found as a
//! [`Document`] of headings, numbers and tables, and know no format. [`text()`] and [`markdown()`] lay out any document, and
//! know nothing of what is in it. So whatever is said is said in every format, and a format is one walk over the blocks.
//!
//! Names in a document come from events, and so from anyone. A document keeps them apart from our own words, and each
//! format makes all of its texts harmless in one place: for a terminal with [`visible()`], for Markdown as code.

mod comparison;
mod document;
mod escape;
mod explanation;
mod markdown;
mod number;
mod plot;
mod text;
mod trace;
mod wording;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use comparison::comparison;
pub use document::Document;
pub use escape::visible;
pub use explanation::explanation;
pub use markdown::markdown;
pub use text::{Style, text};
pub use trace::trace;
