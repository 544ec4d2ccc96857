//! What a report says, before it has a format.

use std::ops::Add;

/// A report in blocks, for a walker to lay out: [`text`](crate::text()) or [`markdown`](crate::markdown()).
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What was found, in one line. Its tone is how much the whole asks for attention.
    pub(crate) title: Text,
    /// What was looked at.
    pub(crate) subtitle: Option<Text>,
    pub(crate) sections: Vec<Section>,
}

/// Blocks that belong together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section {
    pub(crate) heading: Option<Text>,
    pub(crate) blocks: Vec<Block>,
}

impl Section {
    /// Under a heading in our words.
    pub(crate) fn headed(heading: impl Into<String>, blocks: Vec<Block>) -> Self {
        Self { heading: Some(own(heading).toned(Tone::Strong)), blocks }
    }

    pub(crate) fn unheaded(block: Block) -> Self {
        Self { heading: None, blocks: vec![block] }
    }
}

/// One thing in a section.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Block {
    Paragraph(Text),
    /// Questions in a word, each with its answer: the lines that suffice.
    Answers(Vec<(&'static str, Item)>),
    Facts(Vec<Fact>),
    Table(Table),
    Plot(Plot),
    /// Notes, or things to do.
    Items(Vec<Item>),
}

/// A text, and what to type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) text: Text,
    pub(crate) command: Option<Command>,
}

impl From<Text> for Item {
    fn from(text: Text) -> Self {
        Self { text, command: None }
    }
}

/// The words of a command, each quoted for a shell, and an option together with the word that it takes.
pub(crate) type Command = Vec<String>;

/// One number of a report. All of it is in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) meaning: String,
}

impl Fact {
    pub(crate) fn new(name: &'static str, value: String, meaning: impl Into<String>) -> Self {
        Self { name, value, meaning: meaning.into() }
    }
}

/// Rows of texts under headings in our words. Where no column has a heading, the texts speak for themselves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<(String, Layout)>,
    /// Each with a text for every column.
    pub(crate) rows: Vec<Vec<Text>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(columns: [(&str, Layout); N], rows: impl IntoIterator<Item = [Text; N]>) -> Self {
        Self {
            columns: columns.into_iter().map(|(heading, layout)| (heading.to_owned(), layout)).collect(),
            rows: rows.into_iter().map(Vec::from).collect(),
        }
    }

    /// Leaves out the columns in which no row says anything.
    pub(crate) fn without_empty_columns(mut self) -> Self {
        for at in (0..self.columns.len()).rev() {
            if self.rows.iter().all(|row| row[at].parts.is_empty()) {
                self.columns.remove(at);
                self.rows.iter_mut().for_each(|row| drop(row.remove(at)));
            }
        }
        self
    }
}

/// How the texts of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// At its left edge, in as many lines as they take.
    Left,
    /// At its right edge, as numbers do.
    Right,
    /// At its left edge, in one line: a narrow medium may leave out the middle.
    Elided,
    /// As [`Layout::Left`]; a medium that is too narrow for sentences in columns writes them below the row.
    Below,
    /// The same, and the heading says what they are: it goes before them.
    BelowNamed,
}

/// An estimate with its interval on an axis from 0 to 1, and from where on it matters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plot {
    /// What is estimated, in our words.
    pub(crate) name: &'static str,
    pub(crate) estimate: f64,
    pub(crate) interval: [f64; 2],
    pub(crate) threshold: f64,
    /// What stands at the threshold, in our words.
    pub(crate) label: String,
}

/// What a text is, beyond its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Strong,
    Good,
    Bad,
    Unsure,
    Quiet,
    /// A bar.
    Picture,
}

/// Words in one tone, by who wrote them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Text {
    pub(crate) tone: Tone,
    pub(crate) parts: Vec<Inline>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Inline {
    /// Our own words, without anything from events.
    Own(String),
    /// A name, to be read letter by letter: from events, or one of ours that programs know.
    Name(String),
    /// The same; a narrow medium may leave out its middle.
    LongName(String),
    /// Words of ours with names in them that nothing marks, and commands between backticks.
    Prose(String),
    /// What can be typed as it is.
    Command(String),
    /// A share of 1 as the length of a bar.
    Bar(f64),
}

impl Text {
    pub(crate) fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// Both, one after the other, in the tone of the first.
impl Add for Text {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }
}

impl From<Inline> for Text {
    fn from(part: Inline) -> Self {
        Self { tone: Tone::Plain, parts: vec![part] }
    }
}

/// Our own words; no words are no part.
pub(crate) fn own(words: impl Into<String>) -> Text {
    let words = words.into();
    if words.is_empty() { Text::default() } else { Inline::Own(words).into() }
}

/// A name, from events or known to programs.
pub(crate) fn name(name: impl Into<String>) -> Text {
    Inline::Name(name.into()).into()
}

/// Words of ours with names in them that nothing marks.
pub(crate) fn prose(words: impl Into<String>) -> Text {
    Inline::Prose(words.into()).into()
}

/// A bar for a share of 1.
pub(crate) fn bar(share: f64) -> Text {
    Text { tone: Tone::Picture, parts: vec![Inline::Bar(share)] }
}

/// Texts one after the other, with words of ours between them.
pub(crate) fn join(texts: impl IntoIterator<Item = Text>, between: &str) -> Text {
    texts.into_iter().reduce(|all, text| all + own(between) + text).unwrap_or_default()
}
