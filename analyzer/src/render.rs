//! Reports for people: text for a terminal, Markdown for a pull request. Pure functions of the report.
//!
//! Names in a report come from events, and so from anyone. Both renderers make them harmless in one place: [`page`]
//! passes every text through [`escape`] before it can reach a terminal, and [`markdown`] writes none of them except
//! through [`inline`]. What is said, and in which order, is common to both: [`words`] and [`next`].

mod escape;
mod explain;
mod inline;
mod markdown;
mod next;
mod number;
mod page;
mod plot;
mod section;
mod side_by_side;
mod table;
mod text;
mod words;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use explain::explain;
pub use markdown::markdown;
pub use side_by_side::trace_text;
pub use text::text;

/// Whether a terminal shows colours. Without them nothing is lost: colours repeat what words say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Characters only.
    #[default]
    Plain,
    /// With ANSI escape sequences.
    Coloured,
}
