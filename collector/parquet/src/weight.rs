//! What decoding a column takes of memory, and how many rows may be decoded at a time.

use parquet::basic::Type;
use parquet::column::page::Page;
use parquet::schema::types::ColumnDescriptor;

use crate::levels::Rows;

/// What a value takes once it is decoded: a view of a text, its levels, and room to grow.
const VALUE_BYTES: u64 = 32;
/// What it takes in each list in which it lies: where the list begins, once more while it is built.
const LIST_BYTES: u64 = 16;

/// What is known of one column, over all its chunks; all in bytes.
#[derive(Debug)]
pub(crate) struct Weight {
    /// What one of its values takes.
    value: u64,
    /// How many pieces a batch may touch with its ends, however few rows it has.
    pieces_at_ends: u64,
    /// The largest piece: pages that follow each other and of which the first alone begins rows. A batch of rows keeps all
    /// pages alive in which its texts stand.
    piece: u64,
    /// The largest dictionary.
    dictionary: u64,
    /// The values of the longest row.
    row_values: u64,
    /// The most that pieces take for one of their rows, on average.
    pieces_per_row: u64,
    /// The most that a dictionary takes for one row of its chunk, on average.
    dictionary_per_row: u64,
}

/// The pages of one chunk, as far as they have been added.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    rows: u64,
    dictionary: u64,
    /// The piece that may still grow: its bytes and its rows.
    piece: (u64, u64),
}

impl Weight {
    pub(crate) fn of(column: &ColumnDescriptor) -> Self {
        let fixed = if column.physical_type() == Type::FIXED_LEN_BYTE_ARRAY { column.type_length() } else { 0 };
        let lists = u64::try_from(column.max_rep_level()).unwrap_or(0);
        Self {
            value: VALUE_BYTES + LIST_BYTES * lists + u64::try_from(fixed).unwrap_or(0),
            // The last row may begin in one piece and end in the next.
            pieces_at_ends: if lists > 0 { 3 } else { 2 },
            piece: 0,
            dictionary: 0,
            row_values: 0,
            pieces_per_row: 0,
            dictionary_per_row: 0,
        }
    }

    /// Adds a page after which `rows` are known; decoding takes the bytes `beside` it.
    pub(crate) fn add(&mut self, chunk: &mut Chunk, page: &Page, beside: u64, rows: &Rows) {
        let (bytes, begun) = (page.buffer().len() as u64 + beside, rows.begun - chunk.rows);
        if page.is_dictionary_page() {
            chunk.dictionary += bytes + u64::from(page.num_values()) * VALUE_BYTES;
            return;
        }
        chunk.rows = rows.begun;
        if begun > 0 && chunk.piece.1 > 0 {
            self.add_piece(chunk);
        }
        chunk.piece = (chunk.piece.0 + bytes, chunk.piece.1 + begun);
        self.row_values = self.row_values.max(rows.longest.saturating_mul(self.value));
    }

    /// Adds what is left at the end of a chunk.
    pub(crate) fn finish(&mut self, mut chunk: Chunk) {
        self.add_piece(&mut chunk);
        self.dictionary = self.dictionary.max(chunk.dictionary);
        self.dictionary_per_row = self.dictionary_per_row.max(chunk.dictionary.div_ceil(chunk.rows.max(1)));
    }

    fn add_piece(&mut self, chunk: &mut Chunk) {
        let (bytes, rows) = std::mem::take(&mut chunk.piece);
        self.piece = self.piece.max(bytes);
        self.pieces_per_row = self.pieces_per_row.max(bytes.div_ceil(rows.max(1)));
    }

    /// What a batch takes however few rows it has: the pieces in which it begins and ends, the dictionary, and one row.
    pub(crate) fn least(&self) -> u64 {
        self.piece.saturating_mul(self.pieces_at_ends).saturating_add(self.dictionary).saturating_add(self.row_values)
    }

    fn per_row(&self) -> u64 {
        self.pieces_per_row.saturating_add(self.dictionary_per_row).saturating_add(self.row_values)
    }
}

/// How many rows take no more than these bytes in all columns: at least 1, at most `rows_max`.
pub(crate) fn rows_within(bytes: u64, weights: &[Weight], rows_max: usize) -> usize {
    let per_row = weights.iter().map(Weight::per_row).fold(0, u64::saturating_add);
    usize::try_from(bytes / per_row.max(1)).unwrap_or(rows_max).clamp(1, rows_max)
}
