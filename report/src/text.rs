//! A document for a terminal.

mod page;
mod table;

use crate::document::{Block, Document, Fact, Layout, Plot, Section, Table, Text, Tone, own};
use crate::plot;

use page::{COLUMNS, Page, Span};

/// Whether a terminal shows colours. Without them nothing is lost: colours repeat what words say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Characters only.
    #[default]
    Plain,
    /// With ANSI escape sequences.
    Coloured,
}

/// The document as text of at most 100 columns, what was found in its first line. Only a word of a command that is longer
/// than a line exceeds them: it has to be copied whole.
pub fn text(document: &Document, style: Style) -> String {
    let mut page = Page::new(style);
    page.paragraph(0, &Span::from(&document.title));
    if let Some(subtitle) = &document.subtitle {
        page.paragraph(0, &Span::from(subtitle));
    }
    for section in &document.sections {
        write_section(&mut page, section);
    }
    page.finish()
}

/// What stands under a heading is indented.
fn write_section(page: &mut Page, section: &Section) {
    page.gap();
    if let Some(heading) = &section.heading {
        page.paragraph(0, &Span::from(heading));
    }
    let indent = if section.heading.is_some() { 2 } else { 0 };
    for (place, block) in section.blocks.iter().enumerate() {
        // Tables and pictures are told apart by an empty line.
        if place > 0 && matches!(block, Block::Table(_) | Block::Plot(_)) {
            page.gap();
        }
        write_block(page, indent, block);
    }
}

/// Columns before the answers of a summary.
const ANSWERS: usize = 12;
/// Lines of an answer at most.
const ANSWER_LINES: usize = 3;

fn write_block(page: &mut Page, indent: usize, block: &Block) {
    match block {
        Block::Paragraph(text) => page.paragraph(indent, &Span::from(text)),
        Block::Answers(answers) => {
            for (name, answer) in answers {
                page.item(Span::new(Tone::Strong, name), ANSWERS, &answer.text, ANSWER_LINES);
                answer.command.iter().for_each(|command| page.command(ANSWERS, command));
            }
        }
        Block::Facts(facts) => table::write(page, &table_of(facts)),
        Block::Table(table) => table::write(page, table),
        Block::Plot(plot) => write_plot(page, plot),
        Block::Items(items) => {
            for item in items {
                page.item(Span::new(Tone::Plain, "-"), 4, &item.text, usize::MAX);
                item.command.iter().for_each(|command| page.command(6, command));
            }
        }
    }
}

fn table_of(facts: &[Fact]) -> Table {
    let columns = [("", Layout::Left), ("", Layout::Left), ("", Layout::Left)];
    let quiet = |meaning: &String| -> Text { own(meaning).toned(Tone::Quiet) };
    Table::new(columns, facts.iter().map(|fact| [own(fact.name), own(&fact.value), quiet(&fact.meaning)]))
}

/// Columns of a bar that shows a share of 1.
const BAR: usize = 40;

fn write_plot(page: &mut Page, plot: &Plot) {
    page.line(&[(2, Span::new(Tone::Quiet, plot.name))]);
    for line in plot::interval(plot.estimate, plot.interval, plot.threshold, &plot.label, COLUMNS - 4) {
        page.line(&[(2, Span::new(Tone::Picture, &line))]);
    }
}
