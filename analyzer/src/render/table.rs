//! Aligned tables.

use super::page::{COLUMNS, Page, Role, Span};

/// Where a column's texts stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// At its left edge, in as many lines as it takes.
    Left,
    /// At its right edge, as numbers do.
    Right,
    /// At its left edge, in one line: the middle is left out where it does not fit.
    Elided,
}

/// Rows of texts.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Span>>,
}

/// Columns between two texts.
const GAP: usize = 2;
/// Columns before the first.
const INDENT: usize = 2;
/// No column gets narrower.
const NARROWEST: usize = 8;
/// A text that takes more lines loses its middle.
const LINES_MAX: usize = 3;

impl Table {
    pub(super) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(super) fn headings(&mut self, names: &[&str]) {
        self.rows.push(names.iter().map(|name| Span::new(Role::Quiet, name)).collect());
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Span>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn write(&self, page: &mut Page) {
        let widths = self.widths();
        for row in &self.rows {
            let cells: Vec<Vec<Span>> = row
                .iter()
                .zip(self.columns.iter().zip(&widths))
                .map(|(cell, (column, width))| match column {
                    Column::Elided => vec![cell.elided(*width)],
                    // Text that fits is not touched: its spaces align it.
                    Column::Left | Column::Right if cell.width() <= *width => vec![cell.clone()],
                    Column::Left | Column::Right => cell.wrapped(*width, LINES_MAX),
                })
                .collect();
            for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
                let mut start = INDENT;
                let mut spans = Vec::new();
                for (cell, (column, width)) in cells.iter().zip(self.columns.iter().zip(&widths)) {
                    if let Some(span) = cell.get(line) {
                        let pad = if *column == Column::Right { width.saturating_sub(span.width()) } else { 0 };
                        spans.push((start + pad, span.clone()));
                    }
                    start += width + GAP;
                }
                page.line(&spans);
            }
        }
    }

    /// As wide as the texts; where that is too much, the columns that may lose text give first, then the widest.
    fn widths(&self) -> Vec<usize> {
        let of = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(Span::width).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..self.columns.len()).map(of).collect();
        let room = COLUMNS.saturating_sub(INDENT + GAP * widths.len().saturating_sub(1));
        loop {
            let excess = widths.iter().sum::<usize>().saturating_sub(room);
            let shrinkable = |(width, column): &(&mut usize, &Column)| {
                let least = if **column == Column::Elided { 2 * NARROWEST } else { NARROWEST };
                **width > least
            };
            let widest = widths
                .iter_mut()
                .zip(&self.columns)
                .filter(shrinkable)
                .max_by_key(|(width, column)| (**column == Column::Elided, **width));
            match widest {
                Some((width, _)) if excess > 0 => *width -= 1,
                _ => return widths,
            }
        }
    }
}
