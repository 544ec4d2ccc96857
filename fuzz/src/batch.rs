//! A body or a file as it is sent: decompressed to a limit, cut into pieces, each piece decoded.

use std::io::{BufRead, Read};

use tidemark_collector::decode::{Kind, Piece, PieceError, Pieces};
use tidemark_collector::{Compression, CompressionError, decompress};

use crate::events::{LIMITS, check_event};

/// Small enough that a bomb of a few bytes goes beyond it.
const CONTENT_BYTES: usize = 64 * 1024;

/// Arbitrary bytes as a body, plain and in each compression.
pub fn batch(bytes: &[u8]) {
    let said = Compression::of(bytes);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        match decompress(bytes, compression, CONTENT_BYTES) {
            Ok(content) => {
                assert!(content.len() <= CONTENT_BYTES);
                if compression == said || compression == Compression::None {
                    check_pieces(&content);
                }
            }
            Err(CompressionError::TooLarge { limit }) => assert_eq!(limit, CONTENT_BYTES),
            Err(CompressionError::Invalid(found, _)) => assert_eq!(found, compression),
        }
    }
}

fn check_pieces(content: &[u8]) {
    let pieces = cut(content, content.len());
    let last_line = content.split(|byte| *byte == b'\n').count() as u64;
    let (mut line_before, mut from) = (1, 0);
    for piece in pieces.iter().flatten() {
        let (line, bytes) = match piece {
            Piece::Event { line, bytes } => {
                assert!(bytes.len() <= LIMITS.event_bytes);
                (*line, bytes.as_slice())
            }
            Piece::TooLong { line, bytes } => {
                assert!(*bytes > LIMITS.event_bytes as u64);
                (*line, &[][..])
            }
        };
        assert!((line_before..=last_line).contains(&line), "lines ascend");
        line_before = line;
        let place =
            find(content, bytes, from).unwrap_or_else(|| panic!("{piece:?} is not in the content behind {from}"));
        from = place + bytes.len();
        if let Some(kind) = Kind::of(bytes) {
            check_event(bytes, kind);
        }
    }
    // The first line is looked at as a whole to tell the form; from there on it does not matter in which parts bytes come.
    let first = content.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or_default();
    let first_end =
        content.iter().skip(first).position(|byte| *byte == b'\n').map_or(content.len(), |end| first + end + 1);
    let in_parts = cut(Parts { content, sizes: [first_end, 1, 7, 3] }, content.len());
    assert_eq!(format!("{in_parts:?}"), format!("{pieces:?}"), "the parts in which bytes come change nothing");
}

/// The pieces up to the end or the first error, behind which there is nothing.
fn cut(content: impl BufRead, content_bytes: usize) -> Vec<Result<Piece, PieceError>> {
    let mut pieces = Pieces::new(content, LIMITS.event_bytes);
    let mut found = Vec::new();
    while let Some(piece) = pieces.next() {
        let ended = piece.is_err();
        found.push(piece);
        assert!(found.len() <= content_bytes + 1, "there are no more pieces than bytes");
        if ended {
            assert!(pieces.next().is_none(), "nothing follows an error");
            break;
        }
    }
    found
}

fn find(content: &[u8], bytes: &[u8], from: usize) -> Option<usize> {
    if bytes.is_empty() {
        return Some(from);
    }
    let behind = content.get(from..)?;
    behind.windows(bytes.len()).position(|window| window == bytes).map(|place| from + place)
}

/// A reader whose buffer holds a few bytes at a time.
struct Parts<'a> {
    content: &'a [u8],
    sizes: [usize; 4],
}

impl Read for Parts<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let held = self.fill_buf()?;
        let count = held.len().min(into.len());
        into.iter_mut().zip(held).for_each(|(to, from)| *to = *from);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Parts<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        let end = self.sizes.first().copied().unwrap_or(1).clamp(1, self.content.len().max(1));
        Ok(self.content.get(..end).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.content = self.content.get(count..).unwrap_or_default();
        let [first, ..] = &mut self.sizes;
        *first -= count.min(*first);
        if *first == 0 {
            // The sizes go round; that of the first line does not come again.
            *first = 5;
            self.sizes.rotate_left(1);
        }
    }
}
