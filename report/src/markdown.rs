//! A document for a comment on a pull request, in GitHub-flavoured Markdown without HTML.

mod inline;

use crate::document::{Block, Document, Fact, Item, Layout, Plot, Table, Text, Tone, own};
use crate::plot;

use inline::inline;

/// The document as GitHub-flavoured Markdown. No name in it can become markup, a mention or a link.
pub fn markdown(document: &Document) -> String {
    let mut parts = vec![format!("## {}", inline(&document.title))];
    parts.extend(document.subtitle.as_ref().map(inline));
    for section in &document.sections {
        parts.extend(section.heading.as_ref().map(|heading| format!("### {}", inline(heading))));
        parts.extend(section.blocks.iter().map(block));
    }
    parts.join("\n\n") + "\n"
}

fn block(block: &Block) -> String {
    match block {
        Block::Paragraph(text) => inline(text),
        Block::Answers(answers) => {
            let answer = |(name, answer): &(&str, Item)| item(&format!("**{name}** "), answer);
            answers.iter().map(answer).collect::<Vec<_>>().join("\n")
        }
        Block::Facts(facts) => table(&table_of(facts)),
        Block::Table(rows) => table(rows),
        Block::Plot(plot) => picture(plot),
        Block::Items(items) => items.iter().map(|next| item("", next)).collect::<Vec<_>>().join("\n"),
    }
}

/// A fence cannot be closed from inside: a command begins with our words and is one line.
fn item(start: &str, Item { text, command }: &Item) -> String {
    let command = command.as_ref().map(|words| format!("\n\n  ```sh\n  {}\n  ```", words.join(" ")));
    format!("- {start}{}{}", inline(text), command.unwrap_or_default())
}

fn table_of(facts: &[Fact]) -> Table {
    let columns = [("number", Layout::Left), ("value", Layout::Left), ("meaning", Layout::Left)];
    Table::new(columns, facts.iter().map(|fact| [own(fact.name), own(&fact.value), own(&fact.meaning)]))
}

fn table(table: &Table) -> String {
    let headings = row(table.columns.iter().map(|(heading, _)| inline(&own(heading))));
    let rules = row(table.columns.iter().map(|(_, layout)| match layout {
        Layout::Right => "---:".to_owned(),
        _ => "---".to_owned(),
    }));
    let rows = table.rows.iter().map(|cells| row(cells.iter().map(cell)));
    [headings, rules].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

fn row(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// What is bad stands out; the spaces that align a cell in a terminal are of no use here.
fn cell(text: &Text) -> String {
    let shown = inline(text);
    let shown = shown.trim();
    if text.tone == Tone::Bad && !shown.is_empty() { format!("**{shown}**") } else { shown.to_owned() }
}

/// Columns of a plot; a comment is narrower than a terminal.
const PLOT: usize = 72;

fn picture(plot: &Plot) -> String {
    let lines = plot::interval(plot.estimate, plot.interval, plot.threshold, &plot.label, PLOT);
    format!("```text\n{}\n{}\n```", plot.name, lines.join("\n"))
}
