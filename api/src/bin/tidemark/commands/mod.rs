//! One file per command: what was typed into one call of the library, and its answer onto the terminal.

pub(crate) mod audit;
pub(crate) mod compare;
pub(crate) mod corpus;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod erase;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod policy;
pub(crate) mod serve;
pub(crate) mod storage;
pub(crate) mod verify;

use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use tidemark_api::operations::{Caller, Operations};
use tidemark_api::store::LocalDirectories;
use tidemark_collector::policy::Policy;
use tidemark_lake::Location;
use tidemark_report::{Style, visible};
use tidemark_schema::{Clock, CorpusName, CorpusVersion, SystemClock, Timestamp};

use crate::arguments::StoreArguments;
use crate::failure::Failure;

fn location(store: &StoreArguments) -> Result<Location, Failure> {
    let Some(data) = &store.data else {
        let hint = "add --data DIR, or set TIDEMARK_DATA; `tidemark demo` makes a store to look at";
        return Err(Failure::usage("no store is named").hint(hint));
    };
    Ok(Location::parse(data, std::env::vars())?)
}

/// What a command works with: the operations on the store that is named, and the operator who asks.
struct Session {
    operations: Operations,
    caller: Caller,
}

impl Session {
    /// `actor` is the name of the command in the audit log.
    fn of(store: &StoreArguments, actor: &'static str) -> Result<Self, Failure> {
        let directories = LocalDirectories { state: store.state.clone(), keys: store.keys.clone() };
        let operations = Operations::on(location(store)?, directories, Arc::new(SystemClock))?;
        Ok(Self { operations, caller: Caller::operator(actor, store.tenant.clone()) })
    }

    /// The same under a policy.
    fn under(self, policy: Arc<Policy>) -> Self {
        Self { operations: self.operations.with_policy(policy), ..self }
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn corpus_name(text: &str) -> Result<CorpusName, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("the corpus {text:?} {error}")))
}

fn corpus_version(text: &str) -> Result<CorpusVersion, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("the version {text:?} {error}")))
}

/// Colours on a terminal that wants them.
fn style() -> Style {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => Style::Plain,
        _ => Style::Coloured,
    }
}

/// Lines of ours onto standard output. What they hold of others (names, paths, errors) is written out where a terminal would
/// obey it.
fn print(text: &str) -> Result<(), Failure> {
    print_as_it_is(&visible_lines(text))
}

/// A document that was made visible already, with its colours, or what programs read. Whoever closed the output (`| head`) has
/// seen enough.
fn print_as_it_is(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// A text whose line breaks are ours and whose other characters are all seen.
pub(crate) fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::of)?;
    print_as_it_is(&format!("{text}\n"))
}

/// A path as it can be typed.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./~".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A number with separators of thousands.
fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rows with aligned columns; the first row is the heading.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  ", width = *width));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators_of_thousands() {
        let shown: Vec<String> = [0_u64, 999, 1_000, 1_234_567].into_iter().map(count).collect();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        let hostile = "a\u{1b}[2J\u{202e}b\nc\r\n";
        assert_eq!(visible_lines(hostile), "a\\u{1b}[2J\\u{202e}b\nc\\r\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "x".to_owned()]];
        assert_eq!(table(&rows), "a     b\nlong  x\n");
    }
}
