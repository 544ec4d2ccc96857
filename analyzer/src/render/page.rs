//! A page of text. Whatever is written on it is visible text first: no caller can forget to make a name harmless.

use anstyle::{AnsiColor, Style as Ansi};

use super::Style;
use super::escape::{elide, visible, width, wrap};

/// The columns of a page.
pub(super) const COLUMNS: usize = 100;

/// What a text is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    Heading,
    Good,
    Bad,
    Unsure,
    Quiet,
    Picture,
}

impl Role {
    fn ansi(self) -> Ansi {
        match self {
            Self::Plain => Ansi::new(),
            Self::Heading => Ansi::new().bold(),
            Self::Good => AnsiColor::Green.on_default().bold(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Unsure => AnsiColor::Yellow.on_default().bold(),
            Self::Quiet => Ansi::new().dimmed(),
            Self::Picture => AnsiColor::Cyan.on_default(),
        }
    }
}

/// A text and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    text: String,
    role: Role,
}

impl Span {
    pub(super) fn new(role: Role, text: &str) -> Self {
        Self { text: visible(text), role }
    }

    pub(super) fn plain(text: &str) -> Self {
        Self::new(Role::Plain, text)
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
        lines.into_iter().map(|text| Self { text, role: self.role }).collect()
    }

    pub(super) fn elided(&self, columns: usize) -> Self {
        Self { text: elide(&self.text, columns), role: self.role }
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

    pub(super) fn heading(&mut self, text: &str) {
        self.gap();
        self.paragraph(0, &Span::new(Role::Heading, text));
    }

    /// A paragraph with a mark before its first line.
    pub(super) fn item(&mut self, text: &str) {
        for (place, line) in Span::plain(text).wrapped(COLUMNS - 4, usize::MAX).into_iter().enumerate() {
            let mark = if place == 0 { "-" } else { "" };
            self.line(&[(2, Span::plain(mark)), (4, line)]);
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
                self.line(&[(indent, Span { text: std::mem::take(&mut line), role: Role::Heading })]);
                indent = column + 2;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        self.line(&[(indent, Span { text: line, role: Role::Heading })]);
    }

    fn paint(&mut self, span: &Span) {
        match (self.style, span.role) {
            (Style::Plain, _) | (_, Role::Plain) => self.text.push_str(&span.text),
            (Style::Coloured, role) => {
                let ansi = role.ansi();
                self.text.push_str(&format!("{ansi}{}{ansi:#}", span.text));
            }
        }
    }
}
