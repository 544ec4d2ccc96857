//! A page of text. Whatever is written on it is visible text first: no caller can forget to make a name harmless.

use anstyle::{AnsiColor, Style as Ansi};

use super::{BAR, Style};
use crate::document::{Inline, Text, Tone};
use crate::escape::{elide, visible, width, wrap};
use crate::plot;

/// The columns of a page.
pub(super) const COLUMNS: usize = 100;

fn ansi(tone: Tone) -> Ansi {
    match tone {
        Tone::Plain => Ansi::new(),
        Tone::Strong => Ansi::new().bold(),
        Tone::Good => AnsiColor::Green.on_default().bold(),
        Tone::Bad => AnsiColor::Red.on_default().bold(),
        Tone::Unsure => AnsiColor::Yellow.on_default().bold(),
        Tone::Quiet => Ansi::new().dimmed(),
        Tone::Picture => AnsiColor::Cyan.on_default(),
    }
}

/// Characters in one tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    text: String,
    tone: Tone,
}

/// Columns of a name that may lose its middle.
const LONG_NAME: usize = 46;

impl From<&Text> for Span {
    fn from(text: &Text) -> Self {
        let shown = |part: &Inline| match part {
            Inline::Own(words) | Inline::Name(words) | Inline::Prose(words) | Inline::Command(words) => visible(words),
            // Written out first: what is left out is then no part of what writes a character out.
            Inline::LongName(name) => elide(&visible(name), LONG_NAME),
            Inline::Bar(share) => plot::bar(*share, BAR),
        };
        Self { text: text.parts.iter().map(shown).collect(), tone: text.tone }
    }
}

impl Span {
    pub(super) fn new(tone: Tone, text: &str) -> Self {
        Self { text: visible(text), tone }
    }

    /// The columns that are kept for it: a bar takes those of a full one.
    pub(super) fn room(&self) -> usize {
        if self.tone == Tone::Picture { BAR } else { self.width() }
    }

    pub(super) fn width(&self) -> usize {
        width(&self.text)
    }

    /// In lines of at most so many columns, and not more than `lines_max` of them.
    pub(super) fn wrapped(&self, columns: usize, lines_max: usize) -> Vec<Self> {
        let mut lines = wrap(&self.text, columns);
        if lines.len() > lines_max {
            lines = wrap(&elide(&self.text, columns * lines_max), columns);
            lines.truncate(lines_max);
        }
        lines.into_iter().map(|text| Self { text, tone: self.tone }).collect()
    }

    pub(super) fn elided(&self, columns: usize) -> Self {
        Self { text: elide(&self.text, columns), tone: self.tone }
    }
}

/// The text that is being written.
pub(super) struct Page {
    style: Style,
    text: String,
}

impl Page {
    pub(super) fn new(style: Style) -> Self {
        Self { style, text: String::new() }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// An empty line between two parts of the page; none at its start.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// One line: each text starts at its column, if the one before it has ended by then.
    pub(super) fn line(&mut self, spans: &[(usize, Span)]) {
        let mut used = 0;
        for (column, span) in spans.iter().filter(|(_, span)| !span.text.trim_end().is_empty()) {
            let gap = column.saturating_sub(used).max(usize::from(used > *column));
            self.text.extend(std::iter::repeat_n(' ', gap));
            self.paint(span);
            used += gap + span.width();
        }
        self.text.push('\n');
    }

    /// Lines that start at one column.
    pub(super) fn paragraph(&mut self, column: usize, span: &Span) {
        for line in span.wrapped(COLUMNS.saturating_sub(column), usize::MAX) {
            self.line(&[(column, line)]);
        }
    }

    /// A paragraph of so many lines at most, with a mark in column 2 before the first of them.
    pub(super) fn item(&mut self, mark: Span, column: usize, text: &Text, lines_max: usize) {
        let mut mark = Some(mark);
        for line in Span::from(text).wrapped(COLUMNS - column, lines_max) {
            let marked = mark.take().map(|mark| (2, mark));
            self.line(&marked.into_iter().chain([(column, line)]).collect::<Vec<_>>());
        }
    }

    /// What can be copied into a shell: lines are broken where a shell lets them, never inside of a word, even if a word
    /// is longer than a line.
    pub(super) fn command(&mut self, column: usize, words: &[String]) {
        let mut indent = column;
        let mut line = String::new();
        for word in words {
            let word = visible(word);
            if !line.is_empty() && indent + width(&line) + 1 + width(&word) + 2 > COLUMNS {
                line.push_str(" \\");
                self.line(&[(indent, Span { text: std::mem::take(&mut line), tone: Tone::Strong })]);
                indent = column + 2;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        self.line(&[(indent, Span { text: line, tone: Tone::Strong })]);
    }

    fn paint(&mut self, span: &Span) {
        match (self.style, span.tone) {
            (Style::Plain, _) | (_, Tone::Plain) => self.text.push_str(&span.text),
            (Style::Coloured, tone) => {
                let ansi = ansi(tone);
                self.text.push_str(&format!("{ansi}{}{ansi:#}", span.text));
            }
        }
    }
}
