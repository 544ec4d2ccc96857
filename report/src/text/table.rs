//! Aligned tables.

use super::page::{COLUMNS, Page, Span};
use crate::document::{Layout, Table, Text, Tone, own};

/// Columns between two texts.
const GAP: usize = 2;
/// Columns before the first.
const INDENT: usize = 2;
/// Columns before what stands below a row.
const BELOW: usize = 4;
/// No column gets narrower.
const NARROWEST: usize = 8;
/// A text that takes more lines loses its middle.
const LINES_MAX: usize = 3;

/// The rows under their headings. Where the columns are too wide for that, the rest of each row stands below it, and there
/// is no line of headings.
pub(super) fn write(page: &mut Page, table: &Table) {
    let beside: Vec<usize> = (0..table.columns.len()).filter(|at| !is_below(table.columns[*at].1)).collect();
    let layouts: Vec<Layout> = beside.iter().map(|at| table.columns[*at].1).collect();
    let is_list = beside.len() < table.columns.len();
    let says_nothing = table.columns.iter().all(|(heading, _)| heading.is_empty());
    let headings: Vec<Span> = table.columns.iter().map(|(heading, _)| Span::new(Tone::Quiet, heading)).collect();
    let mut rows: Vec<Vec<Span>> =
        table.rows.iter().map(|row| beside.iter().map(|at| Span::from(&row[*at])).collect()).collect();
    if is_list || says_nothing {
        let widths = widths(&layouts, &rows);
        for (row, whole) in rows.iter().zip(&table.rows) {
            write_row(page, row, &layouts, &widths);
            write_below(page, table, whole);
        }
    } else {
        rows.insert(0, headings);
        let widths = widths(&layouts, &rows);
        for row in &rows {
            write_row(page, row, &layouts, &widths);
        }
    }
}

fn is_below(layout: Layout) -> bool {
    matches!(layout, Layout::Below | Layout::BelowNamed)
}

fn write_below(page: &mut Page, table: &Table, row: &[Text]) {
    let below =
        row.iter().zip(&table.columns).filter(|(text, (_, layout))| is_below(*layout) && !text.parts.is_empty());
    for (text, (heading, layout)) in below {
        let named = if *layout == Layout::BelowNamed { own(format!("{heading} ")) } else { own("") };
        page.paragraph(BELOW, &Span::from(&(named.toned(text.tone) + text.clone())));
    }
}

fn write_row(page: &mut Page, row: &[Span], columns: &[Layout], widths: &[usize]) {
    let cells: Vec<Vec<Span>> = row
        .iter()
        .zip(columns.iter().zip(widths))
        .map(|(cell, (column, width))| match column {
            Layout::Elided => vec![cell.elided(*width)],
            // Text that fits is not touched: its spaces align it.
            _ if cell.width() <= *width => vec![cell.clone()],
            _ => cell.wrapped(*width, LINES_MAX),
        })
        .collect();
    for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
        let mut start = INDENT;
        let mut spans = Vec::new();
        for (cell, (column, width)) in cells.iter().zip(columns.iter().zip(widths)) {
            if let Some(span) = cell.get(line) {
                let pad = if *column == Layout::Right { width.saturating_sub(span.width()) } else { 0 };
                spans.push((start + pad, span.clone()));
            }
            start += width + GAP;
        }
        page.line(&spans);
    }
}

/// As wide as the texts; where that is too much, the columns that may lose text give first, then the widest.
fn widths(columns: &[Layout], rows: &[Vec<Span>]) -> Vec<usize> {
    let of = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(Span::room).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns.len()).map(of).collect();
    let room = COLUMNS.saturating_sub(INDENT + GAP * widths.len().saturating_sub(1));
    loop {
        let excess = widths.iter().sum::<usize>().saturating_sub(room);
        let shrinkable = |(width, column): &(&mut usize, &Layout)| {
            let least = if **column == Layout::Elided { 2 * NARROWEST } else { NARROWEST };
            **width > least
        };
        let widest = widths
            .iter_mut()
            .zip(columns)
            .filter(shrinkable)
            .max_by_key(|(width, column)| (**column == Layout::Elided, **width));
        match widest {
            Some((width, _)) if excess > 0 => *width -= 1,
            _ => return widths,
        }
    }
}
